# SPDX-License-Identifier: GPL-2.0-or-later
"""Version ranges: both ends are included, and `until` 6.12 includes every 6.12.x."""

from __future__ import annotations

import pytest

from common.versions import (
    Version,
    VersionRange,
    at_or_after_in_series,
    dotted,
    parse_release,
    parse_version,
    release_numbers,
    release_version,
)


@pytest.mark.parametrize(
    ("since", "until", "inside", "outside"),
    [
        ("", "", [(5, 10), (7,)], []),
        ("6.1", "", [(6, 1), (6, 1, 3), (6, 2), (7,)], [(6, 0, 99), (5, 10)]),
        ("6.5.0", "", [(6, 5), (6, 5, 1)], [(6, 4, 16)]),
        ("6.5.3", "", [(6, 5, 3)], [(6, 5), (6, 5, 2)]),
        ("", "6.12", [(6, 12), (6, 12, 117), (6, 11), (5,)], [(6, 13), (7,)]),
        ("", "6.12.5", [(6, 12), (6, 12, 5), (6, 12, 5, 1)], [(6, 12, 6), (6, 13)]),
        ("6.12", "6.12", [(6, 12), (6, 12, 117)], [(6, 11, 9), (6, 13)]),
    ],
)
def test_both_ends_are_included(since: str, until: str, inside: list[Version], outside: list[Version]) -> None:
    versions = VersionRange.parse(since, until)
    assert [version for version in inside if version not in versions] == []
    assert [version for version in outside if version in versions] == []
    assert () in versions, "an unknown version is in every range"


def test_the_reason_to_leave_a_version_out_names_the_end() -> None:
    versions = VersionRange.parse("5.11", "6.12")
    assert versions.excludes((5, 10, 3)) == "since Linux 5.11, this is 5.10.3"
    assert versions.excludes((6, 13)) == "until Linux 6.12, this is 6.13"
    assert versions.excludes((6, 12, 117)) == ""


@pytest.mark.parametrize(
    ("since", "until"), [("6.13", "6.12"), ("6.12.6", "6.12.5"), ("x", ""), ("", "6.x"), ("6.", "")]
)
def test_what_is_not_a_range_is_refused(since: str, until: str) -> None:
    with pytest.raises(ValueError, match=r"no version is in between|is not a kernel version"):
        VersionRange.parse(since, until)


def test_versions_are_read_and_written() -> None:
    assert parse_version("6.12.117") == (6, 12, 117)
    assert dotted((6, 12, 117)) == "6.12.117"
    assert release_version("6.1.0-56-cloud-amd64") == (6, 1, 0)
    assert release_version("7.3-rc2") == (7, 3)
    assert release_version("next-20261128") == ()


@pytest.mark.parametrize(
    ("release", "numbers"),
    [
        ("5.14.0-70.13.1.el9_0.x86_64", (5, 14, 0, 70, 13, 1)),
        ("5.14.0-427.el9", (5, 14, 0, 427)),
        ("6.4.0-150600.23.7-default", (6, 4, 0, 150600, 23, 7)),
        ("5.10.107-android13-4-00001-gabc", (5, 10, 107)),
        ("6.1.0-rc3-00012-g123", (6, 1, 0)),
        ("6.12.7", (6, 12, 7)),
        ("next", ()),
    ],
)
def test_a_vendors_numbers_are_part_of_a_release(release: str, numbers: Version) -> None:
    assert release_numbers(release) == numbers


@pytest.mark.parametrize("text", ["", "5.14.0-", "5.14.0-70.el9", "-70", "5..14"])
def test_what_is_no_release(text: str) -> None:
    with pytest.raises(ValueError, match="is not a kernel release"):
        parse_release(text)


@pytest.mark.parametrize(
    ("release", "first", "is_later"),
    [
        ("5.14.0-179.el9", "5.14.0-179", True),
        ("5.14.0-284.11.1.el9_2", "5.14.0-179", True),
        ("5.14.0-162.23.1.el9_1", "5.14.0-179", False),
        ("5.14.21-150400.22-default", "5.14.0-179", True),
        ("5.14.0", "5.14.0-179", False),
        ("5.14.0", "5.14", True),
        ("5.15.0-179", "5.14.0-179", False),
        ("6.1.192", "6.1.188", True),
        ("6.1", "6.1.188", False),
        ("6.12.192", "6.1.188", False),
    ],
)
def test_only_releases_of_one_series_are_compared(release: str, first: str, is_later: bool) -> None:
    assert at_or_after_in_series(release_numbers(release), parse_release(first)) is is_later
