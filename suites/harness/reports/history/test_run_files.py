# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files a history reads, and what it does with those that are none of ours."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.errors import UsageError
from reports.history import fleet_history, kept_runs, run_files
from reports.history.fleet_history import COPY, PART, history
from reports.history.kept_runs import KeptRuns
from reports.model.document import load
from reports.model.report_directory import SIZE_LIMIT, update_latest
from suites.harness import hostile_files as hostile
from suites.harness.reports.documents import document, kernel, result
from suites.harness.reports.history import fleet_sample
from suites.harness.reports.history.small_fleet import Fleet

PASS = {"yama/scope": "pass"}


def test_reports_are_found_at_any_depth_and_once(fleet: Fleet, tmp_path: Path) -> None:
    path = fleet.run("6.12.0", PASS)
    update_latest(path)
    deep = tmp_path / "fleet" / "week" / "shard-1"
    deep.mkdir(parents=True)
    (deep / "results.json").write_bytes((path / "results.json").read_bytes())
    (path / "evidence" / "a-test").mkdir(parents=True)
    (path / "evidence" / "a-test" / "results.json").write_text("{}")
    found = run_files.find([tmp_path, tmp_path / "fleet", path / "results.json"])
    assert sorted(found) == [path / "results.json", deep / "results.json"]


def test_a_folder_without_a_report_and_one_that_is_not_there_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no results\.json in there"):
        run_files.find([tmp_path])
    with pytest.raises(UsageError, match="none: cannot be read: No such file"):
        run_files.find([tmp_path / "none"])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_files_of_older_versions_are_read(tmp_path: Path, version: int) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document([result("yama/scope")]) | {"schema": version}))
    assert run_files.read(path).results[0].nodeid.startswith("suites/yama/test_it.py")


def _without(*keys: str) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key][0] if isinstance(content[key], list) else content[key]
        del content[keys[-1]]

    return change


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "newer": lambda content: content.update(schema=99),
    "no-schema": lambda content: content.update(schema=0),
    "no-run": _without("run"),
    "no-outcome": _without("results", "outcome"),
    "outcome": lambda content: content["results"][0].update(outcome="splendid"),
    "time": lambda content: content["run"].update(started="yesterday"),
    "duration": lambda content: content["results"][0].update(duration_s=-1),
    "unknown-kernel": lambda content: content["results"][0].update(kernel="nobody"),
    "kernel-twice": lambda content: content["kernels"].append(content["kernels"][0]),
    "promise-twice": lambda content: content["requirements"].append(content["requirements"][0]),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_left_out_in_the_words_of_every_command(
    fleet: Fleet, change: Callable[[dict[str, Any]], object]
) -> None:
    fleet.run("6.12.0", PASS)
    path = fleet.run("6.12.1", PASS) / "results.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as said:
        load(path)
    found = fleet.history()
    assert len(found.runs) == 1
    assert [(f"{each.path}: {each.why}", each.counted) for each in found.left_out] == [(said.value.message, False)]


def test_files_of_other_tools_are_left_out(fleet: Fleet) -> None:
    fleet.run("6.12.0", PASS)
    for name, content in (("a", b'{"numTotalTests": 3}'), ("b", b""), ("c", b"\xff\0"), ("d", b'{"schema": 1,')):
        (fleet.folder / name).mkdir()
        (fleet.folder / name / "results.json").write_bytes(content)
    hostile.not_a_file(fleet.folder / "e", "folder")
    hostile.not_a_file(fleet.folder / "e" / "results.json", "fifo")
    found = fleet.history()
    assert [Path(each.path).parent.name for each in found.left_out] == ["a", "b", "c", "d", "e"]
    assert all(each.why for each in found.left_out)


