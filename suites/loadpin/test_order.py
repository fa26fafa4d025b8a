# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors that are detected before LoadPin is consulted: it neither pins nor logs, and the error is the usual one.

Nothing is pinned yet in these tests: had LoadPin been consulted, it would have pinned, and logged that.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EBADF, EINVAL, ENOENT, ENOEXEC, EPERM, ETXTBSY, Expected, Outcome
from guests.promises import breaks
from guests.sysctl_path import sysctl_path
from guests.task import Task
from guests.uapi import O_CREAT, O_DIRECTORY, O_PATH, O_RDWR, O_WRONLY, Cap, Clone, KexecFile
from guests.vm.kernel_modules import read_module
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    MODULE,
    OTHER,
    PINNED,
    TMP,
    LogReader,
    boot,
    line,
    loadpin,
    modules,
    needs,
    probe,
    probe_kind,
    root_before_pin,
)
from suites.loadpin.support.load_kinds import FIRMWARE_WHOLE, KEXEC_FILE, prepare
from suites.user_namespaces import map_ids

pytestmark = loadpin

requirement = pytest.mark.requirement
UNKNOWN_FLAG = 0x100
NOT_OPEN = 999
"""A number that no descriptor has."""
FOR_A_CRASH = KexecFile.NO_INITRAMFS | KexecFile.ON_CRASH
KEXEC = needs("KEXEC_FILE")
IMA = needs("IMA", "IMA_WRITE_POLICY")
READING = requirement("loadpin.order-reading")

Act = Callable[[Task], Outcome]
Marks = pytest.MarkDecorator | tuple[pytest.MarkDecorator, ...]


def junk(task: Task) -> int:
    return task.open(f"{OTHER}/junk").result()


def being_written(task: Task) -> int:
    """A descriptor for reading, of a file that is open for writing elsewhere."""
    path = f"{TMP}/being-written"
    writing = task.open(path, O_RDWR | O_CREAT).result()
    task.write(writing, b"nothing that anybody could load\n" * 64).result()
    return task.open(path).result()


def writing(task: Task) -> int:
    """A descriptor that is open only for writing."""
    return task.open(f"{TMP}/written", O_WRONLY | O_CREAT).result()


def empty(task: Task) -> int:
    return task.open(f"{TMP}/empty", O_CREAT).result()


def directory(task: Task) -> int:
    return task.open(OTHER, O_DIRECTORY).result()


def device(task: Task) -> int:
    return task.open("/dev/vdb").result()


def pipe(task: Task) -> int:
    return task.pipe()[0]


def path_only(task: Task) -> int:
    return task.open(f"{OTHER}/junk", O_PATH).result()


def closed(_: Task) -> int:
    return NOT_OPEN


def module(make: Callable[[Task], int], flags: int = 0) -> Act:
    return lambda task: task.finit_module(make(task), flags=flags)


def image(make: Callable[[Task], int], flags: int = KexecFile.NO_INITRAMFS) -> Act:
    return lambda task: task.kexec_file_load(make(task), -1, flags)


def policy(path: str) -> Act:
    return lambda task: task.load_policy(path)


# fmt: off
CELLS: tuple[tuple[str, Act, Expected, Marks], ...] = (
    #  what is wrong                              call                           error    needs
    ("finit_module-of-a-closed-descriptor",       module(closed),                EBADF,   modules),
    ("finit_module-of-a-path-descriptor",         module(path_only),             EBADF,   modules),
    ("finit_module-of-a-writing-descriptor",      module(writing),               EBADF,   (modules, READING)),
    ("finit_module-with-an-unknown-flag",         module(junk, UNKNOWN_FLAG),    EINVAL,  modules),
    ("finit_module-with-an-unknown-flag-first",   module(closed, UNKNOWN_FLAG),  EINVAL,  modules),
    ("finit_module-of-a-directory",               module(directory),             EINVAL,  modules),
    ("finit_module-of-a-device",                  module(device),                EINVAL,  modules),
    ("finit_module-of-a-pipe",                    module(pipe),                  EINVAL,  modules),
    ("finit_module-of-a-file-being-written",      module(being_written),         ETXTBSY, modules),
    ("finit_module-of-an-empty-file",             module(empty),                 EINVAL,  modules),
    ("kexec_file_load-of-a-closed-descriptor",    image(closed),                 EBADF,   KEXEC),
    ("kexec_file_load-of-a-writing-descriptor",   image(writing),                EBADF,   (KEXEC, READING)),
    ("kexec_file_load-with-an-unknown-flag",      image(junk, UNKNOWN_FLAG),     EINVAL,  KEXEC),
    ("kexec_file_load-of-a-directory",            image(directory),              EINVAL,  KEXEC),
    ("kexec_file_load-of-a-file-being-written",   image(being_written),          ETXTBSY, KEXEC),
    ("kexec_file_load-of-an-empty-file",          image(empty),                  EINVAL,  KEXEC),
    ("missing-policy",                  policy("/no/policy"),          ENOENT,  IMA),
    ("policy-in-a-directory",                policy(OTHER),                 EINVAL,  IMA),
)
# fmt: on


