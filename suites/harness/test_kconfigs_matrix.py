# SPDX-License-Identifier: GPL-2.0-or-later
"""A matrix: what its file may say, and the kernels that come of it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import matrix, profile
from kconfigs.candidates import candidates, wanted
from kconfigs.matrix import Wanted
from suites.harness import kconfigs_fakes as fakes

ROOT = Path(matrix.__file__).parents[1]

GOOD = """\
[[kernel]]
spec = "deb:linux-image-amd64@trixie"
profile = "debian"

[[kernel]]
spec = "linux"
flavors = ["full", "hardened"]
profile = "mine.toml"

[[kernel]]
spec = "image.bin"
config = "mine.config"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text('text = "Mine."\n')
    (tmp_path / "mine.config").write_text(fakes.CONFIG)
    (tmp_path / "image.bin").write_bytes(fakes.bzimage())
    fakes.tree(tmp_path / "linux")
    return tmp_path


def made(folder: Path, text: str, name: str = "kconform.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_it_names_kernels_flavors_and_profiles(folder: Path) -> None:
    debian, tree, image = matrix.load(made(folder, GOOD))
    assert debian.spec == "deb:linux-image-amd64@trixie"
    assert debian.flavors == ("full",)
    assert debian.profile == profile.load("debian")
    assert (tree.spec, tree.flavors) == (str(folder / "linux"), ("full", "hardened"))
    assert tree.profile == profile.load(str(folder / "mine.toml"))
    assert (image.spec, image.kernel_config, image.profile) == (
        str(folder / "image.bin"),
        folder / "mine.config",
        None,
    )


def test_a_pyproject_has_it_in_a_table_of_its_own(folder: Path) -> None:
    text = '[project]\nname = "linux"\n[[tool.kconform.kernel]]\nspec = "source"\n'
    assert [one.spec for one in matrix.load(made(folder, text, "pyproject.toml"))] == ["source"]


def test_its_kernels_with_prebuilt_ones_first(folder: Path) -> None:
    path = made(folder, GOOD.split("\n\n", 1)[1])
    found = candidates(wanted(None, None, None, None, path), folder / "status")
    mine = profile.load(str(folder / "mine.toml"))
    assert [(one.id, one.profile) for one in found] == [
        ("image.bin-6.12.7-fake/shipped", None),
        ("linux-6.12.7/full", mine),
        ("linux-6.12.7/hardened", mine),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "kconform.toml: 'kernel' is missing"),
        ("kernel = []", "kconform.toml: no kernel is asked for"),
        ("[[", "kconform.toml: no matrix: "),
        ('[kernel]\nspec = "source"', r"kconform.toml: kernel has to be written as \[\[kernel\]\]"),
        ('kernal = 1\n[[kernel]]\nspec = "source"', "kconform.toml: unknown key 'kernal'; did you mean 'kernel'"),
        ("[[kernel]]\n", r"kconform.toml:1: \[\[kernel\]\] 1: 'spec' is missing"),
        ('[[kernel]]\nspec = "source"\nflavor = "full"', "1: unknown key 'flavor'; did you mean 'flavors'"),
        ('[[kernel]]\nspec = "source"\nflavors = "full"', "1: flavors has to be a list of names"),
        ('[[kernel]]\nspec = "source"\nflavors = []', "1: flavors has to be a list of names"),
        ('[[kernel]]\nspec = "source"\nflavors = ["fool"]', r"\[\[kernel\]\] 1: .*'fool'"),
        ('[[kernel]]\nspec = "source"\n[[kernel]]\nspec = 5', "2: spec has to be a text, in quotes"),
        ('[[kernel]]\nspec = "source"\nprofile = "debain"', "1: no profile 'debain'"),
        ('[[kernel]]\nspec = "source"\nprofile = 1', "1: profile has to be a text, in quotes"),
    ],
)
def test_what_is_wrong_in_it_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        matrix.load(made(tmp_path, text))
    assert re.search(message, str(caught.value)), caught.value


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.toml: no matrix: .*No such file"):
        matrix.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "beside",
    [(["source"], None, None, None), (None, ["full"], None, None), (None, None, None, "debian")],
    ids=["kernel", "flavor", "profile"],
)
def test_nothing_of_it_is_said_twice(folder: Path, beside: tuple[None, None, None, None]) -> None:
    with pytest.raises(UsageError, match="none can be given beside it"):
        wanted(*beside, made(folder, GOOD))


