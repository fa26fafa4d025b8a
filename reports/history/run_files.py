# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the results of many runs, and reads them one after the other.

`load` would do, but it takes 40 ms for the results of one kernel, most of it to find a key that an object has twice.
A thousand runs are decoded directly instead, and only what the history needs.  Whatever does not decode is given to
`load`, so that a damaged file is called damaged in the same words by every command.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from common import bounded
from common.errors import UsageError
from reports.model.document import VALUES_LIMIT, load
from reports.model.report_directory import EVIDENCE, RESULTS, SIZE_LIMIT
from reports.model.result import SCHEMA, KernelRecord, PromiseRecord, Seconds, Verdict
from reports.model.run_record import RunRecord


class BriefResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the history needs of a `Result`."""

    nodeid: str
    area: str
    requirements: tuple[str, ...]
    kernel: str | None
    verdict: Verdict = msgspec.field(name="outcome")
    reason: str
    duration_s: Seconds
    breaks: tuple[str, ...] = ()


class BriefFile(msgspec.Struct, frozen=True, kw_only=True):
    """A results.json with brief results."""

    schema: int
    run: RunRecord
    kernels: list[KernelRecord]
    requirements: list[PromiseRecord]
    results: list[BriefResult]


_DECODER = msgspec.json.Decoder(BriefFile)


def find(paths: Iterable[Path]) -> list[Path]:
    """Every results.json in and below the folders, and the files that are named themselves; each once.

    Links to folders, such as `latest`, are not followed.  UsageError for a path that does not exist, a folder that
    cannot be read, and if there is no results.json at all.
    """
    named = list(paths)
    found: dict[tuple[int, int], Path] = {}
    for path in named:
        for file in _below(path):
            try:
                status = file.stat()
            except OSError as error:
                raise _unreadable(file, error) from error
            found.setdefault((status.st_dev, status.st_ino), file)
    if not found:
        raise UsageError(
            f"{', '.join(map(str, named))}: no {RESULTS} in there",
            hint="name the folders in which runs left their reports, such as reports/out",
        )
    return list(found.values())


def read(path: Path) -> BriefFile:
    """The content of a results.json of this version or an older one.  UsageError, as from `load`, for all else."""
    try:
        content = bounded.read(path, SIZE_LIMIT, RESULTS)
        if len(content) <= VALUES_LIMIT or sum(map(content.count, (b",", b"[", b"{"))) <= VALUES_LIMIT:
            file = _DECODER.decode(content)
            if 1 <= file.schema <= SCHEMA and _names_are_known(file):
                return file
        del content
    except (OSError, UsageError, msgspec.MsgspecError, ValueError, RecursionError):
        pass
    document = load(path)  # which says what is wrong, or knows better
    return BriefFile(
        schema=SCHEMA,
        run=document.run,
        kernels=list(document.kernels.values()),
        requirements=list(document.promises.values()),
        results=[
            BriefResult(**{name: getattr(result, name) for name in BriefResult.__struct_fields__})
            for result in document.results
        ],
    )


def _names_are_known(file: BriefFile) -> bool:
    kernels = {kernel.id for kernel in file.kernels}
    promises = {promise.id for promise in file.requirements}
    return (
        len(kernels) == len(file.kernels)
        and len(promises) == len(file.requirements)
        and {result.kernel for result in file.results} <= {None, *kernels}
    )


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return

    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename or path), error) from error

    for folder, folders, files in os.walk(path, onerror=refuse):
        if RESULTS in files:
            yield Path(folder, RESULTS)
            # It has a folder for each test, and no report.
            folders[:] = [name for name in folders if name != EVIDENCE]
        folders.sort()


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path}: cannot be read: {error.strerror or error}")
