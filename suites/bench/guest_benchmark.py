# SPDX-License-Identifier: GPL-2.0-or-later
"""The duration of boots, clones and calls, compared with virtme-run's own cold boot in the same run.

    kconform bench [--kernel SPEC]... [--accel NAME] [--rounds N]

Of several kernels, all are compared with the first one, too: with --accel=tcg, an architecture with another.  Where
virtme-run cannot boot a kernel, because it is for another architecture, kconform's own cold boot is the measure.

On a shared and busy machine, only medians and ratios within one run are meaningful.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console as Terminal
from rich.table import Table

from common.commandline import Parser
from guests.errors import BootError, KconformError
from guests.guest import Guest
from guests.outcome import EPERM, OK, Expected, Outcome
from guests.vm import template
from guests.vm.acceleration import MODES
from guests.vm.boot import booted, virtme_run_program
from guests.vm.clone_pool import Pool
from guests.vm.console import READY, Console
from guests.vm.qemu_command import VirtualMachine, dying_with_parent, virtme_boot
from kconfigs.build.build_progress import for_stderr
from kconfigs.cache import Cache
from kconfigs.fetch import fetch
from kconfigs.kernel import Kernel
from kconfigs.kernel_options import default_specs
from kconfigs.resolve import resolve
from kconfigs.spec import parse

CALLS = 200
"""The number of calls in one measurement of the round trip."""
SCENARIOS = 40
BOOT_DEADLINE_S = 120.0


@dataclass(frozen=True)
class Speed:
    """How fast the guests of a kernel are, in seconds: medians, and for scenarios the mean of two workers."""

    kernel: str
    boot: float
    clone: float
    round_trip: float
    scenario: float


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def virtme_cold_boot(machine: VirtualMachine) -> float:
    """From the start of virtme-run to the agent's line on the console: the cost of each test without templates."""
    ours, theirs = socket.socketpair()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kconform-") as scratch:
        root = Path(scratch, "root")
        root.mkdir()
        process = subprocess.Popen(
            dying_with_parent(virtme_boot(machine, program=virtme_run_program(), root=root)),
            stdin=subprocess.DEVNULL,
            stdout=theirs.fileno(),
            stderr=theirs.fileno(),
            env={**os.environ, "HOME": scratch, "XDG_CONFIG_HOME": scratch},
            start_new_session=True,
        )
        theirs.close()
        console = Console(ours)
        try:
            trouble = console.follow(time.monotonic() + BOOT_DEADLINE_S)
            if trouble is not None:
                raise BootError(f"virtme-run's own boot did not reach {READY!r}: {trouble}", console=console.text())
            return time.perf_counter() - start
        finally:
            # Killing only virtme-run would leave its QEMU running.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            ours.close()


def our_cold_boot(machine: VirtualMachine) -> float:
    """From the start of our QEMU to the agent's first answer."""
    start = time.perf_counter()
    with booted(machine):
        return time.perf_counter() - start


def new_template(machine: VirtualMachine) -> tuple[float, float]:
    """A boot with its state saved and its memory copied, and the duration of saving alone."""
    with tempfile.TemporaryDirectory(prefix="kconform-") as scratch:
        start = time.perf_counter()
        made = template.get(machine, {}, Cache(Path(scratch)))
        return time.perf_counter() - start, made.saved_s


@contextlib.contextmanager
def taken(pool: Pool, kernel: Kernel) -> Iterator[Guest]:
    guest = pool.take(kernel)
    try:
        yield guest
    finally:
        guest.close()


def first_answer_without_spare(pool: Pool, kernel: Kernel) -> float:
    start = time.perf_counter()
    with taken(pool, kernel):
        return time.perf_counter() - start


def first_answer_with_spare(pool: Pool, kernel: Kernel) -> float:
    pool.prepare(kernel)
    pool.wait_for_spare(kernel)
    return first_answer_without_spare(pool, kernel)


def bare_test(pool: Pool, kernel: Kernel) -> float:
    """From the end of one test that does nothing to the end of the next."""
    with taken(pool, kernel):
        pool.prepare(kernel)
    start = time.perf_counter()
    with taken(pool, kernel):
        pool.prepare(kernel)
    return time.perf_counter() - start


def round_trip(guest: Guest, *, quiet: bool) -> float:
    task = guest.spawn("bench", quiet=quiet)
    return seconds(lambda: [task.call("getuid") for _ in range(CALLS)]) / CALLS


def scenario(guest: Guest) -> None:
    """A scenario of typical length: processes of two users, a denial and its control."""
    evil, mine, daemon = guest.spawn("evil"), guest.spawn("mine"), guest.spawn("daemon", uid=33)
    _check(evil.attach(daemon), EPERM)
    _check(mine.attach_and_wait(mine.spawn("child")), OK)


def _check(outcome: Outcome, expected: Expected) -> None:
    if outcome != expected:
        raise KconformError(f"the benchmark's scenario failed: {outcome!r}, expected {expected!r}")


