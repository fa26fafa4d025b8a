# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the report that need no run: requirements, slugs, verdicts, the exit status, the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from common.errors import UsageError
from reports.judgement.exit_status import Ending, exit_status
from reports.judgement.verdict import REASON_LIMIT, reason_of
from reports.model import evidence, report_directory, store
from reports.model.display import lines, one_line, tail
from reports.model.document import load as load_document
from reports.model.requirements import Requirement, load
from reports.model.result import KernelRecord, Result, RunRecord, SuiteRecord, Verdict, clean, clean_text
from reports.run.terminal_summary import Summary
from suites.harness.reports.documents import TIME, record

GOOD = """
[[requirement]]
id = "yama.scope-1"
text = "At scope 1 a task may attach only to its descendants."
source = "security/yama/yama_lsm.c"
since = "3.4"
"""


def write_toml(root: Path, text: str, area: str = "yama") -> Path:
    folder_ = root / area
    folder_.mkdir(exist_ok=True)
    (folder_ / "requirements.toml").write_text(text)
    return root


class TestRequirements:
    def test_a_file_is_read_into_records(self, tmp_path: Path) -> None:
        found = load(write_toml(tmp_path, GOOD))
        assert list(found) == ["yama.scope-1"]
        assert found["yama.scope-1"].area == "yama"
        assert found["yama.scope-1"].until is None

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            pytest.param("[[requirement]\n", ":1: not a list of requirements: this is not TOML", id="no-toml"),
            pytest.param(GOOD.replace('since = "3.4"\n', ""), "(yama.scope-1): 'since' is missing", id="missing-key"),
            pytest.param(GOOD + 'untill = "4.0"\n', "did you mean 'until'", id="misspelt-key"),
            pytest.param(GOOD.replace('"3.4"', "3.4"), "'since' must be a non-empty string", id="number"),
            pytest.param(GOOD.replace('"3.4"', '"v3"'), "'since' must be a kernel version", id="no-version"),
            pytest.param(GOOD + GOOD, "another requirement with the id 'yama.scope-1'", id="twice"),
            pytest.param(GOOD.replace("yama.s", "loadpin.s"), "must look like 'yama.scope-1'", id="other-area"),
            pytest.param("[requirement]\nid = 'yama.x'\n", "two brackets", id="one-bracket"),
            pytest.param(
                "[[requirements]]\nid = 'yama.x'\n",
                "unknown key 'requirements'; did you mean 'requirement'",
                id="plural",
            ),
        ],
    )
    def test_a_bad_file_is_wrong_use_with_its_place(self, tmp_path: Path, text: str, complaint: str) -> None:
        with pytest.raises(UsageError) as caught:
            load(write_toml(tmp_path, text))
        assert str(tmp_path / "yama" / "requirements.toml") in str(caught.value)
        assert complaint in str(caught.value)

    @pytest.mark.parametrize(
        ("since", "until", "version", "reason"),
        [
            ("5.9", None, (5, 4), "since Linux 5.9, this is 5.4"),
            ("5.9", None, (5, 9), ""),
            ("5.9", None, (6, 1, 0), ""),
            ("5.9", None, (5, 10, 3), ""),
            ("5.9.0", None, (5, 9), ""),
            ("5.9.1", None, (5, 9), "since Linux 5.9.1, this is 5.9"),
            ("3.4", "6.5", (6, 5, 13), ""),
            ("3.4", "6.5", (6, 6), "until Linux 6.5, this is 6.6"),
            ("3.4", "6.5", (7,), "until Linux 6.5, this is 7"),
            ("3.4", None, (), ""),
        ],
    )
    def test_a_promise_applies_from_one_version_to_another(
        self, since: str, until: str | None, version: tuple[int, ...], reason: str
    ) -> None:
        assert Requirement("yama.x", "text", "source", since, until).excludes(version) == reason


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


