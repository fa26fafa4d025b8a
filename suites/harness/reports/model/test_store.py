# SPDX-License-Identifier: GPL-2.0-or-later
"""The store of a run's results, and how it writes results.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from reports.model import store
from reports.model.document import load as load_document
from reports.model.result import KernelRecord, Verdict
from reports.model.run_record import RunRecord, SuiteRecord
from suites.harness.reports.documents import REQUIREMENTS, TIME, kernel_record, numbered_record


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


class TestStore:
    def store(self, directory: Path, clock: list[float]) -> store.Store:
        return store.Store(directory, REQUIREMENTS, lambda: clock[0])

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
            kept.add(numbered_record(number, verdict), kernel_record())
        kept.add(numbered_record(9, "skip", kernel="other/full"), KernelRecord.of({"id": "other/full"}))
        kept.write(run())
        written = json.loads((tmp_path / "results.json").read_text())["requirements"][0]
        assert written["status"] == {"k/full": status, "other/full": "skipped"}
        assert len(written["nodeids"]) == len(verdicts) + 1

    def test_a_kernel_is_what_all_its_tests_know_of_it(self, tmp_path: Path) -> None:
        kept = self.store(tmp_path, [0.0])
        kept.add(numbered_record(0, "skip"), kernel_record(release="6.12"))
        kept.add(numbered_record(1), kernel_record(accel="tcg"))
        assert kept.kernels == {"k/full": kernel_record(release="6.12", accel="tcg")}

    def test_kernels_are_in_an_order_that_does_not_depend_on_their_tests(self, tmp_path: Path) -> None:
        in_order = [
            "debian-6.9/full",
            "debian-6.12.9/full",
            "debian-6.12.117+deb13",
            "debian-6.12.117/full",
            "fedora-6",
        ]
        for added in (sorted(in_order), sorted(in_order, reverse=True)):
            kept = self.store(tmp_path, [0.0])
            for identifier in added:
                kept.add_kernel(KernelRecord.of({"id": identifier}))
            assert list(kept.kernels) == in_order

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
        kept.add(numbered_record(0, "fail", reason="evil -> OK"), kernel_record(accel="tcg", boot_complaint="BUG"))
        kept.add(numbered_record(1, "skip", kernel=None), None)
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
