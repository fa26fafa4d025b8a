# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed from one run to another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from common.errors import UsageError
from reports.judgement.comparison import compare
from suites.harness.reports.documents import FULL, NEXT, kernel, read, result

COLUMNS = ("pass", "fail", "error", "skip", "waived", "unexpected-pass", "flaky")
#   was                  pass              fail       error     skip              waived    unexpected-pass flaky
BECAME = {
    "pass": (None, "failing", "errors", "not applicable", "waived", None, "flaky"),
    "fail": ("passing", None, "errors", "not applicable", "waived", "passing", "flaky"),
    "error": ("passing", "failing", None, "not applicable", "waived", "passing", "flaky"),
    "skip": ("applicable", "failing", "errors", None, "waived", "applicable", "flaky"),
    "waived": ("passing", "failing", "errors", "not applicable", None, "passing", "flaky"),
    "unexpected-pass": (None, "failing", "errors", "not applicable", "waived", None, "flaky"),
    "flaky": ("passing", "failing", "errors", "not applicable", "waived", "passing", None),
    "absent": ("new", "failing", "errors", "new", "new", "new", "flaky"),
}


@pytest.mark.parametrize("after", COLUMNS)
@pytest.mark.parametrize("before", BECAME)
def test_what_a_test_has_become(before: str, after: str) -> None:
    old = [] if before == "absent" else [result("yama/scope", before)]
    kind = BECAME[before][COLUMNS.index(after)]
    found = compare(read(*old, result("yama/same")), read(result("yama/scope", after), result("yama/same")))
    assert {name: len(changes) for name, changes in found.changes.items() if changes} == ({kind: 1} if kind else {})
    assert found.same == (1 if kind else 2)
    # A test that has failed before is known to be broken, and a fluke is no news of it.
    flaky = 0 if before == "fail" else 1
    assert found.exit_status == {"failing": 1, "flaky": flaky, "errors": 3}.get(str(kind), 0)


BOTH = ("yama.scope", "yama.log")


@pytest.mark.parametrize(
    ("before", "broke", "after", "breaks", "kind", "status"),
    [
        pytest.param("fail", ["yama.log"], "fail", ["yama.scope"], "failing", 1, id="another"),
        pytest.param("fail", ["yama.log"], "fail", BOTH, "failing", 1, id="one-more"),
        pytest.param("fail", ["yama.log"], "fail", [], "failing", 1, id="all"),
        pytest.param("fail", BOTH, "fail", ["yama.log"], None, 0, id="one-less"),
        pytest.param("fail", [], "fail", ["yama.log"], None, 0, id="no-longer-all"),
        pytest.param("flaky", ["yama.log"], "flaky", ["yama.scope"], "flaky", 1, id="flaky"),
        pytest.param("fail", ["yama.log"], "flaky", ["yama.scope"], "flaky", 1, id="another-at-times"),
        pytest.param("fail", ["yama.log"], "flaky", ["yama.log"], "flaky", 0, id="the-same-at-times"),
        pytest.param("waived", ["yama.log"], "waived", ["yama.scope"], None, 0, id="waived"),
    ],
)
def test_a_failure_that_breaks_another_promise_is_a_new_one(
    before: str, broke: Sequence[str], after: str, breaks: Sequence[str], kind: str | None, status: int
) -> None:
    old = result("yama/scope", before, "why", requirements=BOTH, breaks=broke)
    new = result("yama/scope", after, "why", requirements=BOTH, breaks=breaks)
    found = compare(read(old), read(new))
    assert {name: len(changes) for name, changes in found.changes.items() if changes} == ({kind: 1} if kind else {})
    assert found.exit_status == status


def test_the_new_run_says_what_a_flaky_test_counts_as() -> None:
    old, new = result("yama/scope"), result("yama/scope", "flaky")
    found = compare(read(old), read(new, certainty={"confirm": 3, "flaky": "undetermined"}))
    assert (len(found.changes["flaky"]), found.exit_status) == (1, 3)


def test_what_is_gone() -> None:
    found = compare(read(result("yama/scope"), result("yama/same")), read(result("yama/same")))
    (change,) = found.changes["gone"]
    assert (change.verdicts, found.exit_status) == ("pass -> absent", 0)


def test_a_new_failure_outweighs_new_errors() -> None:
    old = read(result("yama/a"), result("yama/b"))
    assert compare(old, read(result("yama/a", "fail"), result("yama/b", "error"))).exit_status == 1


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("evil[41 uid 0].attach(secret[40]) -> OK", "evil[52 uid 0].attach(secret[51]) -> OK", False),
        ("[   12.345678] BUG at 0xffffffff81000000", "[    1.5] BUG at 0xffffffff82000000", False),
        ("evil[41].attach(secret[40]) -> OK", "evil[41].attach(secret[40]) -> ESRCH", True),
        ("expected 5, got 6", "expected 5, got 7", True),
        ("got OK", "broken again in 3 of 3 attempts: got OK", False),
        ("broken in 1 of 3 attempts: got OK", "broken in 2 of 2 attempts, 1 undetermined: got OK", False),
        ("broken in 1 of 3 attempts: got OK", "broken in 1 of 3 attempts: got ESRCH", True),
    ],
)
def test_a_reason_has_changed_if_it_tells_something_else(old: str, new: str, changed: bool) -> None:
    found = compare(read(result("yama/scope", "fail", old)), read(result("yama/scope", "fail", new)))
    assert len(found.changes["reason"]) == changed
    assert found.exit_status == 0


def test_why_a_test_holds_is_no_change() -> None:
    found = compare(read(result("yama/a", "unexpected-pass", "one")), read(result("yama/a", "pass", "other")))
    assert found.same == 1
    found = compare(read(result("yama/a", "pass", "one")), read(result("yama/a", "pass", "other")))
    assert found.same == 1


