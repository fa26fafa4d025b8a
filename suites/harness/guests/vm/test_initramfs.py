# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs, and the agent in it, which is compiled for the guest's architecture."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from guests.errors import KconformError, UsageError
from guests.vm import initramfs
from guests.vm.initramfs import AGENT
from kconfigs.cache import Cache
from suites.harness.guests import fakes


class TestTaskProgram:
    """The program for 32-bit tasks comes from the architecture's own compiler, if that can compile it."""

    def test_the_hosts_compiler_makes_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        command = initramfs.compile_command("i386", Path("/out/agent32"), for_tasks=True)
        assert command[0] == "gcc"
        assert {"-m32", "-static", "-nostdlib", "-Wall", "-Wextra", "-Werror"} <= set(command)

    @fakes.x86_only
    def test_a_compiler_without_it_is_noticed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fakes.quitter(tmp_path / "bin" / "gcc", 1, "gcc: error: unrecognized argument '-m32'")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        assert not initramfs.compiles.__wrapped__("i386")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert not initramfs.compiles.__wrapped__("i386")


class TestInitramfs:
    FILES: dict[str, tuple[bytes, int]] = {"init": (b"program", 0o755), "a": (b"12345", 0o600)}  # noqa: RUF012

    def test_the_same_files_give_the_same_bytes(self) -> None:
        again = dict(reversed(self.FILES.items()))
        assert initramfs.cpio(self.FILES) == initramfs.cpio(again)
        assert initramfs.cpio({**self.FILES, "a": (b"12346", 0o600)}) != initramfs.cpio(self.FILES)

    def test_cpio_reads_them(self, tmp_path: Path) -> None:
        archive = initramfs.cpio(self.FILES)
        listed = subprocess.run(
            [fakes.tool("cpio"), "-tv", "--quiet"], input=archive, capture_output=True, check=True
        )
        rows = [line.split() for line in listed.stdout.decode().splitlines()]
        modes = {row[-1]: row[0] for row in rows}
        assert modes == {
            **dict.fromkeys(("dev", "proc", "sys", "tmp"), "drwxr-xr-x"),
            "init": "-rwxr-xr-x",
            "a": "-rw-------",
            "dev/console": "crw-------",
        }
        assert next(row[4:6] for row in rows if row[-1] == "dev/console") == ["5,", "1"]
        subprocess.run([fakes.tool("cpio"), "-i", "--quiet", "init", "a"], input=archive, cwd=tmp_path, check=True)
        assert [(tmp_path / name).read_bytes() for name in ("init", "a")] == [b"program", b"12345"]

    def test_init_is_the_agent_and_static(self, store: Cache) -> None:
        machine = platform.machine()
        program = initramfs.agent(machine, store)
        archive = initramfs.initramfs(machine, store)
        assert program.read_bytes() in archive.read_bytes()
        assert program.stat().st_mode & stat.S_IXUSR
        headers = subprocess.run(
            [fakes.tool("readelf"), "-lW", str(program)], capture_output=True, text=True, check=True
        )
        assert "INTERP" not in headers.stdout
        assert "DYNAMIC" not in headers.stdout
        assert initramfs.agent(machine, store) == program

    def test_another_architecture_has_its_cross_compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        command = initramfs.compile_command("aarch64", Path("/out/agent"))
        assert command[0] == "aarch64-linux-gnu-gcc"
        assert command[command.index("-o") + 1] == "/out/agent"
        assert {"-static", "-nostdlib", "-Wall", "-Wextra", "-Werror", "-mno-outline-atomics"} <= set(command)
        assert "-mno-red-zone" not in command
        assert initramfs.compile_command("x86_64", Path("x"))[0] == "gcc"

    def test_the_hosts_compiler_is_gcc_if_there_is_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The user may have made Clang their cc, and it refuses some of the flags."""
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        for name in ("cc", "gcc"):
            fakes.quitter(tmp_path / "bin" / name, 0, "")
            assert initramfs.compiler(platform.machine()) == name

    @fakes.x86_only
    def test_a_compiler_for_newer_processors_produces_the_same_agent(
        self, store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """RHEL 10's compiler targets x86-64-v3 by default, and a guest's processor may be older."""
        usual = initramfs.agent("x86_64", store).read_bytes()
        wrapper = tmp_path / "bin" / "gcc"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {fakes.tool("gcc")} -march=x86-64-v3 "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        assert initramfs.agent("x86_64", Cache(tmp_path / "other")).read_bytes() == usual

    def test_every_source_of_the_agent_is_compiled(self) -> None:
        everything = {path.name for path in initramfs.AGENT.glob("*.c")}
        assert self.compiled("x86_64") == everything - {"task_program.c"}
        assert self.compiled("i386") == self.compiled("x86_64")
        assert {"task_program.c", "task.c"} < self.compiled("i386", for_tasks=True) < everything - {"main.c"}

    @staticmethod
    def compiled(arch: str, *, for_tasks: bool = False) -> set[str]:
        command = initramfs.compile_command(arch, Path("agent"), for_tasks=for_tasks)
        return {Path(word).name for word in command if word.endswith(".c")}

    def test_an_architecture_without_entry_code_is_wrong_use(self) -> None:
        with pytest.raises(UsageError, match="no entry code for mips64") as caught:
            initramfs.compile_command("mips64", Path("agent"))
        assert ", ".join(sorted(initramfs._ARCH_FLAGS)) in caught.value.hint
        assert "arch_mips64.h" in caught.value.hint

    def test_every_listed_architecture_has_entry_code(self) -> None:
        named = set(initramfs._ARCH_FLAGS)
        assert {path.stem.removeprefix("arch_") for path in initramfs.AGENT.glob("arch_*.h")} == named

    def test_a_missing_compiler_is_named(self, store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(initramfs, "compiler", lambda _: "no-such-gcc")
        initramfs._source_digest.cache_clear()
        with pytest.raises(KconformError, match="no C compiler for x86_64: no-such-gcc is not installed"):
            initramfs.agent("x86_64", store)
        initramfs._source_digest.cache_clear()

    def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(
        self, store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken = fakes.quitter(tmp_path / "gcc", 1, "agent.c:7: error: no")
        monkeypatch.setattr(initramfs, "compiler", lambda _: str(broken))
        initramfs._source_digest.cache_clear()
        with pytest.raises(KconformError, match=r"does not compile:\n  agent\.c:7: error: no"):
            initramfs.agent("x86_64", store)
        initramfs._source_digest.cache_clear()
        assert store.entries() == []


def test_what_editors_leave_beside_the_agent_is_not_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emacs has a dangling link for each file that is not saved, and clangd a folder."""
    copy = tmp_path / "agent"
    shutil.copytree(AGENT, copy)
    monkeypatch.setattr(initramfs, "AGENT", copy)
    sources = initramfs.sources("x86_64")
    (copy / ".#main.c").symlink_to("me@host.1:2")
    (copy / "#main.c#").symlink_to("nowhere")
    (copy / ".cache").mkdir()
    assert initramfs.sources("x86_64") == sources
    assert initramfs._source_digest.__wrapped__("x86_64")


@pytest.mark.parametrize("arch", initramfs._ARCH_FLAGS)
def test_an_architecture_is_one_header_and_one_assembly_file(arch: str, tmp_path: Path) -> None:
    """No other file of the agent names the architecture."""
    assert {path.suffix for path in AGENT.glob(f"arch_{arch}.*")} == {".h", ".S"}
    # wire.h lists the entries of all architectures.
    shared = [path for path in AGENT.iterdir() if not path.name.startswith("arch_") and path.name != "wire.h"]
    assert [path.name for path in shared if arch in path.read_text()] == []
    if not initramfs.compiles(arch):
        pytest.skip(f"needs {initramfs.compiler(arch)} to compile the agent")
    command = initramfs.compile_command(arch, tmp_path / "agent")
    assert {"-Wall", "-Wextra", "-Werror"} <= set(command)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
