# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's own code under AddressSanitizer and UBSan, with invalid requests, on a simulated kernel.

Each request is answered or refused, or is pending in a task; otherwise, the agent exits with a message.
KCONFORM_FUZZ_SEEDS is the number of seeds to try; the default takes a few seconds.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from guests.protocol import wire
from guests.protocol.wire import Event, Frame, Op
from guests.vm.initramfs import AGENT
from suites.harness.guests.agent.random_requests import RandomRequests
from suites.harness.guests.fakes import DEADLINE_S

HERE = Path(__file__).parent
SEEDS = int(os.environ.get("KCONFORM_FUZZ_SEEDS", "10"))
FRAMES = 1500
REPLACED = {
    *("main.c", "target.c", "setup.c", "arena.c", "open_channel.c", "task.c", "task_exec.c", "task_program.c"),
}
"""The simulated kernel replaces these files: it starts the agent and executes calls."""
ENDS = ("the host is gone", "a frame's header is damaged", "a frame's body is damaged", "a frame is too long")


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled for the host, with sanitizers."""
    program = tmp_path_factory.mktemp("sanitized") / "agent"
    sources = [path for path in sorted(AGENT.glob("*.c")) if path.name not in REPLACED]
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [
        '-DKCONFORM_ARCH_HEADER="arch_simulated.h"',
        "-include",
        str(HERE / "renamed_libc.h"),
        f"-I{AGENT}",
        f"-I{HERE}",
    ]
    command = ["cc", *flags, "-o", str(program), *map(str, [*sources, *sorted(HERE.glob("*.c"))])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find -lasan" in done.stderr or "cannot find -lubsan" in done.stderr:
        pytest.skip("needs the sanitizers' libraries (of gcc: libasan, libubsan)")
    assert done.returncode == 0, done.stderr
    return program


def run(agent: Path, requests: bytes, seed: int) -> tuple[list[Frame], str]:
    """The agent's answers, and the message with which it exited; it must not crash."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        [agent, str(seed)], input=requests, capture_output=True, timeout=DEADLINE_S, env=environment, check=False
    )
    message = done.stderr.decode(errors="replace")
    assert done.returncode == 1, f"seed {seed}: exit status {done.returncode}\n{message}"
    assert message.startswith("kconform: agent: "), f"seed {seed}: {message}"
    buffer, frames = bytearray(done.stdout), []
    while (frame := wire.split(buffer)) is not None:
        frames.append(frame)
    assert not buffer, f"seed {seed}: half a frame"
    return frames, message


@pytest.mark.parametrize("seed", range(SEEDS))
def test_invalid_orders_are_answered_or_refused(agent: Path, seed: int) -> None:
    """Each gets at most one answer, for the same operation.  The only other frames report deaths of tasks."""
    stream, asked = RandomRequests(seed).stream(FRAMES)
    frames, message = run(agent, stream, seed)
    assert "the host is gone" in message
    answers = [frame for frame in frames if frame.op not in Event.__members__.values() or frame.sequence]
    assert [frame for frame in answers if asked.pop(frame.sequence, None) != frame.op] == []
    # The remaining requests are pending in tasks, at most one in each.
    assert len(asked) <= wire.SLOT_COUNT
    assert set(asked.values()) <= {Op.SPAWN, Op.CALL, Op.COPY, Op.RUN_PLAN, Op.SWEEP}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_damaged_frames_end_the_agent_with_a_message(agent: Path, seed: int) -> None:
    requests = RandomRequests(seed)
    stream, _ = requests.stream(30)
    _, message = run(agent, requests.damaged(stream), seed)
    assert any(end in message for end in ENDS)
