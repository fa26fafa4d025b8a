# SPDX-License-Identifier: GPL-2.0-or-later
"""KTAP, read by the rules of its readers."""

from __future__ import annotations

import pytest

from reports.formats import ktap
from suites.harness.reports import ktap_reader
from suites.harness.reports.documents import FULL, NEXT, read, result
from suites.harness.reports.formats.format_samples import NASTY, SAMPLE


class TestKtap:
    def test_kernels_areas_and_tests_are_nested(self) -> None:
        tops = ktap_reader.read(ktap.render(read(*SAMPLE)))
        assert [(top.name, top.ok, [area.name for area in top.tests]) for top in tops] == [
            (FULL, False, ["yama", "loadpin"]),
            (NEXT, True, ["seccomp", "yama"]),
            ("(no kernel)", False, ["harness"]),
        ]
        assert [(area.ok, area.directive) for area in tops[1].tests] == [(True, "SKIP"), (True, "")]

    def test_each_outcome_has_its_words(self) -> None:
        (top, *_) = ktap_reader.read(ktap.render(read(*SAMPLE)))
        words = {
            "pass": (True, ""),
            "fail": (False, ""),
            "error": (False, "ERROR"),
            "skip": (True, "SKIP"),
            "waived": (True, "XFAIL"),
            "unexpected-pass": (True, ""),
            "flaky": (False, ""),
        }
        for area in top.tests:
            assert [(test.ok, test.directive) for test in area.tests] == list(words.values())
        skipped = top.tests[0].tests[3]
        assert (skipped.said, skipped.diagnostics) == ("why skip", ["why skip"])

    def test_a_flaky_test_is_called_so_and_names_its_promise(self) -> None:
        (top,) = ktap_reader.read(ktap.render(read(result("yama/scope", "flaky", "broken in 1 of 3 attempts: OK"))))
        assert top.leaves()[0].diagnostics == [
            "flaky: broken in 1 of 3 attempts: OK",
            "breaks yama.scope: The promise yama.scope.",
        ]

    def test_a_failure_says_why_and_which_promise_it_breaks(self) -> None:
        (top,) = ktap_reader.read(ktap.render(read(result("yama/scope", "fail", "evil -> OK"))))
        assert top.leaves()[0].diagnostics == ["evil -> OK", "breaks yama.scope: The promise yama.scope."]

    def test_what_a_guest_said_begins_no_line_and_no_directive(self) -> None:
        text = ktap.render(read(result("yama/x", "skip", NASTY), result("yama/y", "fail", "ok 7 x\r\x0bnot ok 8 y")))
        (top,) = ktap_reader.read(text)
        assert [leaf.directive for leaf in top.leaves()] == ["SKIP", ""]
        assert all(line.isprintable() for line in text.split("\n"))

    def test_what_pytest_gives_no_name_has_one(self) -> None:
        (top,) = ktap_reader.read(ktap.render(read(result("yama/x", "error", on=None) | {"nodeid": "", "area": ""})))
        assert [(area.name, area.tests[0].name) for area in top.tests] == [("other", "(unnamed)")]

    def test_nothing_is_an_empty_plan(self) -> None:
        assert ktap.render(read()) == "KTAP version 1\n1..0\n"

    def test_the_reader_is_strict(self) -> None:
        """Otherwise the tests above show nothing."""
        good = ktap.render(read(*SAMPLE))
        assert ktap_reader.read(good)
        for wrong in (
            good[:-1],
            good.replace("1..3", "1..2", 1),
            good.replace("1..3", "1..4", 1),
            good.replace("ok 2 ", "ok 3 ", 1),
            good.replace("# SKIP", "# SKIPPED", 1),
            good.replace("not ok 1 debian", "ok 1 debian"),
            good.replace("    ok 1", "   ok 1", 1),
            good.replace("  KTAP version 1\n", "", 1),
            good.replace("  # Subtest: yama\n", "", 1),
            good.replace("# Subtest: yama", "# Subtest: loadpin", 1),
            good + "x\n",
        ):
            with pytest.raises(ktap_reader.NotKtapError):
                ktap_reader.read(wrong)
