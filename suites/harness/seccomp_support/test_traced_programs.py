# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the host under a tracer and a policy: whose fault it is when they fail a test.

The agent runs on this host, under this host's kernel, and so do the programs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from guests.bpf import Action, Policy, allow, arg, deny, policy
from guests.guest import Guest
from guests.outcome import EPERM, exited, killed
from guests.uapi import Signal
from guests.vm.programs_for_guests import ProgramError, find
from suites.harness.guests import fakes
from suites.seccomp import test_policies, test_talk
from suites.seccomp.support.jailed_program import JailedProgram
from suites.seccomp.support.traced_program import trace

pytestmark = fakes.x86_only

Compile = Callable[..., Path]


def only(calls: tuple[str, ...]) -> Policy:
    return policy(allow(*calls), default=Action.KILL_PROCESS)


class TestScenarios:
    """The talk's, with programs that make this call or that: a good kernel keeps its promises with each."""

    @pytest.fixture(params=["fstat", "newfstatat"])
    def guest(
        self,
        request: pytest.FixtureRequest,
        host: fakes.HostSession,
        compiled: Compile,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Guest:
        for name in ("cat", "ls"):
            compiled(name, stat=request.param)
        directory = tmp_path / "files"
        directory.mkdir()
        for module in (test_talk, test_policies):
            monkeypatch.setattr(module, "MOTD", f"{directory}/motd")
            monkeypatch.setattr(module, "DIRECTORY", str(directory))
        return cast(Guest, host)

    @pytest.mark.parametrize(
        "scenario",
        [
            test_talk.test_cat_under_the_policy_of_its_calls,
            test_talk.test_cat_whose_openat_returns_einval,
            test_talk.test_ls_with_ioctl_on_its_standard_output,
            test_policies.test_ls_with_the_line_for_ioctl,
        ],
    )
    def test_it_holds(self, guest: Guest, scenario: Callable[[Guest], None]) -> None:
        scenario(guest)

    @pytest.mark.parametrize("compiler", test_policies.COMPILERS)
    def test_policies_hold(self, guest: Guest, compiler: str) -> None:
        test_policies.test_cat(guest, compiler)
        test_policies.test_ls_under_the_policy_of_cat(guest, compiler)

    def test_one_program_dies_of_the_policy_of_the_other(self, guest: Guest, compiled: Compile) -> None:
        guest.upload(test_talk.MOTD, b"hello\n")
        calls = trace(guest, "cat", test_talk.MOTD).names
        stat = {"fstat", "newfstatat"} & set(calls)
        compiled("cat", stat=({"fstat", "newfstatat"} - stat).pop())
        assert JailedProgram(guest, "cat", test_talk.MOTD, policy=only(calls)).run() == killed(Signal.SYS)


class TestTrace:
    def test_it_has_the_calls_in_their_order(
        self, host: fakes.HostSession, compiled: Compile, tmp_path: Path
    ) -> None:
        (tmp_path / "motd").write_text("hello\n")
        compiled("cat")
        cat = trace(host, "cat", str(tmp_path / "motd"))
        assert [call.name for call in cat.calls] == ["openat", "fstat", "read", "write", "read", "exit_group"]
        assert cat.names == ("openat", "fstat", "read", "write", "exit_group")
        assert [str(call) for call in cat.calls[1:]] == [
            *("fstat -> OK", "read -> OK(6)", "write -> OK(6)", "read -> OK", "exit_group")
        ]
        assert cat.calls[2].arguments[2] == 4096
        assert "stand-in for cat, version 1.0" in cat.program

    def test_it_is_the_same_twice(self, host: fakes.HostSession) -> None:
        """With the host's own programs: their policy would not fit otherwise."""
        first, second = (trace(host, "ls", "/") for _ in range(2))
        assert first.names == second.names

    def test_the_first_call_outside(self, host: fakes.HostSession, compiled: Compile, tmp_path: Path) -> None:
        compiled("ls")
        ls = trace(host, "ls", str(tmp_path))
        assert ls.first_outside(("exit_group", "ioctl")) == "openat"
        with pytest.raises(
            ProgramError, match=r"stand-in for ls, version 1\.0 makes no system calls other than ioctl, openat"
        ):
            ls.first_outside(ls.names)

    def test_a_program_at_a_path(self, host: fakes.HostSession, compiled: Compile) -> None:
        assert trace(host, str(compiled("silent")), "x").names == ("exit_group",)

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (
                "too_new",
                r"version 1\.0\) .*exited with 127 after fstat -> EBADF, write -> OK\(22\), exit_group;.*too old",
            ),
            ("illegal", r"version 1\.0\) .*killed by SIGILL.* before its first system call"),
        ],
    )
    def test_a_program_that_fails_is_an_error_of_ours(
        self, host: fakes.HostSession, compiled: Compile, kind: str, words: str
    ) -> None:
        compiled("cat", kind=kind)
        with pytest.raises(ProgramError, match=words) as caught:
            trace(host, "cat", "x")
        assert caught.value.verdict == "error"

    def test_a_program_that_the_kernel_does_not_execute(self, host: fakes.HostSession, compiled: Compile) -> None:
        program = compiled("cat")
        find("cat")
        program.write_bytes(b"\x7fELF")
        with pytest.raises(ProgramError, match=r"version 1\.0 cannot be executed in the guest: ENOEXEC"):
            trace(host, "cat", "x")


