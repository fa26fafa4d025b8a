# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e hosts`: its table, wrong use, and its documentation."""

from __future__ import annotations

import pytest

from common.errors import KconformError, UsageError
from reports.judgement.exit_status import MEANING
from suites.harness.checkout import ROOT
from suites.hosts import base_system, host_table
from suites.hosts.distributions import HOSTS, chosen
from suites.hosts.host_table import Row
from suites.hosts.trial import number

SEEN = {"pass": 12, "skip": 6}


class TestTable:
    @pytest.mark.parametrize(
        ("row", "status", "verdict"),
        [
            (Row("a", counts=SEEN, status=0, quick=0), 0, "all promises held"),
            (Row("a", counts=SEEN, status=1, quick=0), 1, "a promise was broken"),
            (Row("a", counts=SEEN, status=1, quick=1), 1, "a promise was broken"),
            (Row("a", counts=SEEN, status=0, quick=1), 3, "the project's own tests failed"),
            (Row("a", counts=SEEN, status=3, quick=0), 3, MEANING[3]),
            (Row("a", counts=SEEN, status=137, quick=0), 3, "exit status 137"),
            (Row("a", status=1, quick=1), 3, "no test ran"),
            (Row("a", status=4, quick=0), 4, "wrong use"),
            (Row("a", why_not="debootstrap failed"), 3, "not tried: debootstrap failed"),
            (Row("a", why_not="archive not reachable", excused=True), 5, "not tried: archive not reachable"),
        ],
    )
    def test_the_status_and_verdict_of_a_host(self, row: Row, status: int, verdict: str) -> None:
        assert (host_table.exit_status([row]), row.verdict) == (status, verdict)

    def test_a_broken_promise_on_one_host_has_priority(self) -> None:
        held, broken, error = (Row(str(status), counts=SEEN, status=status) for status in (0, 1, 3))
        assert host_table.exit_status([held, error, broken]) == 1
        assert host_table.exit_status([held, error]) == 3
        assert host_table.exit_status([held, held]) == 0
        assert host_table.exit_status([]) == 5

    def test_an_optional_host_that_is_not_tried_changes_nothing(self) -> None:
        excused = Row("ubuntu", why_not="archive not reachable", excused=True)
        assert host_table.exit_status([Row("a", counts=SEEN, status=0), excused]) == 0
        assert host_table.exit_status([Row("a", counts=SEEN, status=5), excused]) == 5

    def test_it_is_markdown_with_columns_that_line_up(self) -> None:
        versions = {"tox": "4.25.0", "python": "3.13.5", "qemu": "10.0.13"}
        rows = [
            Row("debian-13", versions, SEEN, seconds=49.6, status=0, quick=0),
            Row("ubuntu-26.04", why_not="archive not reachable", excused=True),
        ]
        lines = host_table.render(rows).splitlines()
        assert {len(line) for line in lines} == {len(lines[0])}
        assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
            "debian-13",
            "4.25.0",
            "3.13.5",
            "10.0.13",
            "12",
            "0",
            "0",
            "50",
            "passed",
            "all promises held",
        ]

    def test_columns_without_content_are_left_out(self) -> None:
        row = Row("debian-sid", {"tox": "4.53.0", "podman": "5.8.7"}, SEEN, seconds=700, status=0)
        head, _, cells = (line.split() for line in host_table.render([row]).splitlines())
        assert head == [
            "|",
            *" | ".join(["host", "tox", "podman", "held", "broken", "errors", "seconds"]).split(),
            "|",
            "verdict",
            "|",
        ]
        assert cells[5] == "5.8.7"

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("4.25.0 from /usr/lib/python3/dist-packages/tox/__init__.py", "4.25.0"),
            ("3.28.0 imported from /usr/lib/python3/dist-packages/tox", "3.28.0"),
            ("Python 3.14.4", "3.14.4"),
            ("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)", "11.1.3"),
            ("podman version 5.8.7", "5.8.7"),
            ("", ""),
        ],
    )
    def test_versions_are_read(self, text: str, version: str) -> None:
        assert number(text) == version


class TestWrongUse:
    def test_only_root_can_create_hosts(self) -> None:
        with pytest.raises(UsageError, match="only root") as caught:
            base_system.require_tools(lambda name: f"/usr/sbin/{name}", uid=1000)
        assert caught.value.exit_status == 4

    def test_a_missing_debootstrap_is_named(self) -> None:
        with pytest.raises(UsageError, match=r"debootstrap is not installed\n.*apt-get install debootstrap"):
            base_system.require_tools(lambda name: None if name == "debootstrap" else name, uid=0)

    def test_the_error_for_an_unknown_host_lists_the_known_ones(self) -> None:
        with pytest.raises(UsageError, match="debian-13"):
            chosen(["debian-14"])

    def test_an_unreachable_archive_has_its_own_error(self) -> None:
        assert issubclass(base_system.UnreachableError, KconformError)
        assert base_system.UnreachableError("").exit_status == 3


def test_the_documents_name_every_host() -> None:
    passed = (ROOT / "docs" / "hosts.md").read_text()
    assert [host.name for host in HOSTS if f"`{host.name}`" not in passed] == []
