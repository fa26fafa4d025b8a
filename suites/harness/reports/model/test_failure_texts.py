# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run writes can be read again, however many of its tests fail."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from reports.model import failure_texts
from reports.model.document import VALUES_LIMIT, load
from reports.model.failure_texts import LEFT_OUT, FailureTexts
from reports.model.report_directory import SIZE_LIMIT, is_report
from reports.model.result import KernelRecord, Result, Verdict
from reports.model.store import Store
from suites.harness.reports.documents import REQUIREMENTS, numbered_record
from suites.harness.reports.model.test_store import run

LONG = "E   QemuError: no room, [1, 2]\n" * 60
"""1.8 kB, as one of a guest."""


def failed(number: int, reason: str, longrepr: str = LONG, verdict: Verdict = "error") -> Result:
    return msgspec.structs.replace(numbered_record(number, verdict, reason=reason), longrepr=longrepr)


def kept(*results: Result) -> list[str]:
    texts = FailureTexts()
    return [texts.bounded(each).longrepr for each in results]


def test_an_error_is_in_full_once_and_the_others_say_where() -> None:
    first, other = failed(0, "no room"), failed(1, "no boot")
    same = f"the same error as that of {first.nodeid}, which has it in full"
    assert kept(first, other, failed(2, "no room"), first) == [LONG, LONG, same, LONG]
    # A merge stores again what is short already.
    assert kept(failed(2, "no room", same), first) == [same, LONG]


def test_a_failure_of_the_kernel_is_always_in_full() -> None:
    assert kept(*(failed(number, "EPERM", verdict="fail") for number in range(3))) == [LONG] * 3


@pytest.mark.parametrize("limit", ["TEXTS_LIMIT", "MARKS_LIMIT"])
def test_all_together_have_a_limit(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(failure_texts, limit, 200)
    texts = ["x" * 100, "," * 300, "x" * 50]
    found = kept(*(failed(number, str(number), text) for number, text in enumerate(texts)))
    assert found == [texts[0], LEFT_OUT, texts[2]]


def test_a_matrix_in_which_every_guest_fails_can_be_read(tmp_path: Path) -> None:
    """40 kernels with 500 tests: 2,000 would take a minute.  Evidence and names are as long as real ones."""
    store = Store(tmp_path, REQUIREMENTS, time.monotonic)
    kernels = [KernelRecord.of({"id": f"debian-6.12.{number}-cloud-amd64/full"}) for number in range(40)]
    titles = ("transcript", "process tree", "kernel log", "console")
    for kernel in kernels:
        for number in range(500):
            verdict: Verdict = "fail" if number % 4 else "error"
            found = failed(number, f"{number}: no room" if number % 2 else "no room", verdict=verdict)
            name = f"suites/yama/test_something_of_it.py::test_{number}[{kernel.id}-a-case-with-a-name]"
            evidence = {title: f"evidence/{name[:100]}/{title}.txt" for title in titles}
            store.add(msgspec.structs.replace(found, nodeid=name, kernel=kernel.id, evidence=evidence), kernel)
    store.write(run())
    content = (tmp_path / "results.json").read_bytes()
    assert 4 * len(content) - 3 * failure_texts.TEXTS_LIMIT < SIZE_LIMIT
    assert 4 * sum(map(content.count, (b",", b"[", b"{"))) - 3 * failure_texts.MARKS_LIMIT < VALUES_LIMIT
    assert len(load(tmp_path).results) == 20_000
    assert is_report(tmp_path)
