# SPDX-License-Identifier: GPL-2.0-or-later
"""LoadPin's log lines: names that cannot forge another line, deleted files, and the numbers of tasks."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import EPERM
from guests.promises import breaks
from guests.uapi import AT_FDCWD, Clone
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    OTHER,
    TMP,
    LogReader,
    line,
    loadpin,
    needs,
    probe,
    probe_file,
    probe_kind,
    root_after_pin,
)

pytestmark = loadpin

requirement = pytest.mark.requirement


@ENFORCING
@requirement("loadpin.quoting")
def test_a_path_cannot_forge_a_line(guest: Guest) -> None:
    """The log escapes quotes, newlines and backslashes in the name of a file."""
    root = root_after_pin(guest)
    name = 'x" pid=1\nLoadPin: \\'
    guest.upload(f"{TMP}/{name}", b"junk" * 100)
    log = LogReader(guest)
    assert probe_file(guest, root, f"{TMP}/{name}") == EPERM
    quoted = r"x\x22 pid=1\x0aLoadPin: \x5c"
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{TMP}/{quoted}", root)]


@ENFORCING
@requirement("loadpin.quoting")
def test_a_command_line_cannot_forge_a_line(guest: Guest) -> None:
    """The log escapes quotes, newlines and backslashes in a program's command line."""
    root = root_after_pin(guest)
    forger = root.spawn('a" pid=1\n\\')
    log = LogReader(guest)
    assert probe(guest, forger, OTHER) == EPERM
    quoted = r"a\x22 pid=1\x0a\x5c"
    assert log.new_lines() == [
        f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={forger.pid} cmdline="{quoted}"',
    ]


@ENFORCING
@requirement("loadpin.pin")
def test_a_command_line_of_several_words(guest: Guest) -> None:
    """The log has every word of a command line, with a space between any two."""
    root = root_after_pin(guest)
    root.execute_again("several", "words").result()
    log = LogReader(guest)
    probe(guest, root, OTHER).require(EPERM)
    words = f"/init task {root.slot} several words"
    assert log.new_lines() == [f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={root.pid} cmdline="{words}"']


@ENFORCING
@requirement("loadpin.log-length")
def test_a_long_path(guest: Guest) -> None:
    """The log has all of a path of 600 characters."""
    root = root_after_pin(guest)
    directory = TMP
    for letter in "abc":
        directory += "/" + letter * 200
        root.mkdir(directory).result()
    guest.upload(f"{directory}/junk", b"junk" * 100)
    log = LogReader(guest)
    probe(guest, root, directory).require(EPERM)
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{directory}/junk", root)]


@ENFORCING
@requirement("loadpin.log-length")
def test_a_long_command_line(guest: Guest) -> None:
    """The log has all of a command line of 600 characters."""
    root = root_after_pin(guest)
    root.execute_again("x" * 600).result()
    log = LogReader(guest)
    probe(guest, root, OTHER).require(EPERM)
    words = f"/init task {root.slot} {'x' * 600}"
    assert log.new_lines() == [f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={root.pid} cmdline="{words}"']


@ENFORCING
@requirement("loadpin.quoting", "loadpin.deny")
def test_a_deleted_file(guest: Guest) -> None:
    """A deleted file still counts by its superblock, and the log marks it as deleted."""
    root = root_after_pin(guest)
    guest.upload(f"{TMP}/junk", b"junk" * 100)
    file = root.open(f"{TMP}/junk").result()
    root.call("unlinkat", AT_FDCWD, f"{TMP}/junk", 0).result()
    log = LogReader(guest)
    with breaks("loadpin.deny"):
        assert probe_file(guest, root, f"/proc/self/fd/{file}") == EPERM
    with breaks("loadpin.quoting"):
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{TMP}/junk (deleted)", root)]


@ENFORCING
@requirement("loadpin.pin", "loadpin.deny")
def test_a_thread_is_logged_by_its_own_id(guest: Guest) -> None:
    """The log has the id of the thread that made the call."""
    root = root_after_pin(guest)
    thread = root.thread("helper")
    log = LogReader(guest)
    with breaks("loadpin.deny"):
        assert probe(guest, thread, OTHER) == EPERM
    with breaks("loadpin.pin"):
        assert log.new_lines() == [f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={thread.tid} cmdline="root"']


@needs("PID_NS")
@ENFORCING
@requirement("loadpin.pin", "loadpin.deny")
def test_a_task_is_logged_by_its_pid_in_the_initial_namespace(guest: Guest) -> None:
    """The pid in the log is that of the initial pid namespace, whatever namespace the task is in."""
    root = root_after_pin(guest)
    inside = root.spawn("inside", flags=Clone.NEWPID)
    require(inside.own_tid != inside.tid, f"{inside} has the same number in both pid namespaces")
    log = LogReader(guest)
    with breaks("loadpin.deny"):
        assert probe(guest, inside, OTHER) == EPERM
    with breaks("loadpin.pin"):
        assert log.new_lines() == [f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={inside.tid} cmdline="inside"']
