# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of invented runs, for tests of what is made from results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reports.model.document import Document, parse
from reports.model.requirements import Requirement
from reports.model.result import SCHEMA, VERDICTS, KernelRecord, Result, Verdict

TIME = "2026-11-22T01:17:49.660Z"
FULL = "debian-6.12.117/full"
NEXT = "debian-6.12.118/full"


def kernel(identifier: str, **more: Any) -> dict[str, Any]:
    name, _, flavor = identifier.partition("/")
    known = {"id": identifier, "name": name, "flavor": flavor or None, "digest": f"digest of {identifier}"}
    return dict.fromkeys(KernelRecord.__struct_fields__) | known | more


def result(
    test: str, outcome: str = "pass", reason: str = "", *, on: str | None = FULL, **more: Any
) -> dict[str, Any]:
    """`test` is `area/test`, with the parameters that follow the kernel in brackets: `yama/rate[many]`."""
    area, _, rest = test.partition("/")
    name, bracket, parameters = rest.partition("[")
    inner = "-".join(part for part in (on or "", parameters.removesuffix("]")) if part)
    return {
        "nodeid": f"suites/{area}/test_it.py::test_{name}" + (f"[{inner}]" if on or bracket else ""),
        "area": area,
        "requirements": [f"{area}.{name}"],
        "kernel": on,
        "flavor": on.partition("/")[2] if on else None,
        "outcome": outcome,
        "reason": reason or ("" if outcome == "pass" else f"why {outcome}"),
        "duration_s": 0.25,
        "accel": "tcg",
        "worker": None,
        "started": TIME,
        "longrepr": "",
        "evidence": {},
    } | more


_STATUS = {"fail": "broken", "flaky": "flaky", "error": "unknown", "skip": "skipped", "waived": "waived"}


def document(
    results: Iterable[Mapping[str, Any]], kernels: Iterable[Mapping[str, Any]] | None = None, **run: Any
) -> dict[str, Any]:
    """The JSON of a results.json; each promise has one test, as `result` makes them."""
    found = [dict(each) for each in results]
    if kernels is None:
        kernels = [kernel(name) for name in dict.fromkeys(each["kernel"] for each in found) if name]
    promises: dict[str, dict[str, Any]] = {}
    for each in found:
        for name in each["requirements"]:
            promise = promises.setdefault(
                name,
                {
                    "id": name,
                    "area": each["area"],
                    "text": f"The promise {name}.",
                    "source": "somewhere",
                    "since": "3.4",
                    "until": None,
                    "note": "",
                    "status": {},
                    "nodeids": [],
                },
            )
            promise["status"][each["kernel"] or "(no kernel)"] = _STATUS.get(each["outcome"], "held")
            promise["nodeids"].append(each["nodeid"])
    return {
        "schema": SCHEMA,
        "run": {
            "id": "sample",
            "state": "finished",
            "started": TIME,
            "finished": TIME,
            "duration_s": 1.5,
            "exit_status": 0,
            "collected": len(found),
            "counts": {outcome: sum(each["outcome"] == outcome for each in found) for outcome in VERDICTS},
            "argv": [],
            "host": {"node": "vm", "machine": "x86_64"},
            "suite": {"commit": "0" * 40},
            "versions": {"kconform": "0.1.0", "python": "3.11.7", "pytest": "9.2.0"},
        }
        | run,
        "kernels": list(kernels),
        "requirements": list(promises.values()),
        "results": found,
    }


def read(*results: Mapping[str, Any], kernels: Iterable[Mapping[str, Any]] | None = None, **run: Any) -> Document:
    """The same, read."""
    return parse(document(results, kernels, **run), Path("sample/results.json"))


def write(
    path: Path, *results: Mapping[str, Any], kernels: Iterable[Mapping[str, Any]] | None = None, **run: Any
) -> Path:
    """The same, in a report directory at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "results.json").write_text(json.dumps(document(results, kernels, **run)), encoding="utf-8")
    return path


def record(
    nodeid: str,
    verdict: Verdict = "pass",
    reason: str = "",
    *,
    kernel: str | None = "k/full",
    requirements: Iterable[str] = ("yama.scope-1",),
    breaks: Iterable[str] = (),
) -> Result:
    """A result as a record, for what needs no file."""
    return Result(
        nodeid=nodeid,
        area="yama",
        requirements=tuple(requirements),
        kernel=kernel,
        flavor="full",
        verdict=verdict,
        reason=reason,
        duration_s=0.1,
        accel=None,
        worker=None,
        started=TIME,
        longrepr="",
        evidence={},
        breaks=tuple(breaks),
    )


REQUIREMENTS: Mapping[str, Requirement] = {"yama.scope-1": Requirement("yama.scope-1", "text", "source", "3.4")}
"""The requirement that `record` names."""


def numbered_record(
    number: int = 0, verdict: Verdict = "pass", *, kernel: str | None = "k/full", reason: str = ""
) -> Result:
    """The record of one of many tests."""
    return record(f"suites/yama/test_x.py::test_{number}", verdict, reason, kernel=kernel)


def kernel_record(**known: str | None) -> KernelRecord:
    """The kernel on which `record` ran, and what else is known of it."""
    return KernelRecord.of({"id": "k/full", **known})
