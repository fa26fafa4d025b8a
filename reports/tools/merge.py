# SPDX-License-Identifier: GPL-2.0-or-later
"""One report of several: of the shards that a CI ran on different machines, or at different times.

The rules, which docs/gate-a-ci.md has too:

- A kernel id stands for one kernel.  Two that have it and differ in their digest are not merged.
- Of a test that is in more than one, the worst outcome counts; its evidence is kept, that of the others is not.
- A shard that was interrupted, or goes on, or was killed, makes the whole interrupted.
- The exit status is the one that a single run with all these results would have had.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reports.formats import derived_files as files
from reports.formats import index_html as matrix
from reports.formats import junit_xml as junit
from reports.judgement import exit_status as status
from reports.judgement.verdict import SEVERITY
from reports.model import evidence
from reports.model import report_directory as folder
from reports.model import store as results
from reports.model.document import BadInputError, Document, load, parse
from reports.model.requirements import Requirement
from reports.model.result import JSON, OUTCOMES, Result


@dataclass(frozen=True)
class Merged:
    """What came of it."""

    document: Document
    remarks: Sequence[str]
    exit_status: int


def merge(paths: Sequence[Path], output: Path, *, origin: str) -> Merged:
    """Merge the reports at `paths` into the directory `output`, in their order.

    Raises BadInputError for what cannot be read, merged or written.
    """
    shards = [load(path) for path in paths]
    for shard in shards:
        if shard.directory.resolve() == output.resolve():
            raise BadInputError(f"--output {output}: this is one of the reports that shall be merged")
    kept, remarks = choose(shards)
    requirements: dict[str, Requirement] = {}
    for shard in shards:
        for identifier, requirement in shard.requirements.items():
            if requirements.setdefault(identifier, requirement) != requirement:
                remarks.append(f"{shard.path}: the promise {identifier} reads otherwise than in an earlier one")
    try:
        output.mkdir(parents=True, exist_ok=True)
        folder.clear_former(output)
        store = results.Store(output / results.FILE_NAME, requirements, time.monotonic, owner=os.getpid())
        for shard in shards:
            for kernel in shard.kernels.values():
                store.meet(kernel)
        for shard, result in kept:
            paths_kept, lost = _copy_evidence(result, shard.directory, output)
            if lost:
                remarks.append(f"{shard.path}: evidence of {result.nodeid} is not there: {', '.join(lost)}")
            store.add(replace(result, evidence=paths_kept), None)
        run = describe(shards, store.results, output.resolve().name)
        document = parse(store.document(run), output / results.FILE_NAME)
        files.write(document, None, origin=origin)
        junit.write(document, output / folder.JUNIT)
        store.write(run)  # late: while it is not there, the report is not complete
        matrix.write(document)
    except OSError as error:
        raise BadInputError(f"{output}: cannot be written: {error}") from error
    remarks = [*(remark for shard in shards for remark in shard.remarks()), *remarks]
    return Merged(document, remarks, int(document.run["exit_status"]))


def choose(shards: Iterable[Document]) -> tuple[list[tuple[Document, Result]], list[str]]:
    """One result for each test, with the shard that it is of, and what is to be said of those that are left out.

    Raises BadInputError if one kernel id stands for two kernels.
    """
    digests: dict[str, tuple[object, Document]] = {}
    chosen: dict[str, tuple[Document, Result]] = {}
    remarks = []
    for shard in shards:
        for identifier, kernel in shard.kernels.items():
            digest = kernel.get("digest")
            if digest is None:
                continue
            known, other = digests.setdefault(identifier, (digest, shard))
            if known != digest:
                raise BadInputError(
                    f"{shard.path}: the kernel {identifier} is not the one of {other.path}: "
                    f"its digest is {str(digest)[:12]}, the other's {str(known)[:12]}",
                    "merge the results of one kernel, and compare two with `python -m reports diff`",
                )
        for result in shard.results:
            if result.nodeid not in chosen:
                chosen[result.nodeid] = (shard, result)
                continue
            other, former = chosen[result.nodeid]
            worse = SEVERITY[result.outcome] > SEVERITY[former.outcome]
            if worse:
                chosen[result.nodeid] = (shard, result)
            if result.outcome != former.outcome:
                winner = result.outcome if worse else former.outcome
                remarks.append(
                    f"{result.nodeid}: {former.outcome} in {other.path}, {result.outcome} in {shard.path}: "
                    f"{winner} counts"
                )
            else:
                remarks.append(f"{result.nodeid}: {result.outcome} in {other.path} and in {shard.path}")
    return list(chosen.values()), remarks


def _copy_evidence(result: Result, source: Path, output: Path) -> tuple[dict[str, str], list[str]]:
    """Copy a result's files: what was copied, title -> path, and titles of what was not there.  Raises OSError."""
    copied: dict[str, str] = {}
    lost = []
    inside = source.resolve()
    for title, path in result.evidence.items():
        found = (source / path).resolve()
        # A link may lead out of the report, and nothing else of the machine shall be published.
        if not (found.is_file() and found.is_relative_to(inside)):
            lost.append(title)
            continue
        # The name is ours: that of the shard may be one of our own files'.
        folder_ = output / evidence.FOLDER / evidence.slug(result.nodeid)
        folder_.mkdir(parents=True, exist_ok=True)
        target = folder_ / evidence.file_name(title, (Path(known).name for known in copied.values()))
        shutil.copyfile(found, target)
        copied[title] = target.relative_to(output).as_posix()
    return copied, lost


