# SPDX-License-Identifier: GPL-2.0-or-later
"""The C source of a reproducer: a comment that tells what it is about, the story of the test, and the runtime."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guests.reproducer.findings import Analysis
from guests.reproducer.story import Story
from guests.session import Session
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.disk_images import DiskPlan

_RUNTIME = Path(__file__).parent / "runtime"
_PARTS = ("task_side.c", "complaints.c", "observing.c", "giving_orders.c", "checking.c", "starting.c")
_WIDTH = 110
_LONGEST_FILE = 200
"""Maximum size in bytes of a file whose content a comment shows."""
_INCLUDES = (
    *("dirent.h", "errno.h", "fcntl.h", "limits.h", "linux/futex.h", "poll.h", "regex.h", "sched.h", "signal.h"),
    *("stdarg.h", "stddef.h", "stdio.h", "stdlib.h", "string.h", "sys/eventfd.h", "sys/mman.h", "sys/personality.h"),
    *("sys/prctl.h", "sys/syscall.h", "sys/wait.h", "time.h", "unistd.h"),
)


@dataclass(frozen=True)
class Subject:
    """What a reproducer is about, for the comment at its top."""

    promise: str
    """The test's docstring."""
    requirements: Sequence[tuple[str, str]]
    """The id and the text of each promise."""
    nodeid: str
    kernel: str
    release: str
    failure: str
    """What the kernel did; empty if the test passed."""
    boot: Boot = DEFAULT_BOOT
    """The kernel arguments, the disks and the programs that the test asked for."""


def render(analysis: Analysis, guest: Session, subject: Subject) -> str:
    """The source.  CannotReproduce if a step has no counterpart in C."""
    tasks = guest.tasks
    story = Story(analysis, guest.record.entries, tasks, guest.program)
    story.write()
    parts = [
        "// SPDX-License-Identifier: GPL-2.0-or-later",
        _comment(subject),
        "#define _GNU_SOURCE",
        *(f"#include <{name}>" for name in _INCLUDES),
        "",
        *story.constants.definitions(),
        "",
        f"#define TASKS {len(tasks)}",
        f"#define SLOTS {max(task.slot for task in tasks) + 1}",
        "",
        _runtime("interface.h"),
        "",
        "static void story(void)",
        "{",
        *(f"\t{line}" for line in story.declarations),
        "",
        *(f"\t{line}" for line in story.lines),
        "}",
        "",
        "\n\n".join(map(_runtime, _PARTS)),
    ]
    return "\n".join(parts) + "\n"


def _runtime(name: str) -> str:
    """A part of the runtime without its licence line, which the reproducer has at its top."""
    return (_RUNTIME / name).read_text(encoding="utf-8").partition("\n")[2].rstrip()


def _disk(number: int, disk: DiskPlan) -> list[str]:
    """How to make a disk, as commands of a shell."""
    made, image = f"disk{number}", f"disk{number}.img"
    lines = [f"Disk {number + 1} (/dev/vd{chr(ord('a') + number)}{', read-only' if disk.read_only else ''}):"]
    steps = [f"mkdir -p {made}"]
    steps += [f"cp {name}.ko {made}/    # a module of the kernel, CONFIG_{option}" for name, option in disk.modules]
    if disk.kernel:
        steps.append(f"cp arch/x86/boot/bzImage {made}/{disk.kernel}")
    for path, content in disk.files:
        steps.append(f"mkdir -p {made}/{Path(path).parent}; printf '{_printf(content)}' > {made}/{path}")
    if disk.filesystem == "squashfs":
        steps.append(f"mksquashfs {made} {image} -noappend -all-root")
    elif disk.filesystem == "ext2":
        steps.append(f"mke2fs -q -t ext2 -d {made} {image} 16M")
    if disk.salt:
        steps.append(
            f"veritysetup format --salt={disk.salt} {image} {made}.hashes    # append the hashes to the image"
        )
    if disk.trusts:
        steps.append(f"the file digests in {made} has the root digests that LoadPin shall trust")
    return [*lines, *(f"    {step}" for step in steps)]


def _printf(content: bytes) -> str:
    if len(content) > _LONGEST_FILE:
        return f"... {len(content)} bytes ..."
    return "".join(chr(byte) if chr(byte).isalnum() or byte in b" .,-_/=" else f"\\{byte:03o}" for byte in content)


def _comment(subject: Subject) -> str:
    lines = [*inspect.cleandoc(subject.promise).splitlines(), ""]
    for identifier, text in subject.requirements:
        lines += textwrap.wrap(f"{identifier}: {' '.join(text.split())}", _WIDTH, subsequent_indent="    ")
    if subject.failure:
        lines += ["", *textwrap.wrap(f"Seen on {subject.release}: {subject.failure}", _WIDTH)]
    lines += ["", f"Test: {subject.nodeid}", f"Kernel: {subject.kernel} ({subject.release})"]
    if subject.boot.arguments:
        lines.append(f"Boot with: {' '.join(subject.boot.arguments)}")
    for number, disk in enumerate(subject.boot.disks):
        lines += ["", *_disk(number, disk)]
    if subject.boot.programs:
        lines += ["", f"Copy to /bin: {', '.join(subject.boot.programs)}"]
    lines += [
        "",
        "Build and run as root, on any machine that may crash:",
        "    cc -static -Wall -Wextra -Werror -o reproducer reproducer.c && ./reproducer",
        "Exit status: 0 if the kernel keeps its promise, 1 if it breaks it, 2 if that cannot be found out here.",
        "Made by kconform from what the test did.",
    ]
    inside = "\n".join(f" * {line}".rstrip() for line in lines).replace("*/", "* /")
    return f"/*\n{inside}\n */"
