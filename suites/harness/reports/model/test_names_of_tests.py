# SPDX-License-Identifier: GPL-2.0-or-later
"""The names that tests have in KCIDB, KTAP and JUnit, and without their kernel."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from reports.model.names_of_tests import junit_name, kcidb_path, kernel_in, ktap_name, without_kernel
from suites.harness.reports.documents import FULL, NEXT, read, result


class TestNames:
    @pytest.mark.parametrize(
        ("nodeid", "path"),
        [
            ("suites/yama/test_log.py::test_rate", "kconform.yama.test_log.test_rate"),
            (f"suites/yama/test_log.py::test_rate[{FULL}]", "kconform.yama.test_log.test_rate"),
            (f"suites/yama/test_log.py::test_rate[{FULL}-many]", "kconform.yama.test_log.test_rate.many"),
            (
                f"suites/yama/test_log.py::TestX::test_rate[{FULL}-a/b]",
                "kconform.yama.test_log.TestX.test_rate.a_b-c14cddc0",
            ),
            (f"suites/yama/test_log.py::test_rate[{FULL}-a:b]", "kconform.yama.test_log.test_rate.a_b-6783a31e"),
        ],
    )
    def test_a_path_of_kcidb_is_the_same_on_each_kernel(self, nodeid: str, path: str) -> None:
        (found,) = read(result("yama/x") | {"nodeid": nodeid}).results
        assert kcidb_path(found) == path
        (other,) = read(result("yama/x", on=NEXT) | {"nodeid": nodeid.replace(FULL, NEXT)}).results
        assert kcidb_path(other) == path

    @pytest.mark.parametrize(
        ("nodeid", "less"),
        [
            (f"f.py::t[{FULL}]", "f.py::t"),
            (f"f.py::t[{FULL}-x[1]]", "f.py::t[x[1]]"),
            ("f.py::t[x]", "f.py::t[x]"),
            (f"f.py::t[{FULL}ish]", f"f.py::t[{FULL}ish]"),
            ("f.py", "f.py"),
        ],
    )
    def test_a_name_less_its_kernel(self, nodeid: str, less: str) -> None:
        assert without_kernel(nodeid, FULL) == less
        assert without_kernel(nodeid, None) == nodeid

    @pytest.mark.parametrize(
        ("parameters", "kernels", "found"),
        [
            ("k-1/full", ["k-1/full"], "k-1/full"),
            ("k-1/no-yama-x", [], "k-1/no-yama"),
            ("k-1/no-yama-x", ["k-1/no"], "k-1/no"),
            ("k-1/other-x", [], None),
            ("many", [], None),
        ],
    )
    def test_a_kernel_that_a_name_begins_with(self, parameters: str, kernels: list[str], found: str | None) -> None:
        assert kernel_in(f"f.py::t[{parameters}]", kernels, ["full", "no", "no-yama"][::-1]) == found

    @pytest.mark.parametrize("nodeid", ["a#b", "100%", "a\nb", "a\x1b", "\udcff", "a%23b"])
    def test_a_name_in_ktap_is_one_plain_word_and_can_be_read_back(self, nodeid: str) -> None:
        written = ktap_name(nodeid)
        assert not set("#\n\x1b") & set(written)
        assert unquote(written, errors="surrogatepass") == nodeid

    def test_a_name_in_junit_is_pytests(self) -> None:
        assert junit_name("suites/yama/test_log.py::TestX::test_rate[a::b/c]") == (
            "suites.yama.test_log.TestX",
            "test_rate[a::b/c]",
        )
