# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels are a series, and which are the same build."""

from __future__ import annotations

import pytest

from reports.history.kernel_series import family
from suites.harness.reports.documents import kernel
from suites.harness.reports.history.small_fleet import Fleet

PASS = {"yama/scope": "pass"}


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("debian-6.1.192-cloud-amd64", "debian-cloud-amd64"),
        ("debian-6.12.117", "debian"),
        ("debian-6.12.117-deb13-cloud-amd64", "debian-deb13-cloud-amd64"),
        ("vmlinuz-5.10.0-32-cloud-amd64", "vmlinuz-cloud-amd64"),
        ("linux-6.13-rc1-00012-g0123abc-dirty", "linux"),
        ("image-6.12.7+", "image"),
        ("6.12.7", "6.12.7"),
        ("gadget-x86_64", "gadget-x86_64"),
    ],
)
def test_a_family_is_the_name_without_its_version(name: str, without: str) -> None:
    assert family(name) == without


def test_a_series_goes_on_across_versions(fleet: Fleet) -> None:
    for version in ("6.11.9", "6.12-rc1", "6.12.1"):
        fleet.run(version, PASS)
    series = fleet.series()
    assert series.id == "debian/full"
    assert [build.label for build in series.builds] == ["6.11.9", "6.12-rc1", "6.12.1"]
    assert [column.build for column in series.columns] == [0, 1, 2]


def test_two_minor_versions_in_one_run_are_two_series(fleet: Fleet) -> None:
    for minor in (1, 2):
        both = [kernel(f"debian-{line}.{minor}/full", version=f"{line}.{minor}") for line in ("6.1", "6.12")]
        fleet.run_on(both, PASS)
    assert [(each.id, len(each.columns)) for each in fleet.history().series] == [
        ("debian/full 6.1", 2), ("debian/full 6.12", 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"machine_options": "--memory=2G"}, "debian/full --memory=2G"),
        ({"target": "ssh:rack-3"}, "debian/full on ssh:rack-3"),
        ({"arch": "aarch64"}, "debian/full"),
        ({"flavor": "mine"}, "debian/mine"),
    ],
    ids=repr,
)
def test_what_changes_the_machine_makes_another_series(fleet: Fleet, other: dict[str, str], name: str) -> None:
    fleet.run("6.12.1", PASS)
    fleet.run_on([kernel("debian-6.12.1/full", version="6.12.1", **other)], PASS)
    assert sorted(each.id for each in fleet.history().series) == sorted(["debian/full", name])


def test_two_builds_of_a_version_are_told_apart_by_their_digests(fleet: Fleet) -> None:
    for digest in ("a" * 64, "b" * 64, "a" * 64):
        fleet.run_on([kernel("debian-6.12.1/full", version="6.12.1", digest=digest)], PASS)
    series = fleet.series()
    assert [build.label for build in series.builds] == ["6.12.1 aaaaaaaa", "6.12.1 bbbbbbbb"]
    assert [column.build for column in series.columns] == [0, 1, 0]


def test_a_kernel_that_was_not_built_is_in_no_series(fleet: Fleet) -> None:
    """Of it, only its name is known, and not the architecture."""
    fleet.run_on([kernel("debian-6.12.1/full", arch="x86_64")], PASS)
    fleet.run_on([kernel("debian-6.12.2/full", digest=None)], {"yama/scope": "error"})
    series = fleet.series()
    assert [build.label for build in series.builds] == ["6.12.1"]
    assert [run.without_kernel for run in fleet.history().runs] == [0, 1]


def test_columns_are_in_the_order_in_which_the_runs_began(fleet: Fleet) -> None:
    days = [f"2026-11-{number:02}T10:00:00.000Z" for number in (9, 3, 6)]
    for number, day in enumerate(days):
        fleet.run(f"6.12.{number}", PASS, started=day)
    history = fleet.history()
    assert [run.started for run in history.runs] == sorted(days)
    assert [build.label for build in history.series[0].builds] == ["6.12.1", "6.12.2", "6.12.0"]


def test_a_version_of_too_many_digits_is_no_version(fleet: Fleet) -> None:
    fleet.run_on([kernel("debian/full", version="9" * 5000, release="r")], PASS)
    assert fleet.series().builds[0].label == "r"