def test_a_tail_says_what_it_leaves_out_and_moves_no_cursor() -> None:
    assert tail("a\nb\n\x1b[2Jc\td", 2) == "[... 1 lines before these]\nb\n\\x1b[2Jc   d"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BUG: \x1b[2J\x1b]0;x\x07", "BUG: \\x1b[2J\\x1b]0;x\\x07"),
        ("a\u202eb", "a\\u202eb"),
        ("::error file=a.c,line=1::forged", "\\x3a:error file=a.c,line=1::forged"),
        ("  ::add-mask::kernel", "  \\x3a:add-mask::kernel"),
        ("a ##[error]forged", "a \\x23#[error]forged"),
        ("##vso[task.complete]", "\\x23#vso[task.complete]"),
        ("test_x.py::test_y[#1]", "test_x.py::test_y[#1]"),
    ],
)
def test_a_text_is_printed_such_that_nobody_obeys_it(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert lines(f"first\n{text}") == f"first\n{'' if shown.startswith('  ') else '  '}{shown}"


class GuestError(Exception):
    verdict = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class TestReasons:
    @pytest.mark.parametrize(
        ("raised", "reason"),
        [
            (AssertionError("evil -> OK, expected EPERM\nassert 0 == 1"), "evil -> OK, expected EPERM"),
            (AssertionError("assert evil.attach() -> OK, expected EPERM"), "evil.attach() -> OK, expected EPERM"),
            (AssertionError("assert 1 == 2"), "assert 1 == 2"),
            (AssertionError(), "an assertion failed"),
            (TypeError("unsupported\nmore"), "TypeError: unsupported"),
            (KeyError(), "KeyError"),
            (GuestError("no answer", hint="look at the console"), "no answer (hint: look at the console)"),
            (GuestError(""), "GuestError"),
        ],
    )
    def test_a_reason_is_one_line(self, raised: BaseException, reason: str) -> None:
        assert reason_of(raised) == reason

    def test_a_reason_is_bounded(self) -> None:
        assert len(reason_of(ValueError("x" * 9999))) == REASON_LIMIT


@pytest.mark.parametrize(
    ("counts", "statuses", "ending", "status"),
    [
        ({"pass": 1}, {}, Ending(), 0),
        ({"pass": 1, "skip": 3}, {}, Ending(), 0),
        ({"pass": 1, "fail": 1, "error": 1}, {4}, Ending(), 1),
        ({"pass": 1, "fail": 1}, {}, Ending(interrupted=True), 2),
        ({"pass": 1, "error": 1}, {3}, Ending(), 3),
        ({"pass": 1}, {}, Ending(write_failed=True), 3),
        ({"fail": 1}, {}, Ending(write_failed=True), 1),
        ({"fail": 1}, {}, Ending(internal_error=True), 3),
        ({"pass": 1, "error": 1}, {4}, Ending(), 4),
        ({"pass": 1}, {}, Ending(wrong_use=True), 4),
        ({}, {}, Ending(), 5),
        ({"skip": 7}, {}, Ending(), 5),
        ({"pass": 1}, {}, Ending(asked_for=3), 3),
    ],
)
def test_the_exit_status_table(
    counts: Mapping[Verdict, int], statuses: set[int], ending: Ending, status: int
) -> None:
    assert exit_status(counts, frozenset(statuses), ending) == status


def result(number: int = 0, verdict: Verdict = "pass", *, kernel: str | None = "k/full", reason: str = "") -> Result:
    return record(f"suites/yama/test_x.py::test_{number}", verdict, reason, kernel=kernel)


def run(identifier: str = "run", argv: Sequence[str] = ()) -> RunRecord:
    return RunRecord(
        id=identifier,
        state="running",
        started=TIME,
        finished=None,
        duration_s=0,
        exit_status=None,
        collected=0,
        counts={},
        argv=list(argv),
        host={},
        suite=SuiteRecord(None),
        versions={},
    )


def kernel(**known: str | None) -> KernelRecord:
    return KernelRecord.of({"id": "k/full", **known})


class TestStore:
    REQUIREMENTS: Mapping[str, Requirement] = {"yama.scope-1": Requirement("yama.scope-1", "text", "source", "3.4")}

    def store(self, directory: Path, clock: list[float]) -> store.Store:
        return store.Store(directory, self.REQUIREMENTS, lambda: clock[0])

    @pytest.mark.parametrize(
        ("verdicts", "status"),
        [
            (["pass", "skip"], "held"),
            (["pass", "error"], "unknown"),
            (["error", "fail", "pass"], "broken"),
            (["skip"], "skipped"),
        ],
    )
    def test_a_requirement_has_the_worst_of_its_tests(
        self, tmp_path: Path, verdicts: list[Verdict], status: str
    ) -> None:
        kept = self.store(tmp_path, [0.0])
        for number, verdict in enumerate(verdicts):
            kept.add(result(number, verdict), kernel())
        kept.add(result(9, "skip", kernel="other/full"), KernelRecord.of({"id": "other/full"}))
        kept.write(run())
        written = json.loads((tmp_path / "results.json").read_text())["requirements"][0]
        assert written["status"] == {"k/full": status, "other/full": "skipped"}
        assert len(written["nodeids"]) == len(verdicts) + 1

    def test_a_kernel_is_what_all_its_tests_know_of_it(self, tmp_path: Path) -> None:
        kept = self.store(tmp_path, [0.0])
        kept.add(result(0, "skip"), kernel(release="6.12"))
        kept.add(result(1), kernel(accel="tcg"))
        assert kept.kernels == {"k/full": kernel(release="6.12", accel="tcg")}

    def test_a_small_file_is_written_for_each_result_and_a_large_one_at_a_bounded_rate(self, tmp_path: Path) -> None:
        clock = [0.0]
        kept = self.store(tmp_path, clock)
        kept.write(run())
        assert kept.due()
        kept.write(run(argv=["x" * (store.WRITE_RATE // 2)]))
        clock[0] += 0.4
        assert not kept.due()
        clock[0] += 0.2
        assert kept.due()

    def test_the_document_is_what_is_read_back(self, tmp_path: Path) -> None:
        """A run makes its other files from the store's own document, and never reads its file."""
        kept = self.store(tmp_path, [0.0])
        kept.add(result(0, "fail", reason="evil -> OK"), kernel(accel="tcg", boot_complaint="BUG"))
        kept.add(result(1, "skip", kernel=None), None)
        kept.write(run())
        assert load_document(tmp_path) == kept.document(run())

    def test_a_failed_write_leaves_the_former_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = self.store(tmp_path, [0.0])
        kept.write(run("former"))

        def full(self: Path, content: bytes) -> int:
            with self.open("wb") as file:
                file.write(content[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            kept.write(run("next"))
        assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
        assert json.loads((tmp_path / "results.json").read_text())["run"]["id"] == "former"


def test_only_a_former_report_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    files = [tmp_path / name for name in ("index.html", "report.html", "junit.xml")]
    for path in files:
        path.touch()
    report_directory.clear_former(tmp_path)
    assert (tmp_path / "evidence").is_dir()
    assert all(path.exists() for path in files)
    (tmp_path / "results.json").write_text('{"schema": 1, "run": {}, "results": []}')
    report_directory.clear_former(tmp_path)
    assert not (tmp_path / "evidence").exists()
    assert not any(path.exists() for path in files)


def test_text_from_a_console_can_be_encoded() -> None:
    assert clean_text("ok \udcff") == "ok \\udcff"
    assert clean({"version": (6, 12), "name": "\udc80"}) == {"version": [6, 12], "name": "\\udc80"}


class TestSummary:
    def lines(self, found: list[Result], verbosity: int = 0) -> list[str]:
        summary = Summary(
            results=found,
            kernels={"k/full": kernel(release="6.12.1", accel="tcg")},
            requirements=TestStore.REQUIREMENTS,
            report_dir="out",
            status=1,
            problems=(),
        )
        return [line.text.strip() for line in summary.lines(verbosity=verbosity)]

    def test_equal_errors_are_one_entry(self) -> None:
        lines = self.lines([result(number, "error", reason="no boot") for number in range(60)])
        assert lines.count("no boot") == 1
        assert "suites/yama/test_x.py::test_0 and 59 more" in lines
        assert "k/full (6.12.1, tcg): 0 held, 0 broken, 0 not applicable, 60 errors" in lines

    def test_a_complaint_at_boot_is_told_with_its_kernel(self) -> None:
        summary = Summary(
            results=[result(1)],
            kernels={"k/full": kernel(boot_complaint="BUG: early")},
            requirements=TestStore.REQUIREMENTS,
            report_dir="out",
            status=0,
            problems=(),
        )
        lines = [line.text for line in summary.totals()]
        assert [line for line in lines if "complained" in line] == ["k/full complained while it booted: BUG: early"]

    def test_skips_are_counted_by_reason_and_left_out_with_q(self) -> None:
        skips = [result(number, "skip", reason="no CONFIG_X") for number in range(3)]
        assert "3  no CONFIG_X" in self.lines(skips)
        assert "3  no CONFIG_X" not in self.lines(skips, verbosity=-1)

    def test_a_long_list_is_cut_but_not_with_v(self) -> None:
        broken = [result(number, "fail", reason=f"reason {number}") for number in range(50)]
        assert "... and 30 more, see results.json" in self.lines(broken)
        assert "reason 49" not in self.lines(broken)
        assert "reason 49" in self.lines(broken, verbosity=1)
