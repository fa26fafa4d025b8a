# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of a fleet that never was: many results.json, written fast, whose statuses are arithmetic.

    python -m suites.harness.reports.history.fleet_sample DIR [RUNS [TESTS]]

writes those that docs/history.md was measured with.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from reports.model.result import SCHEMA, VERDICTS, promise_status
from suites.harness.reports.documents import kernel

AREAS = ("ptrace", "yama", "loadpin", "seccomp")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
REASON = "evil[41 uid 1000].attach(secret[40]) -> OK, expected EPERM"
RUNS_OF_A_BUILD = 4
PER_PROMISE = 4
"""Tests of each promise."""


def verdict(test: int, run: int) -> str:
    """One test in a hundred breaks for a while, and one in two hundred is flaky; some are skipped."""
    if test % 100 == 7 and (run // 40 + test // 100) % 5 == 2:
        return "fail"
    if test % 200 == 50 and run % 9 == test % 9:
        return "flaky"
    return "skip" if test % 11 == 3 else "pass"


def results_of(run: int, tests: int) -> dict[str, Any]:
    """The results.json of one run."""
    build = run // RUNS_OF_A_BUILD
    identifier = f"debian-6.12.{build}-cloud-amd64/shipped"
    started = (BEGIN + timedelta(hours=8 * run)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    every = [_result(test, run, identifier, started) for test in range(tests)]
    promises: dict[str, list[dict[str, Any]]] = {}
    for each in every:
        promises.setdefault(each["requirements"][0], []).append(each)
    return {
        "schema": SCHEMA,
        "run": {
            "id": f"run-{run}",
            "state": "finished",
            "started": started,
            "finished": started,
            "duration_s": 600.0 + run,
            "exit_status": 1,
            "collected": tests,
            "counts": {name: sum(each["outcome"] == name for each in every) for name in VERDICTS},
            "argv": ["--kernel=deb:linux-image-cloud-amd64"],
            "host": {"node": "ci", "machine": "x86_64"},
            "suite": {"commit": f"{run // 100:040x}"},
            "versions": {"kconform": "0.1.0"},
        },
        "kernels": [kernel(identifier, release=f"6.12.{build}-cloud-amd64", version=f"6.12.{build}", arch="x86_64")],
        "requirements": [
            {
                "id": name,
                "area": name.partition(".")[0],
                "text": f"At scope 1 a task that is not an ancestor may not attach ({name}).",
                "source": "security/yama/yama_lsm.c: yama_ptrace_access_check()",
                "since": "3.4",
                "until": None,
                "note": "",
                "status": {identifier: promise_status([each["outcome"] for each in some])},
                "nodeids": [each["nodeid"] for each in some],
            }
            for name, some in promises.items()
        ],
        "results": every,
    }


def _result(test: int, run: int, identifier: str, started: str) -> dict[str, Any]:
    area, came = AREAS[test % len(AREAS)], verdict(test, run)
    name = f"suites/{area}/test_subject_{test % 40}.py::test_a_task_may_not_{test}[{identifier}-as-another-user]"
    folder = f"evidence/{area}-test_subject_{test % 40}-test_a_task_may_not_{test}-debian-6-12-469a418bf7"
    return {
        "nodeid": name,
        "area": area,
        "requirements": [f"{area}.promise-{test // len(AREAS) // PER_PROMISE}"],
        "kernel": identifier,
        "flavor": "shipped",
        "outcome": came,
        "reason": {"pass": "", "skip": "no CONFIG_X"}.get(came, REASON),
        "duration_s": round(0.02 + (test * 37 + run) % 101 / 50, 3),
        "accel": "kvm",
        "worker": f"gw{test % 8}",
        "started": started,
        "longrepr": f"E   AssertionError: {REASON}" * 20 if came == "fail" else "",
        "evidence": {title: f"{folder}/{title}.txt" for title in ("transcript", "process-tree", "kernel-log")},
    }


def write(folder: Path, runs: int, tests: int) -> None:
    """Write so many runs into folders below `folder`."""
    for run in range(runs):
        report = folder / f"{run // 100:02}" / f"run-{run}"
        report.mkdir(parents=True)
        (report / "results.json").write_bytes(msgspec.json.encode(results_of(run, tests)))


if __name__ == "__main__":
    where, *numbers = sys.argv[1:]
    write(Path(where), *[int(each) for each in (numbers + ["1000", "1600"][len(numbers) :])])
