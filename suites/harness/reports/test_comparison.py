# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a results.json back, and what changed from one to another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from common.errors import UsageError
from kconform import main
from reports.judgement.comparison import KINDS, compare
from reports.model.document import load, parse
from reports.model.schema import render
from reports.tools import diff
from suites.harness.reports.documents import FULL, NEXT, TIME, document, kernel, read, result, write

ROOT = Path(__file__).resolve().parents[3]


def test_the_published_schema_is_that_of_the_records() -> None:
    assert (ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8") == render()


def test_the_samples_conform_to_the_published_schema() -> None:
    """Otherwise the tests with them show nothing."""
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(
        document([result("yama/scope"), result("yama/x", "fail", on=None)])
    )


class TestReading:
    def test_a_file_and_its_directory_are_the_same(self, tmp_path: Path) -> None:
        path = write(tmp_path / "report", result("yama/scope", "fail", "evil -> OK"))
        assert load(path) == load(path / "results.json")
        (found,) = load(path).results
        assert (found.nodeid, found.verdict) == (f"suites/yama/test_it.py::test_scope[{FULL}]", "fail")
        assert load(path).remarks() == []

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            pytest.param("", "the file is empty", id="empty"),
            pytest.param("\n\n  {,}", "line 3, column 4: this is not JSON", id="no-json"),
            pytest.param("<testsuites/>", "line 1, column 1: this is not JSON", id="junit"),
            pytest.param(
                '{"schema": 1,\n"run": {"id": "x', "line 2, column 15: the file ends in the middle", id="half"
            ),
            pytest.param('{"schema": 1,\n"run": {', "the file ends in the middle", id="half-an-object"),
            pytest.param('{"schema": 1, "run": {}, "results": [', "the file ends in the middle", id="half-a-list"),
            pytest.param('{"checkouts": []}', "is JSON, but not a results.json of kconform", id="foreign"),
            pytest.param("[]", "is JSON, but not a results.json of kconform", id="list"),
            pytest.param("[" * 100_000, "this JSON cannot be read", id="deep"),
            pytest.param("1" * 100_000, "this JSON cannot be read", id="long-number"),
        ],
    )
    def test_what_is_no_results_is_one_sentence(self, tmp_path: Path, text: str, complaint: str) -> None:
        path = tmp_path / "results.json"
        path.write_text(text)
        with pytest.raises(UsageError) as caught:
            load(path)
        assert complaint in caught.value.message
        assert caught.value.message.startswith(f"{path}: ")
        assert "\n" not in caught.value.message

    @pytest.mark.parametrize(
        ("keys", "value", "complaint"),
        [
            (("schema",), 3, "$.schema: written by a newer kconform (format 3, this one reads 2)"),
            (("schema",), "1", '$.schema: expected a version number, not "1"'),
            (("schema",), True, "$.schema: expected a version number, not true"),
            (("run",), [], "$.run: expected `object`, got `array`"),
            (("run", "state"), "done", "$.run.state: invalid enum value 'done'"),
            (("run", "collected"), -1, "$.run.collected: expected `int` >= 0"),
            (("run", "duration_s"), float("nan"), "NaN is not a number in JSON"),
            (("run", "duration_s"), 10**400, "$.run.duration_s: "),
            (("run", "duration_s"), float("inf"), "Infinity is not a number in JSON"),
            (("kernels",), None, "$.kernels: expected `array`, got `null`"),
            (("kernels", 0, "id"), "other", '$.results[0].kernel: "debian-6.12.117/full" is not one of $.kernels'),
            (("requirements", 0, "area"), None, "$.requirements[0].area: expected `str`, got `null`"),
            (
                ("requirements", 0, "status", "debian-6.12.117/full"),
                "kept",
                "$.requirements[0].status[...]: invalid enum value 'kept'",
            ),
            (("requirements", 0, "text"), 1, "$.requirements[0].text: expected `str`, got `int`"),
            (("results", 1), "x", "$.results[1]: expected `object`, got `str`"),
            (("results", 1, "outcome"), "passed", "$.results[1].outcome: invalid enum value 'passed'"),
            (("results", 1, "outcome"), [], "$.results[1].outcome: expected `str`, got `array`"),
            (("results", 1, "started"), "today", "$.results[1].started: expected `str` matching regex"),
            (("run", "finished"), "", "$.run.finished: expected `str` matching regex"),
            (("results", 1, "reason"), "a\nb", "$.results[1].reason: expected `str` matching regex"),
            (("results", 1, "requirements"), [1], "$.results[1].requirements[0]: expected `str`, got `int`"),
            (("results", 1, "evidence"), {"log": "../x"}, "expected a path in the report directory"),
            (("results", 1, "evidence"), {"log": "/etc/passwd"}, "expected a path in the report directory"),
        ],
    )
    def test_a_wrong_value_has_its_place(
        self, tmp_path: Path, keys: tuple[str | int, ...], value: object, complaint: str
    ) -> None:
        found = document([result("yama/scope"), result("yama/rate")])
        *outer, last = keys
        part: Any = found
        for key in outer:
            part = part[key]
        part[last] = value
        path = tmp_path / "results.json"
        path.write_text(json.dumps(found))
        with pytest.raises(UsageError) as caught:
            load(path)
        assert complaint in str(caught.value)

    def test_a_promise_is_there_once(self, tmp_path: Path) -> None:
        content = document([result("yama/scope")])
        content["requirements"] *= 2
        with pytest.raises(UsageError, match=r'\$\.requirements\[1\]\.id: "yama\.scope" is used twice'):
            parse(content, tmp_path)

    def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_it(self, tmp_path: Path) -> None:
        """Some programs that copy a file put it there."""
        (tmp_path / "results.json").write_text(json.dumps(document([])), encoding="utf-8-sig")
        assert load(tmp_path).results == []

    @pytest.mark.parametrize("key", ["kernel", "outcome", "longrepr", "evidence"])
    def test_what_is_missing_has_its_place(self, tmp_path: Path, key: str) -> None:
        found = document([result("yama/scope")])
        del found["results"][0][key]
        (tmp_path / "results.json").write_text(json.dumps(found))
        with pytest.raises(UsageError, match=rf"results\[0\]: object missing required field `{key}`"):
            load(tmp_path)

    def test_what_cannot_be_read_is_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "binary").write_bytes(b"{\xff}")
        for path, complaint in (
            (tmp_path, "this directory has no results.json"),
            (tmp_path / "none", "cannot be read: No such file"),
            (tmp_path / "binary", "no UTF-8 text at byte 1"),
        ):
            with pytest.raises(UsageError, match=complaint):
                load(path)

    def test_half_a_character_can_be_written_again(self, tmp_path: Path) -> None:
        path = write(tmp_path / "report", result("yama/scope", "fail", "\udcff"))
        assert "\\udcff" in (path / "results.json").read_text()
        assert load(path).results[0].reason.encode() == b"\\udcff"

    def test_more_than_we_know_is_no_fault(self) -> None:
        found = read(result("yama/scope", later="x"), later="x")
        assert len(found.results) == 1

    def test_a_run_that_did_not_end_is_read_with_a_remark(self) -> None:
        assert "still going on or was killed" in read(state="running").remarks()[0]
        assert "was interrupted" in read(state="interrupted").remarks()[0]
        assert "1 of 2 tests did not run" in read(result("yama/scope"), collected=2).remarks()[0]
        assert "not all tests were chosen, only: -k yama" in read(selection="-k yama").remarks()[0]


