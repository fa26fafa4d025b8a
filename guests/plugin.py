# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin of guests (`-p guests.plugin`): options for booting, unusable hosts, and explained comparisons.

It also applies the time limit of each test (guests/time_limit.py).

Pytest loads it first.  If no test can run on this host, it ends the run with one message and exit status 4, before
anything is written.  Options must be defined before pytest loads conftest.py, so they are in a plugin.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator

import pytest

from common import process_defaults
from common.text import printable
from guests import system_settings, time_limit
from guests.errors import UsageError
from guests.outcome import Expected, Outcome
from guests.reproducer.replay import last_compared
from guests.time_limit import TimeLimit
from guests.vm import acceleration, machine_options
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.machine_options import MachineOptions
from guests.vm.qemu_program import QemuProgram, has_device
from kconfigs.architectures import machine
from kconfigs.cache import Cache
from kconfigs.sysctl_settings import SysctlSettings

LIMIT = pytest.StashKey[TimeLimit]()

TEMPORARY_SPACE = 16 << 20
"""Bytes: what pytest and a run keep there.  If they end later, only the tests that need them fail, as errors."""


def pytest_addoption(parser: pytest.Parser) -> None:
    process_defaults.restore()
    _reject_early()
    group = parser.getgroup("kconform")
    group.addoption(
        "--accel",
        choices=acceleration.MODES,
        default="auto",
        help="default: auto, which uses KVM if guests work with it",
    )
    group.addoption("--probe-accel", action="store_true", help="test again whether KVM works here")
    group.addoption("--qemu", metavar="PATH", help="the QEMU to use (default: qemu-system-ARCH, or qemu-kvm)")
    group.addoption(
        "--test-timeout",
        type=time_limit.seconds,
        metavar="SECONDS",
        default=time_limit.DEFAULT_S,
        help="end a test that takes longer, as an error; scaled up without KVM and on a busy machine"
        " (default: %(default).0f; 0: no limit)",
    )
    group.addoption(
        "--boot-timeout",
        type=machine_options.parse_boot_timeout,
        metavar="SECONDS",
        help=f"how long a kernel may take to boot (default: {machine_options.BOOT_TIMEOUT_S:.0f}, and"
        f" {machine_options.SLOW_FACTOR:.0f} times as long for kernels built for debugging)",
    )
    group.addoption(
        "--memory",
        type=machine_options.parse_memory,
        metavar="SIZE",
        help="memory of each guest, such as 512M or 2G (default: what the kernel needs, at least"
        f" {machine_options.MEMORY_MIB}M)",
    )
    group.addoption(
        "--cpus",
        type=machine_options.parse_cpus,
        metavar="N",
        default=1,
        help="processors of each guest (default: %(default)s)",
    )
    group.addoption(
        "--append",
        type=machine_options.parse_arguments,
        action="extend",
        metavar="ARGS",
        default=[],
        help="kernel arguments for each boot, separated by spaces; repeatable",
    )
    group.addoption(
        "--qemu-opts",
        type=machine_options.parse_qemu_arguments,
        action="extend",
        metavar="ARGS",
        default=[],
        help="arguments for QEMU, quoted as for a shell; repeatable",
    )
    group.addoption("--cold", action="store_true", help="boot each kernel again, without templates from the cache")


def _reject_early() -> None:
    """Reject an unusable host as early as possible: later, pytest captures output in temporary files."""
    if not __debug__:
        raise pytest.UsageError(
            "python -O leaves out the assertions that the tests are made of\n"
            "  hint: run python without -O, and unset PYTHONOPTIMIZE"
        )
    try:
        directory = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise pytest.UsageError(
            f"there is no place for temporary files: {error.strerror}\n  hint: set TMPDIR to a writable directory"
        ) from error
    free = shutil.disk_usage(directory).free
    if free < TEMPORARY_SPACE:
        raise pytest.UsageError(
            f"there is no room for temporary files: only {free >> 10} KiB are free in {printable(directory)}\n"
            "  hint: free some space, or set TMPDIR to another directory"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if config.option.help or config.option.version:
        return
    try:
        Cache()
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart() -> Generator[None, None, None]:
    """Report an unusable temporary directory of pytest, which may belong to another user."""
    try:
        return (yield)
    except BrokenPipeError:
        raise  # of the output, whose reader has ended
    except OSError as error:
        raise pytest.UsageError(
            f"the run cannot begin: {error}\n  hint: set TMPDIR to a directory that you own"
        ) from error


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain a failed comparison: the task, its call and the target, the result and the expectation.

    If a list of such lines should be empty, show all of them.
    """
    last_compared[:] = [right]
    if op == "==" and isinstance(left, Outcome) and isinstance(right, Expected):
        return [f"{left!r}, expected {right!r}"]
    if op == "==" and right == [] and isinstance(left, list) and all(isinstance(line, str) for line in left):
        first, *others = left
        return [f"{first} (and {len(others)} more)" if others else first, *others]
    return None


def machine_options_of(config: pytest.Config) -> MachineOptions:
    """What the options of this run ask of all guests."""
    option = config.option
    return MachineOptions(
        option.memory, option.cpus, tuple(option.append), tuple(option.qemu_opts), option.boot_timeout
    )


# What a test asks of its guests


def boot_of(item: pytest.Item) -> Boot | None:
    """The boot that a test's `boot` marker asks for; None if it needs no guest."""
    if not {"guest", "guest_supply"} & set(getattr(item, "fixturenames", ())):
        return None
    marker = item.get_closest_marker("boot")
    if marker is None:
        return DEFAULT_BOOT
    return Boot(marker.args, **{what: tuple(wanted) for what, wanted in marker.kwargs.items()})


def skip_without_devices(boot: Boot, program: QemuProgram, arch: str) -> None:
    """Skip a test whose boot needs a device that this QEMU lacks, or programs that this machine lacks."""
    if any(plan.filesystem == "9p" for plan in boot.disks) and not has_device(program.path, "virtio-9p-pci"):
        pytest.skip(f"needs a QEMU that supports 9p shares (virtio-9p-pci), which {program.path} does not")
    if boot.programs and arch != machine():
        names = " and ".join(boot.programs)
        pytest.skip(f"needs {names} for {arch}, and this machine has them for {machine()}")


def changes_of_guests(config: pytest.Config, settings: SysctlSettings | None) -> str | None:
    """The options of this run that change its guests, for reports; None if there are none."""
    sysctl = "" if settings is None else system_settings.sentence(config.option.sysctl, settings)
    return " ".join(filter(None, (machine_options_of(config).sentence(), sysctl))) or None


# The time limit of each test


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LIMIT] = TimeLimit(config.getoption("test_timeout"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    # Not when the test begins: with --repeat and --confirm, each attempt at it has the whole time.
    item.config.stash[LIMIT].begin()
    with item.config.stash[LIMIT].applied():
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    with item.config.stash[LIMIT].applied():
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    with item.config.stash[LIMIT].applied():
        yield
