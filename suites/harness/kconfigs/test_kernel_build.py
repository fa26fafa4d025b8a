# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees and what is built from them, with a Makefile that plays Kbuild."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs import flavors
from kconfigs.build import kbuild, kernel_tree, unmet_dependencies
from kconfigs.build.build_progress import BuildState, ProgressLines
from kconfigs.build.kernel_build import build
from kconfigs.cache import Cache
from kconfigs.flavors import Flavor
from kconfigs.kconfig import Option, parse_fragment
from suites.harness.kconfigs import fake_kernels as fakes

FRAGMENT = """\
CONFIG_MODULES=y           # a module is built
CONFIG_SECURITY=y          # opens Yama
CONFIG_SECURITY_YAMA=y     # under test
CONFIG_FUTURE=y            # since 9.0: not for this one
"""


class Recorder:
    def __init__(self) -> None:
        self.states: list[BuildState] = []

    def update(self, state: BuildState) -> None:
        self.states.append(state)

    @property
    def phases(self) -> list[str]:
        return list(dict.fromkeys(state.phase for state in self.states))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(kbuild, "toolchain", lambda: "gcc (fake) 1\nld (fake) 1")
    fragment = parse_fragment("small.config", FRAGMENT)
    monkeypatch.setattr(flavors, "fragment", lambda _: fragment)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


MakeTree = Callable[..., Path]


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    return lambda **options: fakes.tree(tmp_path / "linux", **options)


def content(path: Path) -> dict[str, tuple[int, int]]:
    """Everything in a directory, with size and time."""
    found = {}
    for file in path.rglob("*"):
        info = file.lstat()
        found[str(file.relative_to(path))] = (info.st_size, info.st_mtime_ns)
    return found


def builds(tmp_path: Path) -> int:
    marks = tmp_path / "builds"
    return len(marks.read_text().splitlines()) if marks.exists() else 0