def test_a_kernel_that_is_not_there_is_named_with_its_place(folder: Path) -> None:
    asked = [Wanted(str(folder / "nowhere"), where="kconform.toml: [[kernel]] 3")]
    with pytest.raises(UsageError, match=r"kconform.toml: \[\[kernel\]\] 3: there is no kernel at .*/nowhere"):
        candidates(asked, folder)


def test_a_numbered_name_may_be_taken(tmp_path: Path) -> None:
    trees = [fakes.tree(tmp_path / name / "linux") for name in ("a", "b", "c")]
    makefile = trees[2] / "Makefile"
    makefile.write_text(re.sub("(?m)^EXTRAVERSION.*", "EXTRAVERSION = -2", makefile.read_text()))
    found = candidates([Wanted(str(tree)) for tree in trees], tmp_path)
    assert [one.id for one in found] == ["linux-6.12.7/full", "linux-6.12.7-2/full", "linux-6.12.7-2-2/full"]


@pytest.mark.parametrize("what", ["profile", "config"])
def test_one_kernel_has_one_profile_and_one_config(folder: Path, what: str) -> None:
    """The second would not be tested, and nobody would be told."""
    other = Wanted(str(folder / "linux"), flavors=("mine",), where="kconform.toml: [[kernel]] 2")
    first = replace(other, where="kconform.toml: [[kernel]] 1")
    if what == "profile":
        other = replace(other, profile=profile.load("debian"))
    else:
        other = replace(other, kernel_config=folder / "mine.config")
    with pytest.raises(UsageError, match=rf"2: linux-6.12.7/mine is there already, with another {what}") as caught:
        candidates([first, other], folder)
    assert caught.value.hint
    assert len(candidates([first, first], folder)) == 1


@pytest.mark.parametrize("where", ["", "kconform.toml: [[kernel]] 1"], ids=["option", "matrix"])
def test_a_config_that_nothing_would_be_built_with(folder: Path, where: str) -> None:
    """Only flavor mine is about a named config; the user believes otherwise."""
    tree = Wanted(str(folder / "linux"), kernel_config=folder / "mine.config", where=where)
    with pytest.raises(UsageError, match=r"nothing would be built with the config .*/mine\.config") as caught:
        candidates([tree], folder)
    assert "--flavor=mine" in caught.value.hint
    assert len(candidates([replace(tree, flavors=("full", "mine"))], folder)) == 2


def test_a_config_for_one_of_the_kernels_is_enough(folder: Path) -> None:
    asked = [Wanted(str(folder / name), kernel_config=folder / "mine.config") for name in ("image.bin", "linux")]
    assert len(candidates(asked, folder)) == 2


def test_a_word_is_no_path_even_where_something_is_called_so(folder: Path) -> None:
    """As on the command line: the tree of a kernel package has a folder debian/."""
    for name in ("debian", "running", "source", "deb:linux-image-amd64"):
        (folder / name).mkdir()
    specs = ("running", "source", "deb:linux-image-amd64")
    text = "".join(f'[[kernel]]\nspec = "{spec}"\nprofile = "debian"\n' for spec in specs)
    asked = matrix.load(made(folder, text))
    assert [(one.spec, one.profile) for one in asked] == [(spec, profile.load("debian")) for spec in specs]


def test_the_one_that_is_shipped() -> None:
    """It names each suite: on any Debian machine it is the same kernels."""
    asked = matrix.load(ROOT / "kconform.toml")
    assert all(re.search(r"@[a-z-]+$", one.spec) for one in asked)
    assert {one.spec for one in asked if is_source(one)} == {
        "deb:linux-source-5.10@bullseye-security",
        "deb:linux-source-6.1@bookworm-security",
        "deb:linux-source-6.12@trixie-security",
        "source@trixie-backports",
    }
    assert {one.profile.name for one in asked if one.profile} == {"debian"}
    assert all(one.profile for one in asked if not is_source(one))


def is_source(one: Wanted) -> bool:
    return "source" in one.spec


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--matrix=none.toml"], "none.toml: no matrix"),
        (["--matrix=kconform.toml", "--kernel=source"], "none can be given beside it"),
    ],
    ids=["no-file", "beside-a-kernel"],
)
def test_a_run_ends_with_4(folder: Path, arguments: list[str], said: str) -> None:
    made(folder, GOOD)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *arguments]
    run = subprocess.run(
        [*command, str(ROOT / "suites/yama/test_talk.py")], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 4
    assert said in run.stderr