class TestKernels:
    def pairs(self, old: list[str], new: list[str], *named: tuple[str, str]) -> list[tuple[str | None, str | None]]:
        before = read(result("harness/pure", on=None), kernels=[kernel(name) for name in old])
        after = read(result("harness/pure", on=None), kernels=[kernel(name) for name in new])
        return list(compare(before, after, named).pairs)

    @pytest.mark.parametrize(
        ("old", "new", "pairs"),
        [
            pytest.param([FULL], [NEXT], [(FULL, NEXT)], id="next-version"),
            pytest.param([FULL], [NEXT, FULL], [(FULL, FULL), (None, NEXT)], id="the-same-comes-first"),
            pytest.param(
                ["debian-6.1.192-cloud-amd64/shipped", FULL],
                [NEXT, "debian-6.1.193-cloud-amd64/shipped"],
                [("debian-6.1.192-cloud-amd64/shipped", "debian-6.1.193-cloud-amd64/shipped"), (FULL, NEXT)],
                id="by-flavor",
            ),
            pytest.param(
                ["debian-6.1/full", "fedora-6.1/full"],
                ["fedora-6.2/full", "debian-6.2/full"],
                [("debian-6.1/full", "debian-6.2/full"), ("fedora-6.1/full", "fedora-6.2/full")],
                id="by-name",
            ),
            pytest.param(
                ["mine-6.1/full"], ["theirs-6.2/full"], [("mine-6.1/full", "theirs-6.2/full")], id="only-two"
            ),
            pytest.param(
                [FULL], ["debian-6.12.117/no-yama"], [(FULL, None), (None, "debian-6.12.117/no-yama")], id="none"
            ),
        ],
    )
    def test_counterparts(self, old: list[str], new: list[str], pairs: list[tuple[str | None, str | None]]) -> None:
        assert self.pairs(old, new) == pairs

    def test_what_cannot_be_told_is_asked_for(self) -> None:
        old, new = [FULL], [NEXT, "debian-6.13.1/full"]
        with pytest.raises(UsageError) as caught:
            self.pairs(old, new)
        for text in (*old, *new, f"--kernel {FULL}={NEXT}"):
            assert text in str(caught.value)
        assert self.pairs(old, new, (FULL, NEXT)) == [(FULL, NEXT), (None, "debian-6.13.1/full")]

    @pytest.mark.parametrize(
        ("named", "complaint"),
        [
            ([("x", NEXT)], "the old run has no kernel 'x'"),
            ([(FULL, "x")], "the new run has no kernel 'x'"),
            ([(FULL, NEXT), (FULL, NEXT)], "has a counterpart already"),
        ],
    )
    def test_a_wrong_name_is_wrong_use(self, named: list[tuple[str, str]], complaint: str) -> None:
        with pytest.raises(UsageError, match=complaint):
            self.pairs([FULL], [NEXT], *named)

    def test_tests_are_matched_less_their_kernel(self) -> None:
        old = read(result("yama/rate[many-x]"), result("yama/scope"), result("harness/pure", on=None))
        new = read(
            result("yama/rate[many-x]", "fail", on=NEXT),
            result("yama/scope", on=NEXT),
            result("harness/pure", on=None),
        )
        found = compare(old, new)
        assert [change.nodeid for change in found.changes["failing"]] == [
            f"suites/yama/test_it.py::test_rate[{NEXT}-many-x]"
        ]
        assert found.same == 2

    def test_a_kernel_that_was_not_built_is_known_by_its_tests(self) -> None:
        """Such a test ends before it can say which kernel it had."""
        lost = result("yama/rate[many]", "error", on=NEXT) | {"kernel": None, "flavor": None}
        found = compare(read(result("yama/rate[many]")), read(lost, kernels=[]))
        assert list(found.pairs) == [(FULL, NEXT)]
        assert (len(found.changes["errors"]), len(found.changes["gone"]), found.exit_status) == (1, 0, 3)

    def test_runs_that_have_nothing_in_common_are_not_compared(self) -> None:
        with pytest.raises(UsageError, match="no test is in both"):
            compare(read(result("yama/scope")), read(result("yama/scope", on="debian-6.12.117/no-yama")))


def test_of_a_test_that_ran_twice_the_worse_counts() -> None:
    found = compare(read(result("yama/a")), read(result("yama/a", "fail"), result("yama/a")))
    assert len(found.changes["failing"]) == 1


def test_promises_are_compared_too() -> None:
    found = compare(
        read(result("yama/scope"), result("yama/rate", "fail"), result("yama/left")),
        read(result("yama/scope", "fail", on=NEXT), result("yama/rate", on=NEXT), result("yama/same", on=NEXT)),
    )
    assert [(each.id, each.kernel, each.old, each.new) for each in found.promises] == [
        ("yama.scope", NEXT, "held", "broken"),
        ("yama.rate", NEXT, "broken", "held"),
        ("yama.same", NEXT, None, "held"),
        ("yama.left", FULL, "held", None),
    ]


@pytest.mark.parametrize(("outcome", "status"), [("fail", "broken"), ("waived", "waived"), ("error", "unknown")])
def test_a_promise_is_not_held_again_for_want_of_the_test_that_broke_it(outcome: str, status: str) -> None:
    old = read(result("yama/b", requirements=["yama.it"]), result("yama/scope", outcome, requirements=["yama.it"]))
    held = result("yama/b", requirements=["yama.it"], on=NEXT)
    assert compare(old, read(held, selection="-k b")).promises == []
    again = compare(old, read(held, result("yama/scope", requirements=["yama.it"], on=NEXT))).promises
    assert [(each.id, each.old, each.new) for each in again] == [("yama.it", status, "held")]