COLUMNS = ("pass", "fail", "error", "skip", "waived", "unexpected-pass")

#   was                  pass              fail       error     skip              waived    unexpected-pass
BECAME = {
    "pass": (None, "failing", "errors", "not applicable", "waived", None),
    "fail": ("passing", None, "errors", "not applicable", "waived", "passing"),
    "error": ("passing", "failing", None, "not applicable", "waived", "passing"),
    "skip": ("applicable", "failing", "errors", None, "waived", "applicable"),
    "waived": ("passing", "failing", "errors", "not applicable", None, "passing"),
    "unexpected-pass": (None, "failing", "errors", "not applicable", "waived", None),
    "absent": ("new", "failing", "errors", "new", "new", "new"),
}


@pytest.mark.parametrize("after", COLUMNS)
@pytest.mark.parametrize("before", BECAME)
def test_what_a_test_has_become(before: str, after: str) -> None:
    old = [] if before == "absent" else [result("yama/scope", before)]
    kind = BECAME[before][COLUMNS.index(after)]
    found = compare(read(*old, result("yama/same")), read(result("yama/scope", after), result("yama/same")))
    assert {name: len(changes) for name, changes in found.changes.items() if changes} == ({kind: 1} if kind else {})
    assert found.same == (1 if kind else 2)
    assert found.exit_status == {"failing": 1, "errors": 3}.get(str(kind), 0)


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


