# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the host: which are taken for a guest, and with which libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guests.vm import programs_for_guests
from guests.vm.programs_for_guests import ProgramError, find, program_files
from suites.harness.guests import fakes

pytestmark = fakes.x86_only

Compile = Callable[..., Path]


class TestFind:
    def says(self, path: Path, version: str) -> None:
        fakes.program(path, f"print({version!r})\n")

    def test_gnu_comes_first(self, compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ubuntu 25.10 and newer have uutils, and GNU's as gnucat and gnuls."""
        compiled("cat")
        gnu = compiled("gnucat", kind="cat")
        versions = {"cat": "cat (uutils coreutils) 0.8.0", "gnucat": "cat (GNU coreutils) 9.7"}
        monkeypatch.setattr(programs_for_guests, "_version", lambda path: versions[Path(path).name])
        assert (str(find("cat")), find("cat").path) == ("cat (GNU coreutils) 9.7", gnu)

    def test_without_gnu_it_is_what_there_is(self, compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
        cat = compiled("cat")
        monkeypatch.setattr(programs_for_guests, "_version", lambda _: "BusyBox v1.36.1 multi-call binary.")
        assert (str(find("cat")), find("cat").path) == ("cat (BusyBox v1.36.1 multi-call binary.)", cat)

    def test_a_version_on_standard_error(self, bin_: Path) -> None:
        said = "cat: unrecognized option '--version'\nBusyBox v1.36.1 () multi-call binary.\n\nUsage: cat [-n]"
        path = fakes.quitter(bin_ / "cat", 1, said)
        assert programs_for_guests._version(str(path)) == "BusyBox v1.36.1 () multi-call binary."

    def test_a_missing_program_is_named(self) -> None:
        with pytest.raises(ProgramError, match="no program kconform-none") as caught:
            find("kconform-none")
        assert "coreutils" in caught.value.hint

    def test_a_script_is_no_program_for_a_guest(self, bin_: Path) -> None:
        """coreutils can be built as one program, and a script for each name."""
        fakes.program(bin_ / "cat", "print('cat (GNU coreutils) 9.7')\n")
        with pytest.raises(ProgramError, match="cat is not a 64-bit ELF program"):
            find("cat")

    def test_a_script_of_coreutils_stands_for_the_program_with_all_of_them(
        self, bin_: Path, compiled: Compile
    ) -> None:
        """As in containers of Fedora and RHEL (coreutils-single)."""
        whole = compiled("coreutils", kind="cat")
        script = bin_ / "cat"
        script.write_text(f"#!{whole} --coreutils-prog-shebang=cat\n")
        script.chmod(0o755)
        assert find("cat").path == whole
        assert program_files(["cat"])["bin/cat"] == whole.read_bytes()
        find.cache_clear()
        script.write_text(f"#!{whole} --coreutils-prog-shebang=tac\n")
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
            monkeypatch.setattr(programs_for_guests, "_interpreter", lambda _: str(linker))
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
        linker = programs_for_guests._interpreter(python.path)
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
        assert programs_for_guests._run([str(path)]).stdout.strip() in (
            "['LC_ALL', 'PATH']",
            "['LC_ALL', 'LC_CTYPE', 'PATH']",
        )
