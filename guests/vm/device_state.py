# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving the state of a guest's devices to a file, and loading it, in the way that the QEMU in use supports.

RAM is not included: it is in a file that the template keeps and its clones map (capability x-ignore-shared,
docs/devel/migration/main.rst).  The file is an inherited descriptor, so its path can contain any characters.
"""

from __future__ import annotations

import os
import time
from functools import cache

from common.project_files import COMMAND
from guests.errors import QemuError
from guests.vm.idle_processors import wait_until_idle
from guests.vm.qemu_process import Qemu
from guests.vm.qemu_program import SANDBOX, QemuProgram

CAPABILITIES = [{"capability": "x-ignore-shared", "state": True}, {"capability": "events", "state": True}]
_PROOF_DEADLINE_S = 60.0


def save(qemu: Qemu, program: QemuProgram, descriptor: int, deadline: float, *, idle: bool = False) -> None:
    """Write the state to a file that QEMU has inherited as `descriptor`.  Afterwards, the guest no longer runs.

    `deadline` is of time.monotonic(); `idle`: first wait until the guest is.  QemuError if saving fails.
    """
    qmp = qemu.qmp
    qmp.execute("qmp_capabilities", deadline)
    qmp.execute("migrate-set-capabilities", deadline, capabilities=CAPABILITIES)
    if idle:
        wait_until_idle(qemu, deadline)
    # Do not stop the guest first: the state would be `paused`, and a clone would stay paused unless `cont` came after
    # the migration (migration/migration.c, process_incoming_migration_bh()).  QEMU stops the guest by itself.
    if program.migrates_to_file:
        uri = f"file:/proc/self/fd/{descriptor}"
    else:
        qmp.give_descriptor(descriptor, "state", deadline)
        uri = "fd:state"
    qmp.execute("migrate", deadline, uri=uri)
    while (status := qmp.event({"MIGRATION"}, deadline)["data"]["status"]) != "completed":
        if status in {"failed", "cancelled"}:
            why = qmp.execute("query-migrate", deadline).get("error-desc", status)
            raise QemuError(f"QEMU could not save the guest's state: {why}")
    if qemu.ended():
        raise QemuError(qemu.why_ended())


def send_load(qemu: Qemu, program: QemuProgram, descriptor: int) -> None:
    """Tell a QEMU started with `-incoming defer` to load the state from a descriptor that it has inherited.

    This does not wait for replies: the commands are in the monitor's socket before QEMU runs.
    """
    scheme = "file:/proc/self/fd/" if program.migrates_to_file else "fd:"
    qemu.qmp.send("qmp_capabilities")
    qemu.qmp.send("migrate-set-capabilities", capabilities=CAPABILITIES)
    qemu.qmp.send("migrate-incoming", uri=f"{scheme}{descriptor}")


@cache
def prove(program: QemuProgram) -> None:
    """Save and load an empty machine.  QemuError if this QEMU does not support templates and clones."""
    deadline = time.monotonic() + _PROOF_DEADLINE_S
    empty = [program.path, *("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")]
    empty += [*("-chardev", "null,id=console"), *(SANDBOX if program.sandboxed else ())]
    state = os.memfd_create("state")
    try:
        saving = Qemu(empty, console="null,id=unused-console", pass_fds=[state])
        try:
            save(saving, program, state, deadline)
        finally:
            saving.kill()
        loading = Qemu([*empty, "-S", "-incoming", "defer"], console="null,id=unused-console", pass_fds=[state])
        try:
            os.lseek(state, 0, os.SEEK_SET)
            send_load(loading, program, state)
            while (status := loading.qmp.event({"MIGRATION"}, deadline)["data"]["status"]) != "completed":
                if status == "failed":
                    raise QemuError("QEMU could not load the state that it had saved")
        finally:
            loading.kill()
    except QemuError as error:
        version = program.version_line or "version unknown"
        raise QemuError(
            f"{program.path} ({version}) cannot save and load guests: {error.message}",
            hint=f"use QEMU 7.0 to 11, with --qemu=PATH if necessary, or run `{COMMAND} doctor`",
        ) from error
    finally:
        os.close(state)
