# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the project is: its tests read its files and run its programs there."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's top directory."""
