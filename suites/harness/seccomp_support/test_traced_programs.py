# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the host: which are taken, with which libraries, and whose fault it is when they fail a test.

The agent runs on this host, under this host's kernel, and so do the programs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from guests.bpf import Action, Program, allow, arg, deny, policy
from guests.guest import Guest
from guests.outcome import EPERM, exited, killed
from guests.uapi import Signal
from guests.vm import host_programs
from guests.vm.host_programs import ProgramError, find, program_files
from kconfigs.cache import Cache
from suites.harness.guests import fakes
from suites.seccomp import test_policies, test_talk
from suites.seccomp.support import traced_program
from suites.seccomp.support.jailed_program import JailedProgram
from suites.seccomp.support.traced_program import trace

pytestmark = fakes.x86_only
SOURCE = Path(__file__).with_name("stand_in_programs.c")

Compile = Callable[..., Path]


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for programs, which come before all others of their names."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(traced_program, "_BIN", f"{folder}/")
    find.cache_clear()
    yield folder
    find.cache_clear()


@pytest.fixture
def compiled(bin_: Path) -> Compile:
    """Compile a stand-in of this name."""

    def compile_(name: str, *, kind: str = "", stat: str = "fstat") -> Path:
        command = ["cc", "-std=gnu11", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-stack-protector"]
        command += [f"-DAS={kind or name}", f"-DSTAT=__NR_{stat}", "-o", str(bin_ / name), str(SOURCE)]
        subprocess.run(command, check=True)
        return bin_ / name

    return compile_


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def host(store: Cache, monkeypatch: pytest.MonkeyPatch) -> Iterator[fakes.HostSession]:
    with fakes.host_session(store) as session:
        # With the user's own credentials.
        monkeypatch.setattr(session, "spawn", session.child)
        yield session


def only(calls: tuple[str, ...]) -> Program:
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


class TestFind:
    def says(self, path: Path, version: str) -> None:
        fakes.program(path, f"print({version!r})\n")

    def test_gnu_comes_first(self, compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ubuntu 25.10 and newer have uutils, and GNU's as gnucat and gnuls."""
        compiled("cat")
        gnu = compiled("gnucat", kind="cat")
        versions = {"cat": "cat (uutils coreutils) 0.8.0", "gnucat": "cat (GNU coreutils) 9.7"}
        monkeypatch.setattr(host_programs, "_version", lambda path: versions[Path(path).name])
        assert (str(find("cat")), find("cat").path) == ("cat (GNU coreutils) 9.7", gnu)

    def test_without_gnu_it_is_what_there_is(self, compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
        cat = compiled("cat")
        monkeypatch.setattr(host_programs, "_version", lambda _: "BusyBox v1.36.1 multi-call binary.")
        assert (str(find("cat")), find("cat").path) == ("cat (BusyBox v1.36.1 multi-call binary.)", cat)

    def test_a_version_on_standard_error(self, bin_: Path) -> None:
        said = "cat: unrecognized option '--version'\nBusyBox v1.36.1 () multi-call binary.\n\nUsage: cat [-n]"
        path = fakes.quitter(bin_ / "cat", 1, said)
        assert host_programs._version(str(path)) == "BusyBox v1.36.1 () multi-call binary."

    def test_a_missing_program_is_named(self) -> None:
        with pytest.raises(ProgramError, match="no program kconform-none") as caught:
            find("kconform-none")
        assert "coreutils" in caught.value.hint

    def test_a_script_is_no_program_for_a_guest(self, bin_: Path) -> None:
        """coreutils can be built as one program, and a script for each name."""
        fakes.program(bin_ / "cat", "print('cat (GNU coreutils) 9.7')\n")
        with pytest.raises(ProgramError, match="cat is not a 64-bit ELF program"):
            find("cat")

    def test_programs_that_do_not_fit_into_a_guest(self, compiled: Compile) -> None:
        with compiled("cat").open("ab") as file:
            file.truncate(33 << 20)
        with pytest.raises(
            ProgramError, match=r"^a stand-in for cat, version 1\.0 need 33 MiB, and a guest has room for 32 MiB"
        ):
            program_files(["cat"])


class TestLibraries:
    @pytest.fixture
    def listed(self, compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Path]:
        """A program, and what its dynamic linker says of its libraries."""
        program = compiled("cat")

        def say(text: str, status: int = 0) -> Path:
            linker = fakes.program(program.with_name("ld.so"), f"import sys\nprint({text!r})\nsys.exit({status})\n")
            monkeypatch.setattr(host_programs, "_interpreter", lambda _: str(linker))
            return linker

        return say

    def test_a_static_program_has_none(self, compiled: Compile) -> None:
        compiled("cat")
        assert list(program_files(["cat"])) == ["bin/cat"]
        assert find("cat").library_path == ""

    def test_the_hosts_own_program_has_its_linker_and_libc(self) -> None:
        find.cache_clear()
        python = find("python3")
        assert python.path.read_bytes()[:4] == b"\x7fELF"
        linker = host_programs._interpreter(python.path)
        assert linker in python.libraries
        assert any("libc.so" in where or "musl" in where for where in python.libraries)
        assert all(path.exists() for path in python.libraries.values())

    def test_libraries_lie_where_they_lie_on_the_host(self, listed: Callable[..., Path], tmp_path: Path) -> None:
        library = tmp_path / "lib dir" / "libx.so.1"
        library.parent.mkdir()
        library.write_bytes(b"x")
        linker = listed(
            f"\tlinux-vdso.so.1 (0x00007f1)\n\tlibx.so.1 => {library} (0x00007f2)\n\t/lib/ld.so (0x00007f3)"
        )
        found = find("cat")
        assert {str(library), str(linker)} <= set(found.libraries)
        assert str(library.parent) in found.library_path.split(":")

    def test_a_library_that_only_this_processor_can_run(self, listed: Callable[..., Path], tmp_path: Path) -> None:
        """The guest's may not have AVX2: where there are two, it gets the one that all can run."""
        for folder in ("glibc-hwcaps/x86-64-v3", "."):
            (tmp_path / "lib" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "lib" / folder / "libx.so.1").write_text(folder)
        fast = tmp_path / "lib" / "glibc-hwcaps" / "x86-64-v3"
        (fast / "liby.so.1").write_text("alone")
        listed(f"\tlibx.so.1 => {fast}/libx.so.1 (0x1)\n\tliby.so.1 => {fast}/liby.so.1 (0x2)")
        contents = {Path(name).name: content for name, content in program_files(["cat"]).items()}
        assert contents["libx.so.1"] == b"."
        assert contents["liby.so.1"] == b"alone"

    def test_a_library_beside_the_program(self, listed: Callable[..., Path], tmp_path: Path) -> None:
        """$ORIGIN/../lib, as conda has it: a guest gets a path without dots, and is told where to look."""
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib" / "libx.so.1").write_bytes(b"x")
        listed(f"\tlibx.so.1 => {tmp_path}/bin/../lib/libx.so.1 (0x1)")
        assert program_files(["cat"])[f"{tmp_path}/lib/libx.so.1".removeprefix("/")] == b"x"
        assert f"{tmp_path}/lib" in find("cat").library_path.split(":")

    def test_musl_lists_itself(self, listed: Callable[..., Path]) -> None:
        linker = listed("")
        listed(f"\t{linker} (0x7f1)\n\tlibc.musl-x86_64.so.1 => {linker} (0x7f1)")
        assert set(find("cat").libraries) == {str(linker)}

    def test_a_library_that_is_not_found_is_named(self, listed: Callable[..., Path]) -> None:
        listed("\tlibx.so.1 => not found")
        with pytest.raises(ProgramError, match=r"libx\.so\.1 is not found"):
            find("cat")

    def test_a_linker_that_fails_is_quoted(self, listed: Callable[..., Path]) -> None:
        listed("ld.so: cannot read it", 127)
        with pytest.raises(ProgramError, match=r"ld\.so: cannot read it"):
            find("cat")

    def test_nothing_of_our_environment_chooses_libraries(self, monkeypatch: pytest.MonkeyPatch, bin_: Path) -> None:
        monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
        monkeypatch.setenv("LANG", "de_DE.UTF-8")
        path = fakes.program(bin_ / "env", "import os\nprint(sorted(os.environ))\n")
        assert host_programs._run([str(path)]).stdout.strip() in (
            "['LC_ALL', 'PATH']",
            "['LC_ALL', 'LC_CTYPE', 'PATH']",
        )