class TestBuilding:
    def test_a_tree_becomes_a_kernel(self, make_tree: MakeTree, cache: Cache) -> None:
        kernel = fakes.resolved(str(make_tree()), cache=cache).kernel("full")
        assert kernel.id == "linux-6.12.7/full"
        assert (kernel.release, kernel.version, kernel.arch) == (fakes.RELEASE, (6, 12, 7), "x86_64")
        assert kernel.config.builtin("SECURITY_YAMA")
        assert not kernel.config.enabled("FUTURE")
        assert kernel.modules is not None
        assert [path.name for path in kernel.modules.iterdir()] == ["test_module.ko"]
        assert kernel.image.read_bytes() == fakes.bzimage()

    def test_the_entry_keeps_what_is_needed_and_no_objects(self, make_tree: MakeTree, cache: Cache) -> None:
        kernel = fakes.resolved(str(make_tree()), cache=cache).kernel()
        assert {path.name for path in kernel.image.parent.iterdir()} == {
            *("image", "config", "System.map", "modules", "build.log", "made.json"),
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
            monkeypatch.setattr(kbuild, "toolchain", lambda: "gcc (fake) 2")
        fakes.resolved(str(path), cache=cache).kernel()
        assert builds(tmp_path) == 2

    def test_a_damaged_image_is_built_anew(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        source = fakes.resolved(str(make_tree()), cache=cache)
        image = source.kernel().image
        image.write_bytes(image.read_bytes()[:-1] + b"!")
        assert source.kernel().image.read_bytes() == fakes.bzimage()
        assert builds(tmp_path) == 2

    def test_progress_is_reported(self, make_tree: MakeTree, cache: Cache) -> None:
        told = Recorder()
        fakes.resolved(str(make_tree()), cache=cache).kernel("full", told)
        assert told.phases == ["waiting", "configuring", "compiling", "done"]
        assert {state.what for state in told.states} == {"linux-6.12.7/full"}
        # Neither tools of the host nor lines that only look alike are objects of the kernel.
        assert [state.objects for state in told.states if state.phase == "compiling"] == [0, 1, 2]

    def test_the_next_estimate_is_what_was_counted(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        for name, total in (("first", flavors.flavor("full").objects), ("second", 2)):
            (path / "kernel.c").write_text(name)
            told = Recorder()
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


class TestConfigured:
    """An object directory that is kept, as that of the mutants is."""

    def test_configured_until_something_else_is_asked_for(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects = tmp_path / "objects"
        job = kbuild.Job(kernel_tree.open_tree(make_tree()), flavors.flavor("full"), "d", "source", "1", cache)
        assert not kbuild.configured(job, objects)
        kbuild.configure(job, objects)
        assert kbuild.configured(job, objects)
        more = parse_fragment("small.config", FRAGMENT + "CONFIG_SECURITY_OTHER=y     # came later\n")
        monkeypatch.setattr(flavors, "fragment", lambda _: more)
        assert not kbuild.configured(job, objects)

    def test_a_failed_step_leaves_it_unconfigured(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        path = make_tree(dropped=["CONFIG_SECURITY=y"])
        job = kbuild.Job(kernel_tree.open_tree(path), flavors.flavor("full"), "d", "source", "1", cache)
        with pytest.raises(UsageError, match="drops 1"):
            kbuild.configure(job, tmp_path / "objects")
        assert not kbuild.configured(job, tmp_path / "objects")


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


class TestOwnConfig:
    """Flavor mine: the user's config, and what a guest needs laid over it."""

    OWN = "CONFIG_OWN=m\nCONFIG_SECURITY_YAMA=n\n"

    def test_the_trees_own_config(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        (path / ".config").write_text(self.OWN)
        source = fakes.resolved(str(path), cache=cache)
        kernel = source.kernel("mine")
        assert kernel.id == "linux-6.12.7/mine"
        assert (kernel.config["OWN"], kernel.config["SECURITY_YAMA"]) == ("m", "y")
        assert source.kernel("full").config["OWN"] == "n"
        assert (path / ".config").read_text() == self.OWN

    def test_a_named_config(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        path, named = make_tree(), tmp_path / "named.config"
        for number in (5, 6):
            named.write_text(f"CONFIG_OWN={number}\n")
            kernel = fakes.resolved(str(path), kernel_config=named, cache=cache).kernel("mine")
            assert kernel.config["OWN"] == str(number)

    def test_a_named_config_may_be_packed(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        named = tmp_path / "config.gz"
        named.write_bytes(gzip.compress(b"CONFIG_OWN=7\n"))
        kernel = fakes.resolved(str(make_tree()), kernel_config=named, cache=cache).kernel("mine")
        assert kernel.config["OWN"] == "7"

    def test_without_a_config_it_is_wrong_use(self, make_tree: MakeTree, cache: Cache) -> None:
        with pytest.raises(UsageError, match=r"linux has no \.config, which flavor mine needs") as caught:
            fakes.resolved(str(make_tree()), cache=cache).kernel("mine")
        assert "--kernel-config" in caught.value.hint


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
        assert [entry.kind for entry in cache.entries()] == ["ccache"]

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

    def test_a_failure_to_build_the_distributions_source_is_a_harness_error(
        self, make_tree: MakeTree, cache: Cache
    ) -> None:
        path = make_tree()
        (path / "broken-source").write_text("")
        tree = kernel_tree.open_tree(path)
        job = kbuild.Job(tree, flavors.flavor("full"), "d", "source", "1", cache, is_users_tree=False)
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


class TestTree:
    def test_a_directory_that_is_not_a_tree_is_refused(self, tmp_path: Path, cache: Cache) -> None:
        (tmp_path / "Makefile").write_text("all:\n")
        with pytest.raises(UsageError, match="not a kernel tree"):
            fakes.resolved(str(tmp_path), cache=cache)

    def test_a_release_candidate_has_its_own_name(self, make_tree: MakeTree) -> None:
        path = make_tree()
        makefile = path / "Makefile"
        makefile.write_text(makefile.read_text().replace("EXTRAVERSION =\n", "EXTRAVERSION = -rc3\n"))
        found = kernel_tree.open_tree(path)
        assert (found.version, found.text_version) == ((6, 12, 7), "6.12.7-rc3")

    def test_a_tree_is_left_as_it_was(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        before = content(path)
        fakes.resolved(str(path), cache=cache).kernel()
        assert content(path) == before

    def test_a_tree_that_was_built_in_place_is_built_elsewhere(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path
    ) -> None:
        path = make_tree()
        (path / ".config").write_text("CONFIG_MINE=y\n")
        (path / "kernel.o").write_text("object")
        # Kbuild refuses a source tree with a .config in it.
        makefile = path / "Makefile"
        refusal = "allnoconfig:\n\t@test ! -e .config -a ! -e kernel.o\n\t@test -e kernel.c\n"
        makefile.write_text(makefile.read_text().replace("allnoconfig:\n", refusal))
        before = content(path)
        kernel = fakes.resolved(str(path), cache=cache).kernel()
        assert content(path) == before
        assert builds(tmp_path) == 1
        assert not (kernel.image.parent / "source").exists()

    def test_products_of_a_build_do_not_change_its_identity(self, make_tree: MakeTree) -> None:
        path = make_tree()
        before = kernel_tree.identify(path)
        for name in ("kernel.o", "vmlinux", ".config", "System.map", ".kernel.o.cmd", "a.ko", "a.mod.c"):
            (path / name).write_text("")
        (path / "include" / "config").mkdir(parents=True)
        (path / "include" / "config" / "auto.conf").write_text("")
        assert kernel_tree.identify(path) == before
        (path / "vmlinux.lds.S").write_text("")
        assert kernel_tree.identify(path) != before


def git(path: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=us", "-c", "user.email=us@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class TestGit:
    @pytest.fixture
    def path(self, make_tree: MakeTree) -> Path:
        path = make_tree()
        (path / ".gitignore").write_text("*.o\n.config\n")
        git(path, "init", "-q")
        git(path, "add", ".")
        git(path, "commit", "-q", "-m", "one")
        return path

    def test_its_identity_is_the_commit(self, path: Path) -> None:
        assert kernel_tree.identify(path) == git(path, "rev-parse", "HEAD")[:12]

    def test_different_changes_have_different_identities(self, path: Path) -> None:
        seen = {kernel_tree.identify(path)}
        for name, text in (("kernel.c", "one"), ("kernel.c", "two"), ("new.c", "one"), ("new.c", "two")):
            (path / name).write_text(text)
            seen.add(kernel_tree.identify(path))
        assert len(seen) == 5
        assert sum("-dirty-" in identity for identity in seen) == 4
        (path / "kernel.o").write_text("ignored")
        assert kernel_tree.identify(path) in seen

    def test_looking_does_not_touch_the_repository(self, path: Path) -> None:
        os.utime(path / "kernel.c")
        before = content(path)
        kernel_tree.identify(path)
        assert content(path) == before

    def test_a_tree_inside_another_repository_is_identified_by_its_files(self, path: Path) -> None:
        inner = fakes.tree(path / "inner")
        assert kernel_tree.identify(inner).startswith("files-")

    def test_its_mirror_has_what_git_knows_and_what_is_new(self, path: Path, tmp_path: Path) -> None:
        (path / "new.c").write_text("new")
        (path / "kernel.o").write_text("object")
        (path / "Kconfig").unlink()
        kernel_tree.mirror(path, tmp_path / "mirror")
        names = {file.name for file in (tmp_path / "mirror").iterdir()}
        assert {"new.c", "Makefile", "kernel.c"} <= names
        assert not names & {"kernel.o", ".git", "Kconfig"}


class TestUnmet:
    @pytest.mark.parametrize(
        ("name", "value", "config", "reason"),
        [
            ("SECURITY_YAMA", "y", "", "needs SECURITY (is n)"),
            (
                "SECURITY_YAMA",
                "y",
                "CONFIG_SECURITY=y\nCONFIG_MODULES=y\nCONFIG_SECURITY_OTHER=y\n",
                "!SECURITY_OTHER",
            ),
            ("NOSUCH", "y", "", "this kernel has no such option"),
        ],
    )
    def test_the_reason_is_named(
        self, make_tree: MakeTree, tmp_path: Path, name: str, value: str, config: str, reason: str
    ) -> None:
        path = make_tree()
        (tmp_path / "config").write_text(config)
        found = unmet_dependencies.explain(path, tmp_path / "config", [Option(name, value, "", "")], dict(os.environ))
        assert reason in found[name]

    def test_kconfig_files_that_cannot_be_parsed_give_no_reasons(self, make_tree: MakeTree, tmp_path: Path) -> None:
        path = make_tree()
        (path / "Kconfig").write_text("gibberish !!\n")
        (tmp_path / "config").write_text("")
        assert (
            unmet_dependencies.explain(path, tmp_path / "config", [Option("A", "y", "", "")], dict(os.environ)) == {}
        )

    @pytest.mark.parametrize(
        ("line", "known"),
        [
            ("\tmodules\n", "\toption modules\n"),
            ("\ttransitional\n", "\n"),
            ("\tdepends on A || B if C\n", "\tdepends on (A || B) || !(C)\n"),
            ("\tdepends on A # only if B\n", "\tdepends on A # only if B\n"),
            ("\tdefault y if A\n", "\tdefault y if A\n"),
        ],
    )
    def test_newer_kconfig_syntax_is_rewritten(self, line: str, known: str) -> None:
        assert unmet_dependencies.modernised(line) == known


class TestProgressLine:
    def test_it_shows_what_is_done_and_what_is_left(self) -> None:
        state = BuildState("compiling", "linux-6.12.7/full", 250, 1000, started=100.0)
        assert state.left_s(now=200.0) == 300.0
        assert str(BuildState("configuring", "k")) == "k: configuring"

    @pytest.mark.parametrize("objects", [0, 5, 1000, 1001])
    def test_it_does_not_guess(self, objects: int) -> None:
        assert BuildState("compiling", "k", objects, 1000, started=0.0).left_s(now=50.0) is None

    def test_a_log_gets_a_line_now_and_then(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = ProgressLines(interval=3600)
        for objects in range(50):
            lines.update(BuildState("compiling", "k", objects, 50))
        lines.update(BuildState("done", "k"))
        assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_flavor_is_a_stack_of_fragments() -> None:
    assert Flavor("x", "X.", ("base",), 1).asked((6, 12)).keys() == {"MODULES", "SECURITY", "SECURITY_YAMA"}
