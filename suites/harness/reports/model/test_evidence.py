# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of evidence: their folders' names, one for each test, and their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.model import evidence


class TestSlugs:
    LONG = "suites/yama/test_x.py::test_y[" + "a" * 500

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("suites/yama/test_x.py::test_y[a/b]", "suites/yama/test_x.py::test_y[a-b]"),
            ("suites/yama/test_x.py::test_y[A]", "suites/yama/test_x.py::test_y[a]"),
            (LONG + "1]", LONG + "2]"),
            ("suites/yama/test_x.py::test_y", "yama/test_x.py::test_y"),
            ("\u4e2d", "\u6587"),
        ],
    )
    def test_two_tests_never_share_a_folder(self, one: str, other: str) -> None:
        assert evidence.slug(one).lower() != evidence.slug(other).lower()

    @pytest.mark.parametrize("nodeid", [LONG, "../../etc/passwd", "", "\udcff", "a b\n\x00c", "."])
    def test_a_slug_is_a_name_that_any_file_system_takes(self, tmp_path: Path, nodeid: str) -> None:
        name = evidence.slug(nodeid)
        assert len(name) <= evidence.SLUG_LIMIT
        assert name.isascii()
        (tmp_path / name).mkdir()
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()

    def test_a_slug_is_the_same_in_each_run(self) -> None:
        assert evidence.slug("suites/yama/test_x.py::test_y[k/full]") == "yama-test_x-test_y-k-full-380f513cd7"

    def test_titles_of_one_test_keep_their_own_files(self, tmp_path: Path) -> None:
        paths: dict[str, str] = {}
        evidence.write(tmp_path, "test", [("kernel log", "1"), ("kernel-log", "2"), ("Kernel Log", "3")], paths)
        assert [(tmp_path / path).read_text() for path in paths.values()] == ["1\n", "2\n", "3\n"]
