# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that are built from a tree: when, in which steps, and how a build fails."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from common.errors import KconformError, UsageError
from kconfigs import flavors
from kconfigs.build import kbuild, kernel_build, kernel_tree, toolchain
from kconfigs.build.build_job import Job
from kconfigs.build.build_progress import BuildState
from kconfigs.build.kernel_build import build
from kconfigs.cache import Cache
from kconfigs.config_changes import parse_changes
from kconfigs.kconfig import parse_fragment
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import FRAGMENT, MakeTree, builds

pytestmark = pytest.mark.usefixtures("_small_flavors")


class RecordedProgress:
    def __init__(self) -> None:
        self.states: list[BuildState] = []

    def update(self, state: BuildState) -> None:
        self.states.append(state)

    @property
    def phases(self) -> list[str]:
        return list(dict.fromkeys(state.phase for state in self.states))


class TestBuilding:
    def test_a_tree_becomes_a_kernel(self, make_tree: MakeTree, cache: Cache) -> None:
        kernel = fakes.resolved(str(make_tree()), cache=cache).kernel("full")
        assert kernel.id == "linux-6.12.7/full"
        assert (kernel.release, kernel.version, kernel.arch) == (fakes.RELEASE, (6, 12, 7), "x86_64")
        assert kernel.config.builtin("SECURITY_YAMA")
        assert not kernel.config.enabled("FUTURE")
        assert kernel.modules is not None
        assert {path.name for path in kernel.modules.iterdir()} == {"test_firmware.ko", "test_module.ko"}
        assert kernel.image.read_bytes() == fakes.bzimage()

    def test_the_entry_keeps_what_is_needed_and_no_objects(self, make_tree: MakeTree, cache: Cache) -> None:
        kernel = fakes.resolved(str(make_tree()), cache=cache).kernel()
        assert {path.name for path in kernel.image.parent.iterdir()} == {
            *("image", "config", "System.map", "vmlinux", "modules", "build.log", "made.json"),
        }

    def test_a_kernel_is_built_once(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        source = fakes.resolved(str(make_tree()), cache=cache)
        assert source.kernel() == source.kernel()
        assert builds(tmp_path) == 1

    @pytest.mark.parametrize("what", ["source", "options", "compiler"])
    def test_a_change_of_anything_builds_anew(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        path = make_tree()
        fakes.resolved(str(path), cache=cache).kernel()
        if what == "source":
            (path / "kernel.c").write_text("int main = 1;\n")
        elif what == "options":
            more = parse_fragment("more.config", FRAGMENT + "CONFIG_OTHER=12 # more\n")
            monkeypatch.setattr(flavors, "fragment", lambda _: more)
        else:
            monkeypatch.setattr(toolchain, "_version", lambda tool: f"{tool} (fake) 2")
        fakes.resolved(str(path), cache=cache).kernel()
        assert builds(tmp_path) == 2

    def test_a_damaged_image_is_built_anew(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        source = fakes.resolved(str(make_tree()), cache=cache)
        image = source.kernel().image
        image.write_bytes(image.read_bytes()[:-1] + b"!")
        assert source.kernel().image.read_bytes() == fakes.bzimage()
        assert builds(tmp_path) == 2

    def test_progress_is_reported(self, make_tree: MakeTree, cache: Cache) -> None:
        told = RecordedProgress()
        fakes.resolved(str(make_tree()), cache=cache).kernel("full", told)
        assert told.phases == ["waiting", "configuring", "compiling", "done"]
        assert {state.what for state in told.states} == {"linux-6.12.7/full"}
        # Neither tools of the host nor lines that only look alike are objects of the kernel.
        assert [state.objects for state in told.states if state.phase == "compiling"] == [0, 1, 2]

    def test_the_next_estimate_is_what_was_counted(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        for name, total in (("first", flavors.flavor("full").objects), ("second", 2)):
            (path / "kernel.c").write_text(name)
            told = RecordedProgress()
            fakes.resolved(str(path), cache=cache).kernel("full", told)
            assert next(state.total for state in told.states if state.phase == "compiling") == total

    def test_an_unknown_flavor_is_refused_before_anything_is_built(self, make_tree: MakeTree, cache: Cache) -> None:
        with pytest.raises(UsageError, match="no flavor"):
            fakes.resolved(str(make_tree()), cache=cache).kernel("nosuch")

    def test_the_environment_has_no_effect(
        self, make_tree: MakeTree, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {"MAKEFLAGS": "-n", "ARCH": "arm64", "KCONFIG_ALLCONFIG": "/nonexistent"}.items():
            monkeypatch.setenv(name, value)
        fakes.resolved(str(make_tree()), cache=cache).kernel()


class TestObjectDirectory:
    """Kernels of a distribution's source are built in one object directory."""

    @staticmethod
    def job(path: Path, cache: Cache, *changes: str) -> Job:
        job = Job(kernel_tree.open_tree(path), flavors.flavor("full"), "d", "source", "1", cache, is_users_tree=False)
        return dataclasses.replace(job, changes=parse_changes(changes)) if changes else job

    @staticmethod
    def objects(cache: Cache) -> Path:
        (entry,) = (entry for entry in cache.entries() if entry.kind == "objects")
        return entry.path / "objects"

    def test_the_next_kernel_is_built_on_the_last_ones_objects(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        build(self.job(path, cache))
        (self.objects(cache) / "main.o").touch()
        build(self.job(path, cache, "SECURITY_YAMA=n"))
        assert (self.objects(cache) / "main.o").exists()

    def test_modules_of_the_last_kernel_are_not_taken(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        assert build(self.job(path, cache)).modules
        assert not build(self.job(path, cache, "MODULES=n")).modules

    @pytest.mark.parametrize(("ended", "kept"), [(True, True), (False, False)])
    def test_objects_stay_if_make_ended_by_itself(
        self, make_tree: MakeTree, cache: Cache, monkeypatch: pytest.MonkeyPatch, ended: bool, kept: bool
    ) -> None:
        path = make_tree()
        build(self.job(path, cache))
        (self.objects(cache) / "main.o").touch()

        def fails(*_: object) -> NoReturn:
            raise KconformError("an error of the compiler") if ended else KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(kernel_build, "compile_kernel", fails)
            with pytest.raises(KconformError if ended else KeyboardInterrupt):
                build(self.job(path, cache, "SECURITY_YAMA=n"))
        build(self.job(path, cache, "SECURITY_YAMA=n"))
        assert (self.objects(cache) / "main.o").exists() == kept

    def test_the_counted_objects_are_those_of_a_whole_build(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        build(self.job(path, cache))
        counts = cache.root / ".logs" / "objects.json"
        counts.write_text(counts.read_text().replace("2", "1600"))
        cache.clear("kernels")
        build(self.job(path, cache))
        assert json.loads(counts.read_text()) == {"d/full": 1600}


class TestChangedMeanwhile:
    """What was built of a tree that somebody edited meanwhile is the kernel of neither state."""

    @staticmethod
    def changing(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        """Something is written to the file during the first build."""

        def compile_kernel(*arguments: Any) -> None:
            kbuild.compile_kernel(*arguments)
            monkeypatch.undo()
            path.write_text(path.read_text() + "# changed\n")

        monkeypatch.setattr(kernel_build, "compile_kernel", compile_kernel)

    @pytest.mark.parametrize("folder", ["linux", "linux with a space"])
    def test_a_tree(self, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
        path = fakes.tree(tmp_path / folder)
        with monkeypatch.context() as patched:
            self.changing(patched, path / "kernel.c")
            with pytest.raises(UsageError, match=rf"the tree {path} changed while it was built") as caught:
                fakes.resolved(str(path), cache=cache).kernel()
        assert caught.value.hint.startswith("run again")
        assert "kernels" not in {entry.kind for entry in cache.entries()}
        fakes.resolved(str(path), cache=cache).kernel()
        assert builds(tmp_path) == 2

    def test_a_config_of_the_users_own(
        self, make_tree: MakeTree, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = make_tree()
        config = path / ".config"
        config.write_text("CONFIG_SECURITY=y\nCONFIG_SECURITY_YAMA=y\nCONFIG_MODULES=y\n")
        with monkeypatch.context() as patched:
            self.changing(patched, config)
            with pytest.raises(UsageError, match="its config or its compiler changed while it was built"):
                fakes.resolved(str(path), cache=cache).kernel("mine")
        assert "kernels" not in {entry.kind for entry in cache.entries()}


class TestOldest:
    @pytest.mark.parametrize(("version", "patchlevel"), [(5, 9), (4, 19)])
    def test_a_tree_that_is_too_old_is_refused_before_it_is_built(
        self, make_tree: MakeTree, cache: Cache, version: int, patchlevel: int
    ) -> None:
        path = make_tree()
        makefile = path / "Makefile"
        head = f"VERSION = {version}\nPATCHLEVEL = {patchlevel}\n"
        makefile.write_text(head + makefile.read_text().split("\n", 3)[3])
        with pytest.raises(UsageError, match=rf"is Linux {version}\.{patchlevel}\.7, and 5\.10 is the oldest"):
            fakes.resolved(str(path), cache=cache)


class TestFailing:
    def test_dropped_options_stop_it_before_the_compiler(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path
    ) -> None:
        path = make_tree(dropped=["CONFIG_SECURITY=y", "CONFIG_SECURITY_YAMA=y"])
        with pytest.raises(UsageError, match="drops 2 of the 3 options") as caught:
            fakes.resolved(str(path), cache=cache).kernel()
        assert "CONFIG_SECURITY_YAMA=y came out as n (small.config:3): needs SECURITY (is n)" in caught.value.message
        assert "CONFIG_SECURITY=y came out as n (small.config:2)" in caught.value.message
        assert builds(tmp_path) == 0
        assert [entry.kind for entry in cache.entries()] == ["ccache", "objects"]

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("broken-config", r"could not be configured .*\n +Kconfig:3: syntax error"),
            ("broken-source", r"(?s)could not be compiled .* error: expected semicolon"),
        ],
    )
    def test_a_failed_step_shows_the_complaint_and_names_the_log(
        self, make_tree: MakeTree, cache: Cache, fault: str, message: str
    ) -> None:
        path = make_tree()
        (path / fault).write_text("")
        with pytest.raises(UsageError, match=message) as caught:
            fakes.resolved(str(path), cache=cache).kernel()
        assert caught.value.exit_status == 4
        log = Path(caught.value.hint.removeprefix("the whole output is in "))
        assert log.read_text()
        (path / fault).unlink()
        fakes.resolved(str(path), cache=cache).kernel()

    def test_the_log_of_a_build_may_have_any_characters(self, tmp_path: Path) -> None:
        """Compilers quote the source, in whatever encoding it is, and the locale's may be ASCII."""
        log = tmp_path / "log"
        script = (
            "import os, sys\nfrom pathlib import Path\nfrom kconfigs.build.supervised_process import run_logged\n"
            f"with Path({str(log)!r}).open('a', encoding='utf-8') as log:\n"
            "    sys.exit(run_logged(['printf', r'a.c:1: \\303\\251 \\351\\n'], log, env=os.environ))\n"
        )
        locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", script], env=os.environ | locale, check=False)
        assert done.returncode == 0
        assert log.read_bytes() == "a.c:1: \u00e9 \ufffd\n".encode()

    def test_a_failure_to_build_the_distributions_source_is_a_harness_error(
        self, make_tree: MakeTree, cache: Cache
    ) -> None:
        path = make_tree()
        (path / "broken-source").write_text("")
        tree = kernel_tree.open_tree(path)
        job = Job(tree, flavors.flavor("full"), "d", "source", "1", cache, is_users_tree=False)
        with pytest.raises(KconformError) as caught:
            build(job)
        assert caught.value.exit_status == 3

    def test_a_full_disk_is_recognised_in_the_compilers_output(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        makefile = path / "Makefile"
        makefile.write_text(makefile.read_text().replace("expected semicolon", "No space left on device"))
        (path / "broken-source").write_text("")
        with pytest.raises(KconformError, match="disk is full") as caught:
            fakes.resolved(str(path), cache=cache).kernel()
        assert caught.value.exit_status == 3
