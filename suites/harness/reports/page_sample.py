# SPDX-License-Identifier: GPL-2.0-or-later
"""A large run that never was, for the page index.html: as many kernels, promises and results as one asks for.

Which test has which outcome is arithmetic, so that a test of the page can count for itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reports.model import document as documents
from reports.model.result import SCHEMA, VERDICTS, promise_status

AREAS = ("yama", "loadpin", "seccomp")
TITLES = {"transcript": "transcript.txt", "process tree": "process-tree.txt", "kernel log": "kernel-log.txt"}
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\x1b[31m\u202e<!--"
SPELLED = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
"""The same as the page shows it: what does not print is spelled out."""

REASON = "evil[41 uid 1000].attach(secret[40]) -> OK, expected EPERM"


def kernel_id(number: int) -> str:
    return f"debian-6.{number}.{100 + number}/{('full', 'shipped')[number % 2]}"


def requirement_id(number: int) -> str:
    return f"{AREAS[number % 3]}.promise-{number}"


def outcome(number: int, kernel: int) -> str:
    """The verdict on test `number` on `kernel`: most pass."""
    special = {5: "fail", 12: "error", 19: "waived", 26: "unexpected-pass"}
    return special.get((number + 7 * kernel) % 37, "skip" if (number + kernel) % 11 == 0 else "pass")


def result(number: int, kernel: int, requirements: int) -> dict[str, Any]:
    """Test `number` on `kernel`, as results.json has it."""
    identifier, area, came = kernel_id(kernel), AREAS[number % requirements % 3], outcome(number, kernel)
    bad = came in ("fail", "error")
    return {
        "nodeid": f"suites/{area}/test_{area}.py::test_{number}[{identifier}]",
        "area": area,
        "requirements": [requirement_id(number % requirements)],
        "kernel": identifier,
        "flavor": identifier.partition("/")[2],
        "outcome": came,
        "reason": "" if came == "pass" else "no CONFIG_X" if came == "skip" else REASON,
        "duration_s": round(0.02 + (number * 37 % 101) / 50, 3),
        "accel": "tcg",
        "worker": None,
        "started": "2026-11-21T21:45:50.000Z",
        "longrepr": f"E   AssertionError: {REASON}" if bad else "",
        "evidence": {title: f"evidence/{area}-{number}-{kernel}/{name}" for title, name in TITLES.items()},
    }


def document(kernels: int = 2, tests: int = 60, requirements: int = 12) -> dict[str, Any]:
    """A parsed results.json: `tests` results on each kernel, in turn for each requirement."""
    all_results = [result(number, kernel, requirements) for kernel in range(kernels) for number in range(tests)]
    tested: list[dict[str, list[dict[str, Any]]]] = [{} for _ in range(requirements)]
    for each in all_results:
        known = tested[int(each["requirements"][0].rpartition("-")[2])]
        known.setdefault(each["kernel"], []).append(each)
    counts = {name: sum(each["outcome"] == name for each in all_results) for name in VERDICTS}
    return {
        "schema": SCHEMA,
        "run": {
            "id": "20261121T214550Z",
            "state": "finished",
            "started": "2026-11-21T21:45:50.000Z",
            "finished": "2026-11-21T21:55:50.000Z",
            "duration_s": 600.0,
            "exit_status": 1,
            "collected": len(all_results),
            "counts": counts,
            "argv": [],
            "host": {"node": "ci", "machine": "x86_64"},
            "suite": {"commit": "2ba82f52d397c3847251473750d2353478426a08"},
            "versions": {"kconform": "0.1.0", "python": "3.11.7", "pytest": "8.3.0", "qemu": "7.2.22"},
        },
        "kernels": [
            {
                "id": kernel_id(number),
                "name": kernel_id(number).partition("/")[0],
                "flavor": kernel_id(number).partition("/")[2],
                "release": f"6.{number}.{100 + number}-cloud-amd64",
                "arch": "x86_64",
                "spec": "source",
                "identity": None,
                "digest": None,
                "accel": "tcg",
                "version": [6, number, 100 + number],
            }
            for number in range(kernels)
        ],
        "requirements": [
            {
                "id": requirement_id(number),
                "area": AREAS[number % 3],
                "text": f"Sentence {number}: a task that is not an ancestor may not attach, whatever its uid is.",
                "source": "security/yama/yama_lsm.c: yama_ptrace_access_check()",
                "since": "3.4",
                "until": None,
                "note": "",
                "status": {
                    kernel_id(kernel): promise_status([one["outcome"] for one in each.get(kernel_id(kernel), ())])
                    for kernel in range(kernels)
                },
                "nodeids": [one["nodeid"] for found in each.values() for one in found],
            }
            for number, each in enumerate(tested)
        ],
        "results": all_results,
    }


def read(content: dict[str, Any]) -> documents.Document:
    """The document that such a results.json is."""
    return documents.parse(content, Path("sample/results.json"))


def evidence(path: str) -> str:
    """The text at any path of a result."""
    if path.endswith("process-tree.txt"):
        return "init[1]\n    shell[24]\n        evil[41]\n        secret[40]\n"
    return "".join(f"  0.{line:04}  evil[41].attach(secret[40]) -> OK    ({path})\n" for line in range(40))


def comparison() -> list[dict[str, str]]:
    """A change of each kind."""
    kinds = {
        "newly failing": ("pass", "fail", REASON),
        "new errors": ("pass", "error", "the kernel did not boot"),
        "newly waived": ("fail", "waived", "known, waived until 2027-01-01"),
        "newly passing": ("fail", "pass", ""),
        "no longer applicable": ("pass", "skip", "needs CONFIG_SECURITY_YAMA"),
        "applicable now": ("skip", "pass", ""),
        "changed reason": ("fail", "fail", f"{REASON} (was: EACCES)"),
        "new": ("", "pass", ""),
        "gone": ("pass", "", ""),
    }
    return [
        {
            "test": result(number, 0, 12)["nodeid"],
            "kernel": kernel_id(0),
            "was": was,
            "now": now,
            "kind": kind,
            "reason": reason,
        }
        for number, (kind, (was, now, reason)) in enumerate(kinds.items())
    ]


def hostile() -> dict[str, Any]:
    """A run in which every text that a kernel or a test can choose is an attack, or far too long."""
    run = document()
    bad = next(each for each in run["results"] if each["outcome"] == "fail")
    bad |= {
        "nodeid": f"suites/yama/test_x.py::test[{HOSTILE}{'y' * 5000}]",
        "reason": HOSTILE * 20,
        "longrepr": HOSTILE,
    }
    bad["evidence"] = {HOSTILE: f"evidence/{HOSTILE}/a.txt", "kernel log": "javascript:window.hacked=1"}
    run["run"]["id"] = HOSTILE
    run["kernels"][0]["release"] = HOSTILE + "z" * 300
    run["requirements"][0] |= {"text": HOSTILE + "w" * 2000, "note": HOSTILE, "source": HOSTILE}
    old = run["kernels"][1]["id"]
    run["kernels"][1]["id"] = HOSTILE
    for each in run["results"]:
        each["kernel"] = HOSTILE if each["kernel"] == old else each["kernel"]
    for each in run["requirements"]:
        each["status"] = {HOSTILE if name == old else name: status for name, status in each["status"].items()}
    return run
