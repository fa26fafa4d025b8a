# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that binfmt_misc runs by an interpreter, which gets a descriptor of the file, or also its privileges."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import returned
from guests.task import Task
from guests.vm.kernel_modules import read_module
from suites.ptrace.support.programs import ENVIRONMENT, FOLDER, Programs

pytestmark = [
    pytest.mark.needs("BINFMT_MISC"),
    pytest.mark.own_machine("which interpreters binfmt_misc knows is a setting of the machine"),
]

FILESYSTEM = "/proc/sys/fs/binfmt_misc"
MAGIC = "conform"
"""The beginning of the files."""


def execute_by_interpreter(guest: Guest, task: Task, mode: int, flags: str) -> None:
    """Have a task execute a file of root's with this mode, by an interpreter with these flags of binfmt_misc."""
    root, interpreter = guest.root("owner of the file"), Programs(guest).create()
    if guest.kernel.config["BINFMT_MISC"] == "m":
        loaded = root.init_module(read_module(guest.kernel, "binfmt_misc"))
        if loaded.errno:
            pytest.skip(f"needs CONFIG_BINFMT_MISC, and its module cannot be loaded: {loaded!r}")
    root.mount("binfmt_misc", FILESYSTEM, "binfmt_misc").result()
    root.write_text(f"{FILESYSTEM}/register", f":conform:M::{MAGIC}::{interpreter}:{flags}").result()
    # The interpreter takes the name of the file for its first argument, by which it knows that it is a task.
    path = f"{FOLDER}/task"
    guest.upload(path, MAGIC.encode())
    root.chmod(path, mode).result()
    task.call("chdir", FOLDER).result()
    arguments, environment = task.store_words("task", str(task.slot)), task.store_words(ENVIRONMENT)
    task.call("execve", "task", arguments, environment, shown='execute("task")').result()
    task.become_leader()


@pytest.mark.requirement("ptrace.exec-misc-unreadable")
@pytest.mark.parametrize(
    ("mode", "dumpable"),
    [pytest.param(0o755, 1, id="readable"), pytest.param(0o711, 0, id="unreadable")],
)
def test_descriptor_of_the_file(guest: Guest, mode: int, dumpable: int) -> None:
    """An interpreter that has a descriptor of a file which its user cannot read is not dumpable."""
    task = guest.spawn("task")
    execute_by_interpreter(guest, task, mode, "O")
    assert task.get_dumpable() == returned(dumpable)


@pytest.mark.requirement("ptrace.exec-misc-credentials")
@pytest.mark.parametrize(
    ("flags", "uid", "dumpable"),
    [pytest.param("O", 1000, 1, id="of-the-interpreter"), pytest.param("C", 0, 0, id="of-the-file")],
)
def test_privileges_of_the_file(guest: Guest, flags: str, uid: int, dumpable: int) -> None:
    """A set-uid file gives its uid to its interpreter only with flag C, and closes it then."""
    task = guest.spawn("task")
    execute_by_interpreter(guest, task, 0o4755, flags)
    assert task.call("geteuid") == returned(uid)
    assert task.get_dumpable() == returned(dumpable)