@ENFORCING
@requirement("loadpin.order")
@pytest.mark.parametrize(
    ("act", "error"),
    [pytest.param(act, error, marks=marks, id=f"{name}-is-{error!r}") for name, act, error, marks in CELLS],
)
def test_errors_before_loadpin_is_consulted(guest: Guest, act: Act, error: Expected) -> None:
    """A wrong call fails with its own error, LoadPin logs nothing, and the first real load pins."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    assert act(root) == error
    assert log.new_lines() == []
    assert probe(guest, root, PINNED) == ENOEXEC
    assert log.last() == line(probe_kind(guest), "pinned", f"{PINNED}/junk", root)


@ENFORCING
@requirement("loadpin.order")
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(module(junk), marks=modules, id="finit_module"),
        pytest.param(module(closed, UNKNOWN_FLAG), marks=modules, id="finit_module-with-every-other-error-too"),
        pytest.param(image(junk), marks=KEXEC, id="kexec_file_load"),
        pytest.param(image(closed, UNKNOWN_FLAG), marks=KEXEC, id="kexec_file_load-with-every-other-error-too"),
    ],
)
def test_without_the_capability(guest: Guest, act: Act) -> None:
    """A caller without the capability gets EPERM, and not from LoadPin."""
    root_before_pin(guest)
    unprivileged = guest.spawn("unprivileged", caps=Cap.ALL & ~Cap.SYS_MODULE & ~Cap.SYS_BOOT)
    log = LogReader(guest)
    assert act(unprivileged) == EPERM
    assert log.new_lines() == []


@needs("USER_NS")
@ENFORCING
@requirement("loadpin.order-namespace")
@pytest.mark.parametrize(
    ("act", "kind"),
    [
        pytest.param(module(junk), "kernel-module", marks=modules, id="finit_module"),
        pytest.param(image(junk), "kexec-image", marks=KEXEC, id="kexec_file_load"),
    ],
)
def test_root_of_a_user_namespace(guest: Guest, act: Act, kind: str) -> None:
    """root of a user namespace, with all capabilities there, gets EPERM, and not from LoadPin; root itself pins."""
    root = root_before_pin(guest)
    inside = root.spawn("inside", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 0 1")
    log = LogReader(guest)
    assert act(inside) == EPERM
    assert log.new_lines() == []
    act(root)
    assert log.last() == line(kind, "pinned", f"{OTHER}/junk", root)


@needs("FW_LOADER", "TEST_FIRMWARE")
@boot("loadpin.enforce=1", "loadpin.exclude=kernel-module")
@requirement("loadpin.order")
def test_missing_firmware(guest: Guest) -> None:
    """Missing firmware is ENOENT for the driver, as is firmware that LoadPin refuses, but LoadPin logs nothing."""
    root = root_before_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    log = LogReader(guest)
    assert root.request_firmware(OTHER, "no-such-firmware") == ENOENT
    assert log.new_lines() == []


@ENFORCING
@requirement("loadpin.order-after", "loadpin.deny")
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(module(junk), marks=modules, id="finit_module-of-junk"),
        pytest.param(image(junk), marks=KEXEC, id="kexec_file_load-of-junk"),
        pytest.param(image(junk, FOR_A_CRASH), marks=KEXEC, id="kexec_file_load-of-junk-for-a-crash"),
    ],
)
def test_denied_before_it_is_read(guest: Guest, act: Act) -> None:
    """A file that could not be loaded anyway still fails with EPERM: LoadPin checks its origin, not its contents."""
    root = root_before_pin(guest)
    probe(guest, root, PINNED).require(ENOEXEC)
    log = LogReader(guest)
    done = act(root)
    kind = "kernel-module" if "finit_module" in done.what else "kexec-image"
    with breaks("loadpin.deny"):
        assert log.new_lines() == [line(kind, "denied", f"{OTHER}/junk", root)]
    with breaks("loadpin.order-after"):
        assert done == EPERM


# Toggles that cannot be set back


@modules
@needs("SYSCTL")
@ENFORCING
@requirement("loadpin.modules-disabled")
def test_modules_disabled(guest: Guest) -> None:
    """Once kernel.modules_disabled is set, modules are neither loaded nor unloaded, and LoadPin is not consulted."""
    root = root_before_pin(guest)
    pinned, content = f"{PINNED}/{MODULE}.ko", read_module(guest.kernel, MODULE)
    root.load_module(f"{PINNED}/test_firmware.ko").result()
    root.load_module(pinned).result()
    root.unload_module(MODULE).result()
    log = LogReader(guest)
    guest.set_sysctl("kernel.modules_disabled", 1)
    assert root.load_module(pinned) == EPERM
    assert root.load_module(f"{OTHER}/{MODULE}.ko") == EPERM
    assert root.init_module(content) == EPERM
    assert root.unload_module("test_firmware") == EPERM
    assert guest.write_file(sysctl_path("kernel.modules_disabled"), "0") == EINVAL
    assert log.new_lines() == []


@KEXEC_FILE
@needs("KEXEC", "SYSCTL")
@ENFORCING
@requirement("loadpin.kexec-disabled")
def test_kexec_disabled(guest: Guest) -> None:
    """Once kernel.kexec_load_disabled is set, the kernel that is loaded stays, and LoadPin is not consulted."""
    root = root_before_pin(guest)
    root.load_kernel(f"{PINNED}/image").result()
    root.unload_kernel().result()
    root.load_kernel(f"{PINNED}/image").result()
    log = LogReader(guest)
    guest.set_sysctl("kernel.kexec_load_disabled", 1)
    assert root.load_kernel(f"{PINNED}/image") == EPERM
    assert root.load_kernel(f"{OTHER}/image") == EPERM
    assert root.kexec_load() == EPERM
    assert root.unload_kernel() == EPERM
    assert root.kernel_is_loaded()
    assert guest.write_file(sysctl_path("kernel.kexec_load_disabled"), "0") == EINVAL
    assert log.new_lines() == []
