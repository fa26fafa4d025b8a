# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules that the kernel itself decompresses: LoadPin checks the compressed file."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EPERM, OK, Outcome
from guests.task import Task
from guests.uapi import MODULE_INIT_COMPRESSED_FILE, MODULE_INIT_IGNORE_MODVERSIONS
from guests.vm.kernel_modules import read_module
from suites.elf_files import ElfLayout
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    MODULE,
    OTHER,
    TMP,
    LogReader,
    boot,
    line,
    loadpin,
    modules,
    needs,
    root_before_pin,
)
from suites.lockdown_and_signing import signatures_enforced

pytestmark = [loadpin, modules, needs("MODULE_DECOMPRESS", "MODULE_COMPRESS_GZIP", "TMPFS")]

requirement = pytest.mark.requirement

KINDS_OF_COMPRESSED = ("kernel-module", "kernel-module-compressed")


def upload_twice(guest: Guest, root: Task, name: str = "") -> None:
    """Put the same compressed module on two file systems: TMP and /second.  gzip(1) stores a name in it."""
    root.mount("tmpfs", "/second", "tmpfs").result()
    compressed = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=compressed, mtime=0) as file:
        file.write(read_module(guest.kernel, MODULE))
    for directory in (TMP, "/second"):
        guest.upload(f"{directory}/{MODULE}.ko.gz", compressed.getvalue())


def load_compressed(task: Task, directory: str, flags: int = 0) -> Outcome:
    return task.load_module(f"{directory}/{MODULE}.ko.gz", flags=MODULE_INIT_COMPRESSED_FILE | flags)


@ENFORCING
@requirement("loadpin.compressed-module")
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        pytest.param("", 0, id="without-its-name"),
        pytest.param(f"{MODULE}.ko", 0, id="with-its-name"),
        # With MODVERSIONS, this flag makes it a forced load, which MODULE_FORCE_LOAD allows, and which taints.
        pytest.param(
            "", MODULE_INIT_IGNORE_MODVERSIONS, id="with-another-flag", marks=pytest.mark.lacks("MODVERSIONS")
        ),
    ],
)
def test_a_compressed_module(guest: Guest, promised: Callable[[str], bool], name: str, flags: int) -> None:
    """The kernel reads a compressed module's file, and LoadPin checks the superblock of that file."""
    root = root_before_pin(guest)
    upload_twice(guest, root, name)
    assert load_compressed(root, TMP, flags) == OK
    assert root.unload_module(MODULE) == OK
    log = LogReader(guest)
    assert load_compressed(root, "/second", flags) == EPERM
    # An older kernel may have the new kind nevertheless: nothing tells whether it was backported.
    kinds = ["kernel-module-compressed"] if promised("loadpin.compressed-kind") else KINDS_OF_COMPRESSED
    assert log.new_lines() in [[line(kind, "denied", f"/second/{MODULE}.ko.gz", root)] for kind in kinds]


@ENFORCING
@requirement("loadpin.compressed-long")
def test_a_module_that_is_compressed_to_a_fraction(guest: Guest) -> None:
    """A module that takes a thousandth of its size while it is compressed loads."""
    if signatures_enforced(guest):
        pytest.skip("needs a kernel that loads modules without signatures")
    root, module = guest.root(), read_module(guest.kernel, MODULE)
    long = ElfLayout(module).with_late_section_headers(module, 4 << 20)
    guest.upload(f"{TMP}/{MODULE}.ko.gz", gzip.compress(long, mtime=0))
    assert load_compressed(root, TMP) == OK
    assert root.unload_module(MODULE) == OK


@boot("loadpin.enforce=1", "loadpin.exclude=kernel-module")
@requirement("loadpin.compressed-kind")
def test_a_compressed_module_is_another_kind(guest: Guest) -> None:
    """Excluding kernel-module excludes only modules that are not compressed."""
    root = root_before_pin(guest)
    upload_twice(guest, root)
    assert load_compressed(root, TMP) == OK
    assert root.unload_module(MODULE) == OK
    assert load_compressed(root, "/second") == EPERM
    assert root.load_module(f"{OTHER}/{MODULE}.ko") == OK
