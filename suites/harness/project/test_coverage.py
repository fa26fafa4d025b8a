# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform coverage`: from the counters of guests to tables, a list of gaps, pages and the map of lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs.kernel import Kernel
from reports.judgement.exit_status import NOTHING_RAN, WRONG_USE
from suites import report_of_run
from suites.coverage import __main__ as command
from suites.coverage import argued_lines, coverage_tables, html_report
from suites.coverage.argued_lines import ArguedPlace
from suites.coverage.counter_folder import CounterFolder
from suites.coverage.line_map import load_map
from suites.coverage.measurement import Measurement, measure
from suites.harness.project import coverage_sample as sample
from suites.harness.project.coverage_sample import DENIED, FILE, GRANTED, OTHER, SOURCE, CountedProgram, line_of
from suites.harness.reports import documents


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> CountedProgram:
    return CountedProgram(tmp_path_factory.mktemp("program"))


@pytest.fixture
def folder(program: CountedProgram, tmp_path: Path) -> CounterFolder:
    return program.folder(tmp_path / "report" / "coverage")


@pytest.fixture
def found(folder: CounterFolder) -> Measurement:
    return measure(folder)


class TestMeasuring:
    def test_a_test_executes_what_its_boot_does_not(self, found: Measurement) -> None:
        denied = found.executed[DENIED][FILE]
        assert {line_of("scope > 1"), line_of("return -1")} <= denied
        assert line_of("return value + 1") not in denied
        assert found.executed[OTHER] == {FILE: set()}

    def test_two_sides_of_a_condition_are_two_lines(self, found: Measurement) -> None:
        assert found.executed[DENIED][FILE] - found.executed[GRANTED][FILE] == {line_of("return -1")}

    def test_conditions_that_gcc_would_join_are_branches_of_their_own(self, found: Measurement) -> None:
        """`scope > 1 && !caps`: two conditions, of which only `scope > 1` was always true."""
        assert [bool(count) for count in found.total[FILE].lines[line_of("scope > 1")].branches].count(False) == 1
        assert len(found.total[FILE].lines[line_of("scope > 1")].branches) == 4

    def test_areas_are_counted_apart(self, found: Measurement) -> None:
        assert set(found.areas) == {"seccomp", "yama"}
        assert found.areas["yama"][FILE].lines[line_of("return -1")].count == 1
        assert found.areas["seccomp"][FILE].lines[line_of("return -1")].count == 0
        assert found.total[FILE].lines[line_of("scope > 1")].count == 2

    def test_a_test_without_counters_is_named_with_the_reason(self, found: Measurement) -> None:
        assert found.missing == {"suites/yama/test_it.py::test_crash": "it went down"}

    def test_a_folder_without_counters_is_wrong_use(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there are no counters in"):
            measure(CounterFolder(tmp_path))

    def test_counters_of_another_build_are_an_error(self, folder: CounterFolder) -> None:
        (folder.notes / FILE).with_suffix(".gcno").write_bytes(b"oncg" + bytes(16))
        with pytest.raises(KconformError, match="gcov"):
            measure(folder)

    def test_a_gcov_that_is_not_installed_is_named(self, folder: CounterFolder) -> None:
        listed = folder.notes / "files.json"
        listed.write_text(json.dumps(json.loads(listed.read_text()) | {"gcov": "gcov-of-no-gcc"}))
        with pytest.raises(KconformError, match="gcov-of-no-gcc cannot be run: No such file"):
            measure(folder)


class TestFolder:
    def test_one_that_has_something_else_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis").touch()
        with pytest.raises(UsageError, match="has something else than counters"):
            CounterFolder(tmp_path).begin()
        assert (tmp_path / "thesis").exists()

    def test_the_next_run_begins_anew(self, folder: CounterFolder) -> None:
        folder.begin()
        assert folder.tests() == []

    def test_a_kernel_that_does_not_count_is_wrong_use(self, program: CountedProgram, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="does not count which lines it executes") as caught:
            CounterFolder(tmp_path).set_kernel(_replaced(program.kernel, flavor="full", counted=None))
        assert "--flavor=coverage" in caught.value.hint

    def test_workers_that_begin_at_once_share_it(self, program: CountedProgram, tmp_path: Path) -> None:
        made = CounterFolder(tmp_path / "counters")
        made.begin()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: CounterFolder(made.path).set_kernel(program.kernel), range(32)))
        assert [file.source for file in made.files] == [FILE]

    def test_counters_of_two_kernels_are_not_mixed(self, program: CountedProgram, folder: CounterFolder) -> None:
        folder.set_kernel(program.kernel)
        with pytest.raises(UsageError, match=r"has counters of linux-6\.12\.7/coverage, and cannot take those of"):
            folder.set_kernel(_replaced(program.kernel, digest="other"))


def _replaced(kernel: Kernel, **changes: object) -> Kernel:
    return Kernel(**{**vars(kernel), **changes})


