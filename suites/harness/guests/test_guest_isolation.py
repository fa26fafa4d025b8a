# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on each kernel under test: they are fresh, and isolated from each other."""

from __future__ import annotations

import array
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from guests.guest import Guest
from guests.log.splats import first
from guests.outcome import exited, returned
from guests.vm import template

MARK = "/tmp/mark"  # noqa: S108 - in the guest

PRESENT, SWAPPED, OF_FILE = 1 << 63, 1 << 62, 1 << 61
"""Bits of a page in /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst)."""


def changed_pages(pid: int, file: Path) -> list[int]:
    """The offsets of the pages in a process's private mapping of a file that are no longer what the file has."""
    lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    (where,) = (line.split()[0] for line in lines if line.endswith(f" {file}"))
    start, end = (int(address, 16) for address in where.split("-"))
    size = os.sysconf("SC_PAGE_SIZE")
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as table:
        table.seek(start // size * 8)
        (pages := array.array("Q")).frombytes(table.read((end - start) // size * 8))
    written = [
        number * size for number, page in enumerate(pages) if page & (PRESENT | SWAPPED) and not page & OF_FILE
    ]
    with Path(f"/proc/{pid}/mem").open("rb") as memory, file.open("rb") as unchanged:
        return [page for page in written if _at(memory, start + page, size) != _at(unchanged, page, size)]


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def test_two_clones_of_a_template_do_not_see_each_other(guest: Guest, sibling: Guest) -> None:
    """They share no files, settings, processes or log."""
    assert guest.pid != sibling.pid
    assert guest.write_file(MARK, "mine", create=True) == returned(4)
    guest.set_sysctl("kernel.hostname", "mine")
    guest.write_file("/dev/kmsg", "a line of mine\n").result()
    mine = guest.spawn("mine")

    assert not sibling.exists(MARK)
    assert sibling.sysctl("kernel.hostname") != "mine"
    assert guest.wait_for_log("a line of mine")
    assert "a line of mine" not in sibling.log()
    assert not sibling.exists(f"/proc/{mine.pid}/comm") or sibling.read_file(f"/proc/{mine.pid}/comm") != "mine\n"
    sibling.write_file(MARK, "yours", create=True).result()
    assert (guest.read_file(MARK), sibling.read_file(MARK)) == ("mine", "yours")


def test_what_a_guest_wrote_disappears_with_it(guest: Guest, sibling: Guest) -> None:
    """It is not in the template's memory, which all clones map: the next clone is as fresh as the first."""
    sibling.upload(MARK, os.urandom(1 << 12))
    sibling.close()
    template.check(guest.template.directory)
    following = Guest(guest.kernel, guest.template)
    try:
        following.resume()
        assert not following.exists(MARK)
        assert following.root().call("getppid") == returned(1)
    finally:
        following.close()


def test_qemu_changes_no_memory_of_a_clone(guest: Guest) -> None:
    """Not even at its start, as when it writes a device tree: the kernel may be using that page."""
    waiting = Guest(guest.kernel, guest.template)
    try:
        waiting.wait_until_loaded()
        changed = changed_pages(waiting.pid, guest.template.directory / "ram")
    finally:
        waiting.close()
    machine = guest.template.machine
    left_alone = (machine.memory_mib - machine.architecture.rewritten_mib) << 20
    assert [page for page in changed if page < left_alone] == []


def test_a_guest_runs_the_kernel_under_test(guest: Guest) -> None:
    assert (guest.hello.release, guest.hello.machine) == (guest.kernel.release, guest.arch)
    assert guest.read_file("/proc/sys/kernel/osrelease").strip() == guest.kernel.release
    assert any(line.startswith("Linux version ") for line in guest.boot_log)
    assert "Linux version " in guest.template.console


def test_a_boot_leaves_no_complaint(guest: Guest) -> None:
    assert first(guest.boot_log) is None
    assert guest.boot_splat() == ""


def test_a_complaint_at_boot_is_found(guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boot.log").write_text("6,0,0,-;Linux version\n4,1,0,-;BUG: early\n")
    with monkeypatch.context() as patch:
        patch.setattr(guest, "template", replace(guest.template, directory=tmp_path))
        assert guest.boot_splat() == "BUG: early"
        assert guest.boot_splat(lambda line: line == "BUG: early") == ""


def test_a_guest_still_answers_after_creating_two_hundred_tasks(guest: Guest) -> None:
    parent = guest.root("parent")
    children = [parent.spawn(f"child-{i}") for i in range(100)]
    threads = [parent.thread(f"thread-{i}") for i in range(100)]
    assert [task.call("getppid") for task in children] == [returned(parent.pid)] * 100
    assert [task.call("getpid") for task in threads] == [returned(parent.pid)] * 100
    assert children[0].exit(3) == exited(3)
    assert parent.exit(4) == exited(4)
    assert [task.wait_death() for task in threads] == [exited(4)] * 100
    assert guest.spawn("last").call("getppid") == returned(1)


def test_the_evidence_of_a_test_that_passed(guest: Guest) -> None:
    """It contains the calls, the tasks, and what the kernel logged since it was cloned, but no empty pieces."""
    task = guest.spawn("task")
    assert task.call("getpid") == returned(task.pid)
    assert task.exit(3) == exited(3)
    guest.write_file("/dev/kmsg", "a line\n").result()
    found = guest.evidence()
    assert re.findall(r"^ *\d+\.\d{4}  (.*)$", found["transcript"], re.MULTILINE)[:3] == [
        f"init[1].spawn(task) -> OK({task.pid})",
        f"task[{task.pid}].getpid() -> OK({task.pid})",
        f"task[{task.pid}].exit_group(3) -> exited with 3",
    ]
    assert found["process tree"] == f"init[1]\n    task[{task.pid}]  exited with 3"
    assert "] a line\n" in found["kernel log"]
    assert "Linux version" not in found["kernel log"]
    assert all(text.strip() for text in found.values())


def test_a_guest_may_be_closed_twice(sibling: Guest) -> None:
    sibling.close()
    sibling.close()
