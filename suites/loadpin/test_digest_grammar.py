# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of the list of trusted digests.

The test creates the lists on a tmpfs, which the first of them pins.
"""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EPROTO, OK
from guests.promises import breaks
from suites.loadpin.support.digest_lists import HEADER, check_closed, check_list_in_effect, write_list
from suites.loadpin.support.disks_and_log import ENFORCING, loadpin, verity
from suites.loadpin.support.verified_devices import set_digests

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement
UNLISTED = "ab" * 32
"""A digest that no disk has."""

GRAMMAR = requirement("loadpin.verity-grammar")
FIRST_LINE = requirement("loadpin.verity-header")
NO_HEADER = requirement("loadpin.verity-first-line")

# fmt: off
Marks = pytest.MarkDecorator | tuple[pytest.MarkDecorator, ...]
REFUSED: tuple[tuple[str, str, Marks], ...] = (
    #  what is wrong                          the list, line by line
    ("no-header",                             "{digest}\n",                                          FIRST_LINE),
    ("only-a-line-end",                       "\n",                                                  FIRST_LINE),
    ("only-whitespace",                       " \t \n \n",                                           FIRST_LINE),
    ("a-header-in-lower-case",                f"{HEADER.lower()}\n{{digest}}\n",                     FIRST_LINE),
    ("a-header-without-its-last-letter",      f"{HEADER[:-1]}\n{{digest}}\n",                        FIRST_LINE),
    ("a-header-with-one-letter-more",         f"{HEADER}S\n{{digest}}\n",                            FIRST_LINE),
    ("a-header-with-a-space-after-it",        f"{HEADER} \n{{digest}}\n",                            FIRST_LINE),
    ("a-header-with-a-carriage-return",       f"{HEADER}\r\n{{digest}}\r\n",                         FIRST_LINE),
    ("a-header-without-its-hash-sign",        f"{HEADER[2:]}\n{{digest}}\n",                         FIRST_LINE),
    ("a-header-after-the-digest",             f"{{digest}}\n{HEADER}\n",                             FIRST_LINE),
    ("a-header-after-an-empty-line",          f"\n{HEADER}\n{{digest}}\n",                           FIRST_LINE),
    ("header-and-digest-in-one-line",         f"{HEADER} {{digest}}\n",                              FIRST_LINE),
    ("an-empty-line-instead-of-the-header",   "\n{digest}\n",                                        NO_HEADER),
    ("a-space-instead-of-the-header",         " {digest}\n",                                         NO_HEADER),
    ("a-tab-and-empty-lines-for-the-header",  "\t\n\n{digest}\n",                                    NO_HEADER),
    ("the-header-alone",                      f"{HEADER}\n",                                         GRAMMAR),
    ("the-header-alone-without-a-line-end",   HEADER,                                                GRAMMAR),
    ("the-header-and-empty-lines",            f"{HEADER}\n\n\n",                                     GRAMMAR),
    ("the-header-twice",                      f"{HEADER}\n{HEADER}\n{{digest}}\n",                   GRAMMAR),
    ("an-odd-number-of-digits",               f"{HEADER}\n{{digest}}a\n",                            GRAMMAR),
    ("a-single-digit",                        f"{HEADER}\na\n",                                      GRAMMAR),
    ("no-hexadecimal-digits",                 f"{HEADER}\n{'xy' * 32}\n",                            GRAMMAR),
    ("a-last-character-that-is-no-digit",     f"{HEADER}\n{'ab' * 31}ag\n",                          GRAMMAR),
    ("0x-before-the-digest",                  f"{HEADER}\n0x{{digest}}\n",                           GRAMMAR),
    ("a-space-before-the-digest",             f"{HEADER}\n {{digest}}\n",                            GRAMMAR),
    ("two-spaces-after-a-digest",             f"{HEADER}\n{{digest}}  \n{UNLISTED}\n",               GRAMMAR),
    ("two-digests-in-one-line",               f"{HEADER}\n{UNLISTED}, {{digest}}\n",                 GRAMMAR),
    ("a-carriage-return-after-a-digest",      f"{HEADER}\n{{digest}}\r\n{UNLISTED}\n",               GRAMMAR),
    ("a-comment",                             f"{HEADER}\n# comment\n{{digest}}\n",                  GRAMMAR),
)

DROPPED: tuple[tuple[str, str], ...] = (
    #  a bad line after good ones             the list, line by line
    ("odd-after-good",                        f"{HEADER}\n{{digest}}\nabc\n"),
    ("no-digits-after-good",                  f"{HEADER}\n{{digest}}\n{'xy' * 32}\n"),
    ("odd-after-several-good",                f"{HEADER}\n{UNLISTED}\n{{digest}}\n{UNLISTED}\nabc\n{{digest}}\n"),
)

ACCEPTED: tuple[tuple[str, str], ...] = (
    #  what is unusual                        the list, line by line
    ("nothing",                               f"{HEADER}\n{{digest}}\n"),
    ("no-line-end",                           f"{HEADER}\n{{digest}}"),
    ("empty-lines-at-the-end",                f"{HEADER}\n{{digest}}\n\n\n"),
    ("whitespace-at-the-end",                 f"{HEADER}\n{{digest}} \t\n"),
    ("an-empty-line-before-the-digest",       f"{HEADER}\n\n{{digest}}\n"),
    ("upper-case",                            f"{HEADER}\n{{DIGEST}}\n"),
    ("the-same-digest-twice",                 f"{HEADER}\n{{digest}}\n{{digest}}\n"),
    ("digests-of-other-lengths",              f"{HEADER}\nab\n{'ab' * 20}\n{'ab' * 64}\n{{digest}}\n"),
    ("anything-after-a-NUL-byte",             f"{HEADER}\n{{digest}}\n\0xy\n"),
    ("4095-bytes",                            f"{HEADER}\n{{digest}}\n".ljust(4095 - 64 + len("{digest}"), "\n")),
)
# fmt: on


@ENFORCING
@pytest.mark.parametrize("text", [pytest.param(text, marks=marks, id=name) for name, text, marks in REFUSED])
def test_an_invalid_list(guest: Guest, text: str) -> None:
    """An invalid list fails with EPROTO, and from then on no list is accepted."""
    root = guest.root()
    assert set_digests(root, write_list(guest, text)) == EPROTO
    check_closed(guest, root)


@ENFORCING
@requirement("loadpin.verity-drops")
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in DROPPED])
def test_a_bad_line_discards_the_good_ones(guest: Guest, text: str) -> None:
    """The digest of a device before an invalid line is discarded: the device is not trusted."""
    root = guest.root()
    assert set_digests(root, write_list(guest, text)) == EPROTO
    check_closed(guest, root)


@ENFORCING
@requirement("loadpin.verity-grammar", "loadpin.verity-trusted")
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in ACCEPTED])
def test_a_valid_list(guest: Guest, text: str) -> None:
    """A valid list is accepted, however unusual, and the device that it names is trusted."""
    root = guest.root()
    with breaks("loadpin.verity-grammar"):
        assert set_digests(root, write_list(guest, text)) == OK
    with breaks("loadpin.verity-trusted"):
        check_list_in_effect(guest, root)