class TestTables:
    def test_files_and_functions_have_their_figures(self, found: Measurement) -> None:
        lines = list(coverage_tables.tables(found, {FILE: {}}))
        assert lines[0] == "| file | lines | branches | seccomp | yama | argued | open |"
        assert lines[3].startswith("| all | ")
        [never] = [line for line in lines if line.startswith("| `never` |")]
        assert never.split("|")[2:4] == [" 0 of 2 (0 %) ", " - "]
        assert never.endswith(f"| {line_of('never(int')}, {line_of('return value')} |")

    def test_a_gap_is_listed_with_its_text(self, found: Measurement) -> None:
        listed = list(coverage_tables.listed_gaps(found, {FILE: {}}))
        number = line_of("return value")
        assert f"{FILE}:{number}: never: never executed: return value + 1;" in listed
        [condition] = [line for line in listed if line.startswith(f"{FILE}:{line_of('scope > 1')}: ")]
        assert " of 4 never taken: if (scope > 1 && !caps)" in condition

    def test_what_is_argued_is_not_open(self, found: Measurement) -> None:
        place = ArguedPlace(FILE, "static int never(int value)\n{\n\treturn value + 1;\n}\n", "Nobody gives nine.")
        argued = argued_lines.argued_lines([place], found.sources)
        assert sorted(argued[FILE]) == list(range(line_of("never(int"), line_of("never(int") + 4))
        assert not [line for line in coverage_tables.listed_gaps(found, argued) if ": never: " in line]
        assert list(coverage_tables.overtaken(found, argued)) == []
        assert list(coverage_tables.tables(found, argued))[2].split("|")[-3] == " 2 "

    def test_an_argument_that_a_test_refutes_is_named(self, found: Measurement) -> None:
        argued = argued_lines.argued_lines([ArguedPlace(FILE, "return -1;", "It cannot be.")], found.sources)
        assert list(coverage_tables.overtaken(found, argued)) == [
            f"{FILE}:{line_of('return -1')}: executed after all, although: It cannot be."
        ]

    @pytest.mark.parametrize(("find", "times"), [("static int ", 2), ("goto out;", 0)])
    def test_an_argument_needs_one_place(self, find: str, times: int) -> None:
        place = ArguedPlace(FILE, find, "Why.")
        assert argued_lines.without_place([place], {FILE: SOURCE}) == [f"{FILE} has {find.strip()!r} {times} times"]
        assert list(place.lines(SOURCE)) == []

    def test_the_projects_own_arguments_can_be_read(self) -> None:
        assert all(one.why.endswith(".") for one in argued_lines.load_arguments())


class TestCommand:
    @pytest.fixture(autouse=True)
    def _cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path / "cache"))

    @staticmethod
    def run(report: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        monkeypatch.setattr(command, "is_report", lambda path: path == report)
        monkeypatch.setattr(command, "_durations", lambda _: {DENIED: 0.25})
        return command.main([str(report), *arguments])

    def test_a_report_becomes_tables_and_a_map(
        self,
        folder: CounterFolder,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        report = folder.path.parent
        assert self.run(report, monkeypatch, "--missing", f"--table={tmp_path}/table.md") == 0
        said = capsys.readouterr().out
        assert (tmp_path / "table.md").read_text() in said
        assert "return value + 1;" in said
        assert f"the counters of 3 guests of {sample.KERNEL}; 1 gave none" in said
        assert "no counters: suites/yama/test_it.py::test_crash: it went down" in said
        assert [test.seconds for test in load_map().tests if test.name == DENIED] == [0.25]

    @pytest.mark.parametrize(
        ("place", "status", "tests"),
        [
            (f"{FILE}:{line_of('return -1')}", 0, [DENIED]),
            (f"{FILE}:check", 0, [DENIED, GRANTED]),
            (f"{FILE}:never", 1, []),
        ],
    )
    def test_a_place_has_its_tests(
        self,
        folder: CounterFolder,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        place: str,
        status: int,
        tests: Sequence[str],
    ) -> None:
        self.run(folder.path.parent, monkeypatch)
        capsys.readouterr()
        assert command.main([place]) == status
        said = capsys.readouterr().out
        assert {name for name in (DENIED, GRANTED, OTHER) if f"s  {name}\n" in said} == set(tests)
        assert f"{len(tests)} of 3 recorded tests execute that" in said

    @pytest.mark.parametrize("ended", [WRONG_USE, NOTHING_RAN])
    def test_a_run_without_results_is_not_reported_as_a_former_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ended: int
    ) -> None:
        documents.write(tmp_path / "report", documents.result("yama/a"))
        monkeypatch.setattr(report_of_run, "wait_for_tests", lambda _: ended)
        assert command.main(["yama", f"--report-dir={tmp_path / 'report'}"]) == ended
        assert f"no test ran: pytest ended with {ended}" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["kernel/seccomp.c:1"], "no run has recorded yet which tests execute which lines"),
            (["yama", "kernel/seccomp.c:1"], "FILE:LINE and areas are asked for apart"),
            (["yamma"], "'yamma' is neither an area nor the report of a run"),
            (["yama", "--table=/nonexistent/table.md"], "/nonexistent/table.md cannot be written"),
        ],
    )
    def test_wrong_use_ends_with_4(self, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(arguments) == 4
        assert said in capsys.readouterr().err


class TestPages:
    def test_they_show_the_source_with_its_counts(self, folder: CounterFolder, tmp_path: Path) -> None:
        pytest.importorskip("gcovr")
        page = html_report.write_html(folder, tmp_path / "html")
        assert f"Coverage of {sample.KERNEL}" in page.read_text()
        pages = "".join(path.read_text() for path in page.parent.glob("*.html"))
        assert "yama_lsm.c" in pages
        assert "return" in pages

    def test_without_gcovr_the_message_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(UsageError, match="pages of HTML need gcovr") as caught:
            html_report.require_gcovr()
        assert "tox -e coverage" in caught.value.hint