def test_a_byte_order_mark_and_half_a_character_are_read_as_by_other_commands(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    content = json.dumps(document([result("yama/scope", "fail", "half: \udc80")]))
    path.write_text("\ufeff" + content, encoding="utf-8")
    assert run_files.read(path).results[0].reason == load(path).results[0].reason


def test_a_copy_counts_once(fleet: Fleet) -> None:
    path = fleet.run("6.12.0", PASS)
    copy = fleet.folder / "elsewhere"
    copy.mkdir()
    (copy / "results.json").write_bytes((path / "results.json").read_bytes())
    found = fleet.history()
    assert len(found.runs) == 1
    assert [(each.why, each.counted) for each in found.left_out] == [(COPY, True)]


def test_a_merged_report_may_have_the_name_of_its_parts(fleet: Fleet) -> None:
    """As where each job and the merge write to `report`."""
    run = load(fleet.run("6.12.0", PASS, id="report")).run
    part = {"path": "x", "id": "report", "state": "finished", "started": run.started, "exit_status": 0}
    whole = fleet.run("6.12.0", PASS, id="report", started=run.started, duration_s=9, merged=[part])
    assert [each.path for each in fleet.history().runs] == [str(whole / "results.json")]


def test_of_a_merged_report_and_its_parts_only_the_whole_counts(fleet: Fleet) -> None:
    paths = [fleet.run(f"6.12.{number}", PASS, id=f"shard-{number}") for number in (1, 2)]
    runs = [load(path).run for path in paths]
    parts = [
        {"path": "x", "id": run.id, "state": "finished", "started": run.started, "exit_status": 0} for run in runs
    ]
    whole = fleet.run("6.12.1", PASS, id="whole", started=runs[0].started, merged=parts)
    found = fleet.history()
    assert [run.path for run in found.runs] == [str(whole / "results.json")]
    assert [each.why for each in found.left_out] == [PART, PART]


class TestLimits:
    def test_more_results_than_fit_are_wrong_use(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kept_runs, "KEPT_LIMIT", 2000)
        for number in range(3):
            fleet.run(f"6.12.{number}", PASS)
        assert len(fleet.history().runs) == 3
        fleet.run("6.12.3", PASS)
        with pytest.raises(UsageError, match=r"results\.json, with the runs before: more than 2,000 results"):
            fleet.history()

    @pytest.mark.parametrize("attack", ["tests", "promises", "reasons", "areas", "sentences"])
    def test_more_text_than_fits_is_wrong_use(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, attack: str
    ) -> None:
        monkeypatch.setattr(kept_runs, "TEXT_LIMIT", 1_500)
        for number in range(9):
            file = (
                fleet.run("6.12.0", {"yama/scope": "fail"}, started=f"2026-11-01T10:00:00.{number:03}Z")
                / "results.json"
            )
            text = file.read_text()
            words = {
                "tests": text.replace("::test_scope", f"::test_{number}"),
                "promises": text.replace("yama.scope", f"yama.{number}"),
                "reasons": text.replace("why fail", f"why {number}"),
                "areas": text.replace('"area": "yama"', f'"area": "{number}"'),
                "sentences": text.replace("The promise", f"The promise {number}"),
            }
            file.write_text(words[attack])
        with pytest.raises(UsageError, match="more than 1,500 characters in names and reasons"):
            fleet.history()

    @pytest.mark.parametrize("attack", ["kernels", "failures"])
    def test_what_takes_more_room_counts_for_more(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, attack: str
    ) -> None:
        monkeypatch.setattr(kept_runs, "KEPT_LIMIT", 5000)
        if attack == "kernels":
            fleet.run_on([kernel(f"debian-6.12.{number}/full") for number in range(20)], PASS)
        else:
            fleet.run("6.12.0", {f"yama/test_{number}": "fail" for number in range(200)})
        with pytest.raises(UsageError, match="more than 5,000 results and other values"):
            fleet.history()

    def test_what_is_only_shown_is_cut(self, fleet: Fleet) -> None:
        long = "x" * 100_000
        known = kernel("debian-6.12.0/full", release=long, identity=long, version="6.12.0")
        fleet.run_on([known], PASS, id=long, selection=long, suite=long)
        found = fleet.history()
        assert len(found.runs[0].id) == len(found.runs[0].selection or "") == kept_runs.SHORT
        assert len(msgspec.json.encode(found)) < 10_000

    def test_a_table_that_would_be_too_large_is_wrong_use(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fleet_history, "CELLS_LIMIT", 3)
        for number in range(4):
            fleet.run(f"6.12.{number}", PASS)
        with pytest.raises(UsageError, match="more than 3 cells"):
            fleet.history()

    def test_a_reason_is_cut(self, fleet: Fleet) -> None:
        file = fleet.run("6.12.0", {"yama/scope": "fail"}) / "results.json"
        file.write_text(file.read_text().replace("why fail", "x" * 100_000))
        (each,) = fleet.series().breakages
        assert each.reason == "x" * kept_runs.SHORT

    def test_of_each_result_only_a_few_bytes_are_kept(self) -> None:
        """A run of 1,600 results is 1.7 MB of JSON, and as records 2 MB: a thousand of them must fit into 500 MB."""
        kept = KeptRuns()
        sizes = []
        tracemalloc.start()
        try:
            for run in range(30):
                file = msgspec.convert(fleet_sample.results_of(run, 1600), run_files.BriefFile)
                assert kept.add(Path(f"{run}/results.json"), file)
                del file
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert (sizes[-1] - sizes[9]) / 20 < 100_000

    def test_no_file_is_kept_when_the_next_is_read(self, tmp_path: Path) -> None:
        text = json.dumps(fleet_sample.results_of(0, 400))
        for run in range(40):
            path = tmp_path / str(run) / "results.json"
            path.parent.mkdir()
            longer = text.replace('"longrepr": ""', f'"longrepr": "{"x" * 2000}"')
            path.write_text(longer.replace("run-0", f"run-{run}"))
        together = sum(path.stat().st_size for path in tmp_path.rglob("results.json"))
        tracemalloc.start()
        try:
            found = history([tmp_path])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(found.runs) == 40
        # Python takes the most that a file may have before it reads one, and gives the rest back.
        assert peak - SIZE_LIMIT < together / 4


def test_a_promise_is_told_in_the_words_of_the_latest_run(fleet: Fleet) -> None:
    for number in range(3):
        file = fleet.run(f"6.12.{number}", PASS) / "results.json"
        file.write_text(file.read_text().replace("The promise", f"Words {number} of"))
    assert [each.text for each in fleet.history().promises] == ["Words 2 of yama.scope."]
    assert [each.text for each in history([fleet.folder / "day-1"]).promises] == ["Words 0 of yama.scope."]
