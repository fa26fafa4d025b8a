# SPDX-License-Identifier: GPL-2.0-or-later
"""`--resume`: go on with a run that was interrupted or killed, in its own report.

What has a verdict is not tested again, unless that was an error of ours; everything else is, as if the run had never
stopped.  A verdict counts only for the very kernel that it was about: whoever knows the kernels says which those are.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from reports.model import evidence
from reports.model import report_directory as folder
from reports.model.document import BadInputError, Document, load
from reports.model.result import JSON, Result
from reports.model.store import Store

WORKER_INPUT = "kconform_resumed"


@dataclass(frozen=True)
class Former:
    """The run that is gone on with."""

    document: Document
    kernels: Mapping[str, Mapping[str, JSON]]
    results: tuple[Result, ...]
    """Those that stand."""
    lost: tuple[str, ...] = ()
    """Kernels whose results do not stand, for these kernels are not there any more."""

    def described(self) -> dict[str, JSON]:
        """What results.json says of it."""
        run = self.document.run
        return {"started": run["started"], "state": run["state"], "results": len(self.results)}


FORMER = pytest.StashKey[Former]()
DONE = pytest.StashKey[frozenset[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("kconform").addoption(
        "--resume",
        action="store_true",
        help="go on with the run whose report is in --report-dir (default: with the latest): "
        "only what has no verdict yet is tested",
    )


def directory(root: Path, report_dir: str | None) -> str:
    """What --report-dir has to be, for a run that is resumed: the latest, if none is named."""
    return report_dir or str((root / folder.DEFAULT / folder.LATEST).resolve())


def begin(config: pytest.Config, path: Path) -> None:
    """Read the report at `path`.  pytest.UsageError if there is none."""
    try:
        document = load(path)
    except BadInputError as error:
        raise pytest.UsageError(f"--resume: {error}") from error
    kept = tuple(result for result in document.tests() if result.outcome != "error")
    config.stash[FORMER] = Former(document, document.kernels, kept)


def keep(config: pytest.Config, specs: Collection[str], is_there: Callable[[str, str], bool]) -> None:
    """Let only results stand that are about no kernel, or about one for which `is_there(id, digest)` is true.

    pytest.UsageError if the run had a kernel that none of the SPECs asks for: somebody has forgotten an option, and
    what took hours would go without a question.
    """
    former = config.stash[FORMER]
    if others := [one for one, kernel in former.kernels.items() if kernel.get("spec") not in specs]:
        options = " ".join(str(each) for each in former.document.run["argv"])
        raise pytest.UsageError(
            f"--resume: the run that is to go on had {', '.join(others)} too, which nobody asks for now\n"
            f"  hint: its options were {options or 'none'}; leave --resume out to test other kernels"
        )
    kernels = {
        identifier: kernel
        for identifier, kernel in former.kernels.items()
        if is_there(identifier, str(kernel["digest"]))
    }
    config.stash[FORMER] = replace(
        former,
        kernels=kernels,
        results=tuple(result for result in former.results if result.kernel is None or result.kernel in kernels),
        lost=tuple(one for one in former.kernels if one not in kernels and former.kernels[one]["digest"]),
    )


def take_up(path: Path, former: Former, store: Store) -> None:
    """Put what stands into the store, and remove the evidence of what is tested again.  Raises OSError."""
    kept = {result.nodeid for result in former.results}
    for result in former.document.results:
        if result.nodeid not in kept:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path / evidence.FOLDER / evidence.slug(result.nodeid))
    for kernel in former.kernels.values():
        store.meet(kernel)
    for result in former.results:
        store.add(result, None)


def lines(config: pytest.Config) -> list[str]:
    """For the head of a run."""
    former = config.stash.get(FORMER, None)
    if former is None:
        return []
    said = [f"resumed: {len(former.results)} results of the run that began at {former.document.run['started']}"]
    if former.lost:
        said.append(f"tested again, for the kernel is another: {', '.join(former.lost)}")
    return said


# Workers are told which tests those are: they all must leave out the same.


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[WORKER_INPUT] = sorted(_done(node.config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    done = _done(config)
    left = [item for item in items if item.nodeid not in done]
    if len(left) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
        items[:] = left


def _done(config: pytest.Config) -> frozenset[str]:
    if DONE not in config.stash:
        told = getattr(config, "workerinput", {}).get(WORKER_INPUT)
        former = config.stash.get(FORMER, None)
        names = told if told is not None else [result.nodeid for result in former.results] if former else []
        config.stash[DONE] = frozenset(names)
    return config.stash[DONE]
