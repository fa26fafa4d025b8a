# SPDX-License-Identifier: GPL-2.0-or-later
"""`--shard K/N`: run one of N parts of the tests, as `judgement.shard_cut` makes them.

The tests are cut after all others have chosen and sorted them, and before --resume leaves out those that are done.
Only processes that collect tests know the plan; a worker of pytest-xdist tells it to the controller.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common import bounded
from common.errors import UsageError
from common.paths import users_path
from common.workers import is_worker
from reports.judgement.shard_cut import Recorded, Shard, Timings, cut
from reports.model.document import load
from reports.model.run_record import ShardRecord
from reports.run import preparation_times
from reports.run.wrong_use import as_wrong_use

RECORDED = "timings.json"
"""The file in suites/ that has the recorded durations; `kconform timings` writes it."""
SIZE_LIMIT = 1 << 20
WORKER_OUTPUT = "kconform_shard"

SHARD = pytest.StashKey[ShardRecord]()


def parse(text: str) -> Shard:
    """The value of --shard."""
    try:
        return Shard.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a shard such as 2/5, the second of five") from None


def add_options(group: pytest.OptionGroup) -> None:
    """Add them to the others of the package."""
    group.addoption(
        "--shard",
        type=parse,
        metavar="K/N",
        help="run only the Kth of N parts of the tests, which take about the same time; `kconform merge` makes one"
        " report of all parts",
    )
    group.addoption(
        "--timings",
        type=Path,
        metavar="RESULTS",
        help="an earlier run's results.json, or its directory: make the parts by its durations; give all parts the"
        f" same (default: those in suites/{RECORDED})",
    )


def deselect_others(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of all other shards.  pytest.UsageError if the durations cannot be read."""
    shard: Shard | None = config.option.shard
    if shard is None:
        return
    tests = [(item.nodeid, preparation_times.boot_of(item)) for item in items]
    with as_wrong_use("--timings"):
        parts = cut(tests, shard.of, timings(config))
    config.stash[SHARD] = ShardRecord(shard.number, shard.of, len(tests), _plan(tests, parts))
    if is_worker(config):
        config.workeroutput[WORKER_OUTPUT] = msgspec.to_builtins(config.stash[SHARD])  # type: ignore[attr-defined]
    ours = parts[shard.number - 1]
    config.hook.pytest_deselected(items=[*items[: ours.start], *items[ours.stop :]])
    items[:] = items[ours.start : ours.stop]


def timings(config: pytest.Config) -> Timings:
    """The durations of the run that --timings names, or those that come with the suites.

    UsageError if they cannot be read.
    """
    if config.option.timings is not None:
        return Timings.of([load(users_path(config.option.timings, config.invocation_params.dir))])
    path = config.rootpath / "suites" / RECORDED
    if not path.exists():
        return Timings()
    try:
        found = msgspec.json.decode(bounded.read(path, SIZE_LIMIT, RECORDED), type=Recorded)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return Timings(functions=found.functions, boot_s=found.boot_s)


def take_from_worker(config: pytest.Config, node: Any) -> None:
    """Take the plan that a worker of xdist has made.  All workers make the same."""
    told = getattr(node, "workeroutput", {}).get(WORKER_OUTPUT)
    if told is not None:
        config.stash[SHARD] = msgspec.convert(told, ShardRecord)


def record(config: pytest.Config) -> ShardRecord | None:
    """What results.json says about the shard, as soon as it is known."""
    return config.stash.get(SHARD, None)


def _plan(tests: Sequence[tuple[str, Hashable]], parts: Sequence[range]) -> str:
    names = "\0".join(nodeid for nodeid, _ in tests)
    places = ",".join(str(part.stop) for part in parts)
    return hashlib.sha256(f"{places}\0{names}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