NASTY = "<script>alert(1)</script> | `code` *x*\x1b[2J @all"


class TestFormats:
    OLD = (result("yama/a"), result("yama/b", "fail"), *(result(f"yama/gone{n}") for n in range(60)))
    NEW = (result("yama/a", "fail", NASTY), result("yama/b"))

    @pytest.mark.parametrize("form", diff.FORMATS)
    def test_each_says_what_changed_and_what_it_comes_to(self, form: str) -> None:
        text = diff.FORMATS[form](compare(read(*self.OLD), read(*self.NEW)))
        for words in ("newly failing: 1", "newly passing: 1", "gone: 60", "exit status 1: something newly fails"):
            assert words in text
        assert f"test_a[{FULL}]" in text
        assert "... and 10 more" in text
        assert "\x1b" not in text

    def test_nothing_is_left_out_if_all_is_asked_for(self) -> None:
        assert "test_gone59" in diff.as_text(compare(read(*self.OLD), read(*self.NEW)), most=None)

    def test_words_of_a_guest_are_no_markup(self) -> None:
        text = diff.as_markdown(compare(read(*self.OLD), read(*self.NEW)))
        assert r"\<script\>alert(1)\</script\> \| \`code\` \*x\*\\x1b\[2J \@all" in text

    def test_every_kind_has_a_title(self) -> None:
        assert set(KINDS) == set(compare(read(*self.OLD), read(*self.NEW)).changes)


class TestCommand:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> tuple[str, str]:
        old = write(tmp_path / "old", result("yama/scope"))
        new = write(tmp_path / "new", result("yama/scope", "fail", "evil \udcff \u2192 OK", on=NEXT))
        return str(old), str(new / "results.json")

    def test_the_exit_status_is_a_gates(self, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["diff", *runs]) == 1
        assert f"kernel: {FULL} -> {NEXT}" in capsys.readouterr().out
        assert main(["diff", runs[0], runs[0]]) == 0
        assert "1 as before" in capsys.readouterr().out

    def test_a_file_is_written(
        self, runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["diff", *runs, "--format=markdown", f"--output={tmp_path / 'd.md'}"]) == 1
        assert "evil \\\\udcff \u2192 OK" in (tmp_path / "d.md").read_text(encoding="utf-8")
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            pytest.param(lambda _: [], "required: COMMAND", id="no-command"),
            pytest.param(lambda runs: ["diff", runs[0]], "required: NEW", id="one-run"),
            pytest.param(lambda runs: ["diff", *runs, "--format=pdf"], "invalid choice: 'pdf'", id="format"),
            pytest.param(lambda runs: ["diff", *runs, "--kernel=x"], "write OLD=NEW", id="no-pair"),
            pytest.param(lambda runs: ["diff", *runs, "--kernel=x=y"], "the old run has no kernel 'x'", id="kernel"),
            pytest.param(lambda runs: ["diff", runs[0], "/none"], "/none: cannot be read", id="no-file"),
            pytest.param(lambda runs: ["diff", *runs, "--output=/none/x"], "/none/x: cannot be written", id="output"),
            pytest.param(lambda runs: ["diff", runs[0], "a\0b"], "cannot be read", id="nul"),
        ],
    )
    def test_wrong_use_is_4_and_a_sentence(
        self,
        runs: tuple[str, str],
        capsys: pytest.CaptureFixture[str],
        change: Callable[[tuple[str, str]], list[str]],
        complaint: str,
    ) -> None:
        try:
            status = main(change(runs))
        except SystemExit as ended:
            status = int(str(ended.code))
        said = capsys.readouterr().err
        assert status == 4
        assert complaint in said
        assert "Traceback" not in said

    def test_it_is_a_program_for_any_locale(self, runs: tuple[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "kconform", "diff", *runs],
            cwd=ROOT,
            env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 1, done.stderr
        assert b"evil \\udcff \\u2192 OK" in done.stdout
        assert TIME.encode() in done.stdout