def scenarios(kernel: Kernel, accel: str, count: int) -> None:
    """Run this many scenarios, each on its own guest, like a worker."""
    pool = Pool(Cache(), mode=accel)
    for left in reversed(range(count)):
        with taken(pool, kernel) as guest:
            if left:
                pool.prepare(kernel)
            scenario(guest)
    pool.close()


def scenarios_per_second(kernel: Kernel, accel: str, workers: int) -> float:
    context = multiprocessing.get_context("spawn")
    # The start of the process pool is not included.
    with context.Pool(workers) as pool:
        pool.starmap(scenarios, [(kernel, accel, 1)] * workers, chunksize=1)
        share = (kernel, accel, SCENARIOS // workers)
        took = seconds(lambda: pool.starmap(scenarios, [share] * workers, chunksize=1))
    return SCENARIOS / took


def memory_mib(guest: Guest) -> tuple[float, float]:
    """A clone's resident memory, and the part that it does not share."""
    info = psutil.Process(guest.pid).memory_full_info()
    return info.rss / (1 << 20), info.uss / (1 << 20)


def measure(kernel: Kernel, accel: str, rounds: int) -> tuple[Table, Speed]:
    pool = Pool(Cache(), mode=accel)
    machine = pool.template(kernel).machine
    table = Table(title=f"{kernel.id} ({kernel.release}, {pool.acceleration(kernel).name}), {rounds} rounds")
    for column in ("what", "median", "min", "max", "relative"):
        table.add_column(column, justify="left" if column == "what" else "right")

    def row(what: str, figures: list[float], *, unit: str = "s", scale: float = 1.0) -> float:
        median = statistics.median(figures)
        ratio = f"1/{cold / median:.0f}" if median < cold else f"{median / cold:.2f}"
        values = [f"{figure * scale:.3f} {unit}" for figure in (median, min(figures), max(figures))]
        table.add_row(what, *values, ratio)
        return median

    # virtme-run boots into this machine's root, whose programs run on no other architecture.
    theirs = [virtme_cold_boot(machine) for _ in range(rounds)] if kernel.arch == platform.machine() else []
    ours = [our_cold_boot(machine) for _ in range(rounds)]
    cold = statistics.median(theirs or ours)
    if theirs:
        row("cold boot by virtme-run", theirs)
    boot = row("cold boot by kconform", ours)
    made, saved = zip(*(new_template(machine) for _ in range(rounds)), strict=True)
    row("new template", list(made))
    row("... of which saving the state", list(saved))
    clone = row(
        "clone to first answer, with a spare",
        [first_answer_with_spare(pool, kernel) for _ in range(rounds * 4)],
    )
    row(
        "clone to first answer, no spare",
        [first_answer_without_spare(pool, kernel) for _ in range(rounds * 4)],
    )
    row("bare test, end to end", [bare_test(pool, kernel) for _ in range(rounds * 4)])
    with taken(pool, kernel) as guest:
        trips = [round_trip(guest, quiet=False) for _ in range(rounds)]
        trip = row("round trip of a call", trips, unit="ms", scale=1e3)
        quiet = [round_trip(guest, quiet=True) for _ in range(rounds)]
        row("the same, quiet task", quiet, unit="ms", scale=1e3)
        resident, own = memory_mib(guest)
    pool.close()
    table.add_section()
    for workers in (1, 2):
        rate = scenarios_per_second(kernel, accel, workers)
        table.add_row(f"scenarios a second, {workers} worker{'s' * (workers > 1)}", f"{rate:.1f}", "", "", "")
    table.add_row("memory of a clone (its own)", f"{resident:.0f} MiB ({own:.0f} MiB)", "", "", "")
    return table, Speed(kernel.id, boot, clone, trip, 1 / rate)


def compared(speeds: Sequence[Speed]) -> Table:
    """How many times as long as for the first kernel everything takes."""
    first = speeds[0]
    table = Table(title=f"relative to {first.kernel}")
    for column in ("kernel", "cold boot", "clone", "round trip", "scenario, 2 workers"):
        table.add_column(column, justify="left" if column == "kernel" else "right", overflow="fold")
    for speed in speeds:
        ratios = (
            speed.boot / first.boot,
            speed.clone / first.clone,
            speed.round_trip / first.round_trip,
            speed.scenario / first.scenario,
        )
        table.add_row(speed.kernel, *(f"{ratio:.2f}" for ratio in ratios))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="kconform bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernel", action="append", metavar="SPEC", help="like pytest's (default: the same kernels)")
    parser.add_argument("--flavor", metavar="NAME", help="the flavor of kernels that are built")
    parser.add_argument("--accel", choices=MODES, default="auto", help="as for pytest (default: auto)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="boots to measure (default: 5)")
    options = parser.parse_args(arguments)
    terminal = Terminal()
    speeds = []
    try:
        for spec in options.kernel or default_specs():
            with for_stderr() as progress:
                kernel = fetch(resolve(parse(spec)), options.flavor, progress)
            table, speed = measure(kernel, options.accel, options.rounds)
            terminal.print(table)
            speeds.append(speed)
        if len(speeds) > 1:
            terminal.print(compared(speeds))
    except KconformError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