def describe(shards: Sequence[Document], found: Sequence[Result], name: str) -> dict[str, JSON]:
    """The `run` part of the merged results.json."""
    runs = [shard.run for shard in shards]
    counts = {outcome: sum(result.outcome == outcome for result in found) for outcome in OUTCOMES}
    complete = all(run["state"] == "finished" for run in runs)
    ends = [str(run["finished"]) for run in runs if run["finished"] is not None]
    repeated = sum(len(shard.results) for shard in shards) - len(found)
    return {
        "id": name,
        "state": "finished" if complete else "interrupted",
        "started": min(str(run["started"]) for run in runs),
        # Of a shard that never ended nothing is known but that; the file needs a time all the same.
        "finished": max(ends, default=max(str(run["started"]) for run in runs)),
        "duration_s": round(sum(float(run["duration_s"]) for run in runs), 3),
        "exit_status": exit_status(shards, counts),
        "collected": max(sum(int(run["collected"]) for run in runs) - repeated, len(found)),
        "counts": dict(counts),
        "argv": _agreed([run["argv"] for run in runs]) or [],
        "selection": _selections([run.get("selection") for run in runs]),
        "host": {key: text for key, text in _joined([run["host"] for run in runs]).items() if isinstance(text, str)},
        "suite": {"commit": _joined([run["suite"] for run in runs]).get("commit")},
        "baseline": None,
        "merged": [
            {
                "path": str(shard.path),
                "id": shard.run["id"],
                "state": shard.run["state"],
                "started": shard.run["started"],
                "exit_status": shard.run["exit_status"],
            }
            for shard in shards
        ],
        "versions": _joined([run["versions"] for run in runs]),
    }


def exit_status(shards: Iterable[Document], counts: dict[str, int]) -> int:
    """What a single run with these outcomes would have ended with.

    What its own outcomes do not explain, a shard's exit status tells: an internal error, wrong use, a report that
    could not be written, and waivers that are not needed where the user wants none of these.
    """
    interrupted = internal = wrong_use = unwritten = strict = False
    asked: set[int] = set()
    for shard in shards:
        ended, state = shard.run["exit_status"], shard.run["state"]
        outcomes = {result.outcome for result in shard.results}
        internal |= state == "interrupted" and ended == status.OURS
        interrupted |= state != "finished" and ended != status.OURS
        if ended == status.WRONG_USE and "error" in outcomes:
            asked.add(status.WRONG_USE)
        elif ended == status.WRONG_USE:
            wrong_use = True
        unwritten |= ended == status.OURS and "error" not in outcomes
        strict |= ended == status.BROKEN and "fail" not in outcomes
    return status.exit_status(
        counts,
        frozenset(asked),
        status.Ending(
            interrupted=interrupted,
            internal_error=internal,
            wrong_use=wrong_use,
            write_failed=unwritten,
            strictness=strict,
            idle_waivers=strict,
        ),
    )


def _selections(chosen: Sequence[str | None]) -> str | None:
    """Of all shards; None if each had all tests."""
    return " and ".join(dict.fromkeys(one or "all" for one in chosen)) if any(chosen) else None


def _agreed(values: Sequence[Any]) -> Any:
    """The value, if all are equal."""
    return values[0] if all(value == values[0] for value in values) else None


def _joined(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One table: a value that all have, or every value that one of them has, in one text."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for table in tables for key in table):
        values = [table[key] for table in tables if table.get(key) is not None]
        same = bool(values) and all(value == values[0] for value in values)
        joined[key] = values[0] if same else ", ".join(dict.fromkeys(map(str, values))) or None
    return joined
