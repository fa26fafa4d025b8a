# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls by which a task changes itself: capabilities, program, dumpability, role in the process tree."""

from __future__ import annotations

from guests.abi import AgentProgram
from guests.outcome import OK, Outcome
from guests.syscalls.base import Pending, SyscallGroup
from guests.uapi import Cap, Prctl

_CAPABILITY_VERSION_3 = 0x20080522


class CredentialCalls(SyscallGroup):
    """Changes that a task makes to itself."""

    def set_caps(self, effective: Cap, permitted: Cap | None = None) -> Outcome:
        """Set the effective and permitted capabilities, which are the same unless `permitted` is given."""
        both = (int(effective), int(effective if permitted is None else permitted))
        halves = [part >> shift & 0xFFFFFFFF for shift in (0, 32) for part in (*both, 0)]
        header = self.abi.pack("II", _CAPABILITY_VERSION_3, 0)
        return self.call("capset", header, self.abi.pack("6I", *halves), shown=f"set_caps({effective.name})")

    def set_dumpable(self, dumpable: bool) -> Outcome:
        return self.call("prctl", Prctl.SET_DUMPABLE, int(dumpable), 0, 0, 0)

    def get_dumpable(self) -> Outcome:
        return self.call("prctl", Prctl.GET_DUMPABLE, 0, 0, 0, 0)

    def become_subreaper(self) -> Outcome:
        """PR_SET_CHILD_SUBREAPER: orphaned descendants become this process's children."""
        return self.call("prctl", Prctl.SET_CHILD_SUBREAPER, 1, 0, 0, 0, shown="become_subreaper()")

    def execute_again(self, *words: str) -> Outcome:
        """execve() the program that the task runs, from its start: other threads end, and the task continues.

        `words` are added to its command line.
        """
        return self._execute(self.agent, "execute_again()", *words)

    def become(self, program: AgentProgram) -> Outcome:
        """The same with another program of the agent, whose ABI the task and its later children then have."""
        return self._execute(program, f"become({program.abi.name})")

    def _execute(self, program: AgentProgram, shown: str, *words: str) -> Outcome:
        arguments = self.agent_arguments("/init", *words)
        done = self.call("execve", program.path, arguments, None, shown=shown)
        if done == OK:
            self.agent = program
            self.become_leader()
        return done

    def execute(self, path: str, environment: int | None = None) -> Outcome:
        """execve() a copy of the program that the task runs: other threads end, and the task continues in it."""
        done = self.begin_execute(path, environment).outcome()
        if done == OK:
            self.become_leader()
        return done

    def begin_execute(self, path: str, environment: int | None = None) -> Pending:
        """Start that execve().  `environment` is an address from `store_words`."""
        return self.begin("execve", path, self.agent_arguments(path), environment, shown=f'execute("{path}")')

    def agent_arguments(self, path: str, *words: str, slot: int | None = None) -> int:
        """The address of the command line with which the agent's program becomes this task, or that of a slot.

        `words` are added to it.
        """
        return self.store_words(path, "task", str(self.slot if slot is None else slot), *words)
