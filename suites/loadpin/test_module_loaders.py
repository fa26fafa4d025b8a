# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules that LoadPin lets through: malformed ones, several processes that load one, and no program that does.

And who may unload them.
"""

from __future__ import annotations

import errno

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import EEXIST, EINTR, EIO, ENOENT, ENOEXEC, EPERM, OK, Expected, error, killed
from guests.uapi import Cap, Clone, Signal
from guests.vm.kernel_modules import read_module
from suites.elf_files import ElfLayout
from suites.loadpin.support.disks_and_log import (
    MODULE,
    NOT_ENFORCING,
    PINNED,
    TMP,
    loadpin,
    modules,
    needs,
    root_after_pin,
)
from suites.loadpin.support.suspended_disk import SuspendedDisk
from suites.lockdown_and_signing import signatures_enforced
from suites.user_namespaces import map_ids

pytestmark = [loadpin, modules]

requirement = pytest.mark.requirement
TAKEN_FOR_LOADED = "request_module fs-unknown succeeded, but still no fs?"


@NOT_ENFORCING
@requirement("loadpin.module-without-names")
def test_module_without_names_of_sections(guest: Guest) -> None:
    """A module that LoadPin lets through is refused with ENOEXEC if it has no names of sections."""
    if signatures_enforced(guest):
        pytest.skip("needs a kernel that loads modules without signatures")
    root, module = guest.root(), read_module(guest.kernel, MODULE)
    assert root.init_module(ElfLayout(module).without_section_names(module)) == ENOEXEC
    assert root.init_module(module) == OK


@NOT_ENFORCING
@requirement("loadpin.module-in-pieces")
def test_a_long_module_from_memory(guest: Guest) -> None:
    """A module of 128 KiB, which the kernel copies in pieces, loads from memory."""
    if signatures_enforced(guest):
        pytest.skip("needs a kernel that loads modules without signatures")
    root, module = guest.root(), read_module(guest.kernel, MODULE)
    assert root.init_module(ElfLayout(module).with_late_section_headers(module, 128 << 10)) == OK
    assert root.unload_module(MODULE) == OK


@NOT_ENFORCING
@requirement("loadpin.short-file")
def test_a_file_that_is_shorter_than_its_size(guest: Guest) -> None:
    """A file in sysfs, which has less content than its size says, is not read; a copy, of the right size, is."""
    if signatures_enforced(guest):
        pytest.skip("needs a kernel that loads modules without signatures")
    root, path = guest.root(), "/sys/kernel/fscaps"
    guest.upload(f"{TMP}/copy", root.content(path))
    assert root.load_module(f"{TMP}/copy") == ENOEXEC
    assert root.load_module(path) == EIO


@NOT_ENFORCING
@requirement("loadpin.module-name-length")
def test_unloading_by_a_name_that_is_too_long(guest: Guest) -> None:
    """A name that begins with that of a module, which is as long as it can be, is no module's name."""
    if signatures_enforced(guest):
        pytest.skip("needs a kernel that loads modules without signatures")
    root, module = guest.root(), read_module(guest.kernel, MODULE)
    size = 64 - root.abi.word  # MODULE_NAME_LEN
    own, longest = MODULE.encode().ljust(size, b"\0"), "x" * (size - 1)
    require(module.count(own) == 1, f"struct module is not found in {MODULE}")
    assert root.init_module(module.replace(own, longest.encode() + b"\0")) == OK
    assert root.unload_module(longest + "x") == ENOENT
    assert root.unload_module(longest) == OK


@pytest.mark.boot("loadpin.enforce=0", programs=("true",))
@needs("SYSCTL")
@pytest.mark.lacks("STATIC_USERMODEHELPER")
@requirement("loadpin.autoload-disabled")
def test_autoloading_is_disabled(guest: Guest) -> None:
    """Without a program that loads modules, the kernel does not take a module that it wants for loaded."""
    root = guest.root()

    def taken_for_loaded() -> bool:
        assert root.mount("none", "/mnt", "unknown") == error(errno.ENODEV)
        return any(TAKEN_FOR_LOADED in line for line in guest.log())

    guest.set_sysctl("kernel.modprobe", "\n")
    assert not taken_for_loaded()
    guest.set_sysctl("kernel.modprobe", "/bin/true")
    require(taken_for_loaded(), "the kernel does not execute /bin/true")


