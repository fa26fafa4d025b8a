# SPDX-License-Identifier: GPL-2.0-or-later
r"""A parser of minijail's policy files (minijail0(5)), which compiles them into filters.

    # cat.policy
    read: 1
    {openat, close}: allow
    ioctl: arg0 == 1 || arg1 & 0x5400; return EPERM
    ptrace: return EPERM
    @default kill-process

A line names one call, or several in braces, followed by `1` or `allow`, `kill-process`, `kill-thread`, `trap`,
`trace`, `log`, `user-notify`, `return ERRNO`, or a condition: terms `argN OP VALUE` joined by && and ||, where OP is
one of == != < <= > >= & in.  After a condition, `; return ERRNO` gives the result of the call if the condition does
not hold; without it, the default applies.  A backslash at the end of a line continues it.  Values are numbers;
symbolic constants, which differ between architectures, @include and @frequency are not supported: UsageError names
the line.
"""

from __future__ import annotations

import errno as errno_names
import re

from guests.bpf import Action, Condition, Policy, Rule, policy
from guests.errors import UsageError
from guests.uapi import number

_ACTIONS = {
    "1": Action.ALLOW,
    "allow": Action.ALLOW,
    "kill-process": Action.KILL_PROCESS,
    "kill-thread": Action.KILL_THREAD,
    "kill": Action.KILL_PROCESS,
    "trap": Action.TRAP,
    "trace": Action.TRACE,
    "log": Action.LOG,
    "user-notify": Action.USER_NOTIF,
}
_TERM = re.compile(r"arg([0-5])\s*(==|!=|<=|>=|<|>|&|in)\s*(\S+)")
_RETURN = re.compile(r"return\s+(\w+)")
_LINE = re.compile(r"(?:\{([\w\s,]+)\}|(\w+))\s*:\s*(.+)")


def parse_policy(text: str, *, default: Action = Action.KILL_PROCESS, arch: str = "x86_64") -> Policy:
    """The filter of a policy file; `default` applies to calls that it does not name, unless it has @default."""
    rules: list[Rule] = []
    for at, line in _lines(text):
        try:
            if line.startswith("@default"):
                default = _ACTIONS[line.removeprefix("@default").strip()]
            else:
                rules += _rules(line, default, arch)
        except (KeyError, ValueError) as error:
            raise UsageError(f"policy line {at}: {line!r} is not valid ({error})") from error
    return policy(*rules, default=default, arch=arch)


def _lines(text: str) -> list[tuple[int, str]]:
    """Each line that is not empty, with its number, without comments, and with continuations joined."""
    found = []
    pending, start = "", 0
    for at, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        start = start or at
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        if pending + line:
            found.append((start, (pending + line).strip()))
        pending, start = "", 0
    if pending:
        raise UsageError(f"policy line {start} is continued past the end of the file")
    return found


def _rules(line: str, default: Action, arch: str) -> list[Rule]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("it is not of the form CALL: ACTION")
    names = tuple(name.strip() for name in (match[1] or match[2]).split(","))
    for name in names:
        number(name, arch)
    action = match[3].strip()
    if action in _ACTIONS:
        return [Rule(names, _ACTIONS[action])]
    if denied := _RETURN.fullmatch(action):
        return [Rule(names, Action.ERRNO, _errno(denied[1]))]
    condition, _, otherwise = action.partition(";")
    rules = [
        Rule(names, Action.ALLOW, when=tuple(_term(term) for term in group.split("&&")))
        for group in condition.split("||")
    ]
    if otherwise.strip():
        denied = _RETURN.fullmatch(otherwise.strip())
        if denied is None:
            raise ValueError("a condition can only be followed by `return ERRNO`")
        return [*rules, Rule(names, Action.ERRNO, _errno(denied[1]))]
    return rules if default is not Action.ALLOW else [*rules, Rule(names, Action.KILL_PROCESS)]


def _term(text: str) -> Condition:
    match = _TERM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is not a condition")
    return Condition(int(match[1]), _number(match[3]), match[2])


def _number(text: str) -> int:
    """A number, several numbers joined by `|`, or a number inverted by `~`."""
    value = 0
    for part in text.split("|"):
        value |= ~int(part[1:], 0) & (1 << 64) - 1 if part.startswith("~") else int(part, 0) & (1 << 64) - 1
    return value


def _errno(name: str) -> int:
    value = getattr(errno_names, name, None)
    return int(name, 0) if value is None else int(value)
