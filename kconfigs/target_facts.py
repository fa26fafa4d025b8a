# SPDX-License-Identifier: GPL-2.0-or-later
"""What a machine that somebody else booted says of itself: its kernel, and whether tests can run there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.errors import KconformError, UsageError
from common.text import printable
from kconfigs.architectures import known_as
from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kconfig import Config
from kconfigs.target_machine import TargetMachine

DEADLINE_S = 300.0
SSH_FAILED = 255
"""ssh's own exit status if it has no connection."""
SUDO = "sudo -n "

_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""include/linux/proc_ns.h (PROC_PID_INIT_INO)."""
_ALL_IDS = ["0", "0", "4294967295"]
_SECTION = re.compile(r"^== ([a-z-]+)\n", re.MULTILINE)

ENTRIES = {
    "X86_X32_ABI": ("syscall.x32", "X86_X32_DISABLED"),
    "X86_X32": ("syscall.x32", "X86_X32_DISABLED"),
    "IA32_EMULATION": ("ia32_emulation", "IA32_EMULATION_DEFAULT_DISABLED"),
}
"""Entries that a kernel may have and not offer, with the argument that decides, and what decides without it."""
YES = ("1", "y", "Y", "t", "T", "on", "true")

_QUESTIONS: Mapping[str, str] = {
    "release": "uname -r",
    "arch": "uname -m",
    "build": "uname -v",
    "arguments": "cat /proc/cmdline",
    "status": "cat /proc/self/status",
    "last-capability": "cat /proc/sys/kernel/cap_last_cap",
    "ids": "cat /proc/self/uid_map",
    "pid-namespace": "readlink /proc/self/ns/pid",
    "selinux": "cat /sys/fs/selinux/enforce",
    "confined": "cat /proc/self/attr/current",
    "audit": 'for file in /proc/[0-9]*/comm; do read -r name < "$file" && [ "$name" = auditd ] && echo "$name"; done',
    # Both programs may be missing, and either file.
    "config": 'gzip -dc /proc/config.gz 2>/dev/null || cat "/boot/config-$(uname -r)"',
}
"""What is asked there, and how; each with POSIX's shell and the smallest set of programs."""


@dataclass(frozen=True)
class TargetFacts:
    """What is known of a machine and its kernel."""

    release: str
    arch: str
    """As in kconfigs/architectures.py."""
    build: str
    """`uname -v`."""
    arguments: tuple[str, ...]
    """What it was booted with."""
    config: Config | None
    sudo: bool
    """Whether the user who logs in is not root."""
    audited: bool
    """Whether a daemon of its own takes the audit records, so that the kernel's log does not have them."""


def ask(machine: TargetMachine) -> TargetFacts:
    """Ask the machine.  UsageError if tests cannot run there; KconformError if it cannot be reached."""
    user = _run(machine, f"id -u; {SUDO}true 2>/dev/null && echo sudo").split()
    root = user[:1] == ["0"]
    if not root and user[1:] != ["sudo"]:
        raise UsageError(
            f"{printable(machine.text)}: the user there is not root, and may not become it without a password",
            hint="log in as root, or permit `sudo -n` there",
        )
    questions = "".join(f"echo '== {name}'; {question} 2>/dev/null\n" for name, question in _QUESTIONS.items())
    answers = _sections(_run(machine, f"{'' if root else SUDO}sh -c {shlex.quote(questions)}"))
    if obstacle := _obstacle(answers):
        raise UsageError(f"{printable(machine.text)} cannot be tested: {obstacle[0]}", hint=obstacle[1])
    config = effective(Config.parse(answers["config"]), answers["arguments"].split())
    return TargetFacts(
        release=answers["release"],
        arch=known_as(answers["arch"]),
        build=answers["build"],
        arguments=tuple(answers["arguments"].split()),
        config=config or None,
        sudo=not root,
        audited=bool(answers["audit"]),
    )


def effective(config: Config, arguments: Sequence[str]) -> Config:
    """The configuration, without the system call entries that this boot has turned off.

    A guest that is booted for tests has them all.
    """
    line = BuiltinCommandLine.of(config).followed_by(arguments)
    off = set()
    for option, (parameter, off_by_default) in ENTRIES.items():
        said = line.value(parameter)
        if not (said in YES if said is not None else not config.enabled(off_by_default)):
            off.add(option)
    return Config({name: value for name, value in config.items() if name not in off})


def _run(machine: TargetMachine, script: str) -> str:
    try:
        done = subprocess.run(
            machine.command(script), stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S, check=False
        )
    except FileNotFoundError as error:
        raise UsageError(f"{error.filename} is not installed here", hint="install OpenSSH's client") from error
    except subprocess.TimeoutExpired as error:
        raise KconformError(f"{printable(machine.text)} did not answer within {DEADLINE_S:.0f} s") from error
    if machine.host and done.returncode == SSH_FAILED:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise UsageError(
            f"{printable(machine.text)} cannot be reached: {printable(said[-1])}",
            hint="`ssh HOST true` must work without a password or a question; ~/.ssh/config may say how",
        )
    return done.stdout.decode(errors="replace")


def _sections(text: str) -> dict[str, str]:
    """The answer to each question; empty where there is none."""
    found = dict.fromkeys(_QUESTIONS, "")
    _, *parts = _SECTION.split(text)
    found.update((name, answer.strip("\n\0 ")) for name, answer in zip(parts[::2], parts[1::2], strict=True))
    return found


def _obstacle(answers: Mapping[str, str]) -> tuple[str, str] | None:
    """What would make a good kernel look broken there, with a hint; None if nothing is known to."""
    status = dict(line.split(":\t", 1) for line in answers["status"].splitlines() if ":\t" in line)
    if not answers["release"] or not status:
        return "it did not say which kernel it runs", "it needs a shell, and /proc"
    if answers["pid-namespace"] not in ("", _FIRST_PID_NAMESPACE) or answers["ids"].split() != _ALL_IDS:
        return "a login there is in a container", "log in to the machine itself"
    last = answers["last-capability"]
    if last.isdigit() and int(status.get("CapBnd", "0"), 16) != (1 << int(last) + 1) - 1:
        return "root there lacks capabilities", "log in without a bounding set of capabilities"
    if status.get("Seccomp", "0") != "0" or status.get("NoNewPrivs", "0") != "0":
        return "a login there is under a seccomp filter, or has no_new_privs", "log in without a sandbox"
    if answers["selinux"] == "1":
        return "SELinux is enforced there, and refuses more than what is tested", "`setenforce 0` for this run"
    confined = answers["confined"].strip("\0").strip()
    if answers["selinux"] == "" and confined not in ("", "unconfined", "_", "kernel"):
        return f"a security module confines a login there ({printable(confined)})", "log in unconfined"
    return None
