# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong use inside pytest's hooks: pytest ends a run in order only for its own UsageError."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from common.errors import UsageError


@contextlib.contextmanager
def as_wrong_use(option: str = "") -> Iterator[None]:
    """Raise a UsageError of ours as pytest's, with the option that it is about in front."""
    try:
        yield
    except UsageError as error:
        raise pytest.UsageError(f"{option}: {error}" if option else str(error)) from error
