# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests with guests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guests.guest import Guest


@pytest.fixture
def sibling(guest: Guest) -> Iterator[Guest]:
    """Another clone of the guest's template.  It may break: its kernel's complaints do not fail the test."""
    sibling = Guest(guest.kernel, guest.template)
    try:
        sibling.resume()
        yield sibling
    finally:
        sibling.close()
