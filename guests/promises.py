# SPDX-License-Identifier: GPL-2.0-or-later
"""Which promise a failed comparison breaks, where a test is about several.

Without this, a failure breaks every promise that the test's marker names.  With it, the others stay as other tests
leave them:

    with breaks("yama.log"):
        assert denials(guest) == [line]
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from guests.errors import GuestBroke


@contextlib.contextmanager
def breaks(*promises: str) -> Iterator[None]:
    """A comparison that fails inside breaks these promises of the test, and no others.  The innermost one counts.

    So does a crash, and what was waited for in vain.  reports/judgement/verdict.py reads the attribute.
    """
    if not promises:
        raise ValueError("name at least one promise")
    try:
        yield
    except (AssertionError, GuestBroke) as failed:
        if not hasattr(failed, "breaks"):
            failed.breaks = promises  # type: ignore[union-attr]
        raise