@needs("BLK_DEV_DM")
@NOT_ENFORCING
@requirement("loadpin.waiting-loader")
@pytest.mark.parametrize(
    ("signal", "outcome"),
    [
        pytest.param(Signal.KILL, killed(Signal.KILL), id="killed"),
        pytest.param(Signal.USR1, EINTR, id="interrupted-is-EINTR"),
    ],
)
def test_loader_that_waits_for_another(guest: Guest, signal: Signal, outcome: Expected) -> None:
    """A process that waits because another one loads the same module reacts to signals; the other loads it."""
    loader, waiting = guest.root("loader"), guest.root("waiting")
    waiting.catch(Signal.USR1).result()
    disk = SuspendedDisk(guest, loader)
    path = f"{disk.directory}/{MODULE}.ko"
    # Names are read from the disk before it is suspended.
    descriptors = [task.open(path).result() for task in (loader, waiting)]
    shown = f'load_module("{path}")'
    with disk:
        loading = loader.begin("finit_module", descriptors[0], "", 0, shown=shown)
        # Only the disk makes it wait like this, and then it is the one that loads.
        loader.wait_state("D")
        also = waiting.begin("finit_module", descriptors[1], "", 0, shown=shown)
        also.wait_until_blocked()
        guest.root("sender").kill(waiting, signal).result()
        assert also.outcome() == outcome
        assert not loading.finished()
    assert loading.outcome() == OK
    assert loader.unload_module(MODULE) == OK


@needs("BLK_DEV_DM")
@NOT_ENFORCING
@requirement("loadpin.loader-result")
def test_result_of_a_loader_that_waits(guest: Guest) -> None:
    """A process that waits because another one loads the same module gets the other's result; later, it is EEXIST.

    A process that loads another module of the same disk at that time loads it.
    """
    loader, waiting, another = guest.root("loader"), guest.root("waiting"), guest.root("another")
    disk = SuspendedDisk(guest, loader)
    path, other_path = f"{disk.directory}/{MODULE}.ko", f"{disk.directory}/test_firmware.ko"
    # Names are read from the disk before it is suspended.
    files = {task: task.open(path).result() for task in (loader, waiting)}
    files[another] = another.open(other_path).result()
    with disk:
        loading = loader.begin("finit_module", files[loader], "", 0, shown=f'load_module("{path}")')
        loader.wait_state("D")  # as only the one that loads does: it waits for the disk
        also = waiting.begin("finit_module", files[waiting], "", 0, shown=f'load_module("{path}")')
        also.wait_until_blocked()
        beside = another.begin("finit_module", files[another], "", 0, shown=f'load_module("{other_path}")')
        beside.wait_until_blocked()
    assert loading.outcome() == OK
    assert also.outcome() == OK
    assert waiting.load_module(path) == EEXIST
    assert beside.outcome() == OK
    assert another.unload_module("test_firmware") == OK
    assert loader.unload_module(MODULE) == OK


@NOT_ENFORCING
@requirement("loadpin.unload-capability")
def test_unloading_without_the_capability(guest: Guest) -> None:
    """A task that has all capabilities but CAP_SYS_MODULE cannot unload a module; root can."""
    root = root_after_pin(guest, other=False)
    root.load_module(f"{PINNED}/{MODULE}.ko").result()
    assert guest.spawn("unprivileged", caps=Cap.ALL & ~Cap.SYS_MODULE).unload_module(MODULE) == EPERM
    assert root.unload_module(MODULE) == OK


@needs("USER_NS")
@NOT_ENFORCING
@requirement("loadpin.unload-capability")
def test_unloading_by_root_of_a_user_namespace(guest: Guest) -> None:
    """Neither can root of a user namespace, with all capabilities there."""
    root = root_after_pin(guest, other=False)
    root.load_module(f"{PINNED}/{MODULE}.ko").result()
    inside = root.spawn("inside", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 0 1")
    assert inside.unload_module(MODULE) == EPERM
    assert root.unload_module(MODULE) == OK
