# SPDX-License-Identifier: GPL-2.0-or-later
"""What kernels are called in test ids."""

from __future__ import annotations

import re


def clean(text: str) -> str:
    """The text with only those characters that a test id may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "kernel"
