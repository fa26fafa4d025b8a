# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's own code under AddressSanitizer and UBSan, given orders that make no sense, on a machine of chance.

Each order is answered or refused, or a task is at it; or the agent ends in order.  KCONFORM_FUZZ_SEEDS is how many
seeds to try; a few seconds' worth are tried by default.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from guests.protocol import wire
from guests.protocol.wire import Event, Frame, Op
from guests.vm.initramfs import AGENT
from suites.harness.guests.agent.orders import Orders
from suites.harness.guests.fakes import DEADLINE_S

HERE = Path(__file__).parent
SEEDS = int(os.environ.get("KCONFORM_FUZZ_SEEDS", "10"))
FRAMES = 1500
REPLACED = {"main.c", "setup.c", "open_channel.c", "task.c"}
"""machine.c has the beginning, and the end of a call, on a machine that is not there."""
ENDS = ("the host is gone", "a frame's header is damaged", "a frame's body is damaged", "a frame is too long")


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled for the host, with sanitizers."""
    program = tmp_path_factory.mktemp("sanitized") / "agent"
    sources = [path for path in sorted(AGENT.glob("*.c")) if path.name not in REPLACED]
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += ['-DKCONFORM_ARCH_HEADER="machine.h"', "-include", str(HERE / "names.h"), f"-I{AGENT}", f"-I{HERE}"]
    command = ["cc", *flags, "-o", str(program), *map(str, sources), str(HERE / "machine.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find -lasan" in done.stderr or "cannot find -lubsan" in done.stderr:
        pytest.skip("needs the sanitizers' libraries (of gcc: libasan, libubsan)")
    assert done.returncode == 0, done.stderr
    return program


def run(agent: Path, orders: bytes, seed: int) -> tuple[list[Frame], str]:
    """What the agent answered, and what it said of its end, which must be an orderly one."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        [agent, str(seed)], input=orders, capture_output=True, timeout=DEADLINE_S, env=environment, check=False
    )
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 1, f"seed {seed}: exit status {done.returncode}\n{said}"
    assert said.startswith("kconform: agent: "), f"seed {seed}: {said}"
    buffer, frames = bytearray(done.stdout), []
    while (frame := wire.split(buffer)) is not None:
        frames.append(frame)
    assert not buffer, f"seed {seed}: half a frame"
    return frames, said


@pytest.mark.parametrize("seed", range(SEEDS))
def test_orders_that_make_no_sense_are_answered_or_refused(agent: Path, seed: int) -> None:
    """Each at most once, by an answer to the same operation; and nothing else is said but the deaths of tasks."""
    stream, asked = Orders(seed).stream(FRAMES)
    frames, said = run(agent, stream, seed)
    assert "the host is gone" in said
    answers = [frame for frame in frames if frame.op not in Event.__members__.values() or frame.sequence]
    assert [frame for frame in answers if asked.pop(frame.sequence, None) != frame.op] == []
    # What is left of the orders are those of tasks that are still at them: a task has one.
    assert len(asked) <= wire.SLOT_COUNT
    assert set(asked.values()) <= {Op.SPAWN, Op.CALL, Op.COPY, Op.LOOP, Op.SWEEP}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_frames_that_are_damaged_end_the_agent_in_order(agent: Path, seed: int) -> None:
    orders = Orders(seed)
    stream, _ = orders.stream(30)
    _, said = run(agent, orders.damaged(stream), seed)
    assert any(end in said for end in ENDS)