class TestJail:
    def test_a_call_that_the_trace_had_not_is_an_error_of_ours(
        self, host: fakes.HostSession, compiled: Compile, tmp_path: Path
    ) -> None:
        compiled("fickle")
        calls = trace(host, "fickle", str(tmp_path / "mark")).names
        jail = JailedProgram(host, "fickle", str(tmp_path / "mark"), policy=only(calls))
        with pytest.raises(
            ProgramError, match=r"stand-in for fickle, version 1\.0 made the system call getpid"
        ) as caught:
            jail.finish()
        assert caught.value.verdict == "error"

    def test_a_call_that_the_policy_allows_is_none(
        self, host: fakes.HostSession, compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A kernel that kills for it has broken its promise."""
        compiled("fickle")
        (tmp_path / "mark").touch()
        jail = JailedProgram(host, "fickle", str(tmp_path / "mark"), policy=only(("openat", "exit_group")))
        # What the model says of the policy, as if it allowed the call.
        monkeypatch.setattr(jail, "_policy", only(("openat", "getpid", "exit_group")))
        assert jail.finish() == killed(Signal.SYS)

    def test_what_it_dies_of_may_be_an_argument(
        self, host: fakes.HostSession, compiled: Compile, tmp_path: Path
    ) -> None:
        compiled("ls")
        calls = tuple(name for name in trace(host, "ls", str(tmp_path)).names if name != "ioctl")
        rules = allow("ioctl", when=arg(0) == 2), allow(*calls)
        jail = JailedProgram(host, "ls", str(tmp_path), policy=policy(*rules, default=Action.KILL_PROCESS))
        with pytest.raises(ProgramError, match="made the system call ioctl"):
            jail.finish()

    def test_traced_it_tells_what_comes_of_its_calls(self, host: fakes.HostSession, compiled: Compile) -> None:
        compiled("cat")
        jail = JailedProgram(host, "cat", "/", policy=policy(deny("openat", errno=EPERM)))
        outcome, calls = jail.run_traced()
        assert outcome == exited(1)
        assert [str(call) for call in calls] == ["openat -> EPERM", "write -> OK(13)", "exit_group"]
        assert jail.output() == "another error"

    def test_traced_it_dies_of_its_first_call(self, host: fakes.HostSession, compiled: Compile) -> None:
        compiled("cat")
        outcome, calls = JailedProgram(host, "cat", "/", policy=only(("read",))).run_traced()
        assert outcome == killed(Signal.SYS)
        assert [str(call) for call in calls] == ["openat"]


class TestTalk:
    def test_a_cat_that_opens_no_file_is_an_error_of_ours(self, host: fakes.HostSession, compiled: Compile) -> None:
        compiled("cat", kind="silent")
        with pytest.raises(
            ProgramError, match=r"stand-in for silent, version 1\.0\) does not report that it could not open"
        ):
            test_talk.test_cat_whose_openat_returns_einval(cast(Guest, host))

    def test_an_ls_without_ioctl_is_an_error_of_ours(self, host: fakes.HostSession, compiled: Compile) -> None:
        compiled("ls", kind="silent")
        with pytest.raises(ProgramError, match=r"version 1\.0\) does not call ioctl"):
            test_talk.calls_except_ioctl(cast(Guest, host))
