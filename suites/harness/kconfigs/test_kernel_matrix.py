# SPDX-License-Identifier: GPL-2.0-or-later
"""A matrix: what its file may say, and the kernels that it leads to."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from kconfigs import kernel_matrix, profile
from kconfigs.kernel_options import requested_kernels
from kconfigs.kernel_requests import KernelRequest
from kconfigs.planned_kernels import plan
from kconfigs.spec import parse
from suites.harness.kconfigs import fake_kernels as fakes

ROOT = Path(kernel_matrix.__file__).parents[1]

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
modules = "modules"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text('text = "Mine."\n')
    (tmp_path / "mine.config").write_text(fakes.CONFIG)
    (tmp_path / "image.bin").write_bytes(fakes.bzimage())
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/modules.order").touch()
    fakes.tree(tmp_path / "linux")
    return tmp_path


def made(folder: Path, text: str, name: str = "kconform.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_it_names_kernels_flavors_and_profiles(folder: Path) -> None:
    debian, tree, image = kernel_matrix.load(made(folder, GOOD))
    assert debian.spec.text == "deb:linux-image-amd64@trixie"
    assert debian.flavors == ("full",)
    assert debian.profile == profile.load("debian")
    assert (tree.spec.text, tree.flavors) == (str(folder / "linux"), ("full", "hardened"))
    assert tree.profile == profile.load(str(folder / "mine.toml"))
    assert image.modules == folder / "modules"
    assert (image.spec.text, image.kernel_config, image.profile) == (
        str(folder / "image.bin"),
        folder / "mine.config",
        None,
    )


def test_a_pyproject_has_a_table_of_its_own_for_it(folder: Path) -> None:
    text = '[project]\nname = "linux"\n[[tool.kconform.kernel]]\nspec = "source"\n'
    assert [one.spec.text for one in kernel_matrix.load(made(folder, text, "pyproject.toml"))] == ["source"]


def test_prebuilt_kernels_come_first(folder: Path) -> None:
    path = made(folder, GOOD.split("\n\n", 1)[1])
    found = plan(requested_kernels(matrix_file=path))
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
        ("kernel = []", "kconform.toml: this matrix names no kernel"),
        ("[[", "kconform.toml:1: not a matrix: this is not TOML: "),
        ('[kernel]\nspec = "source"', r"kconform.toml:1: 'kernel' must be written as \[\[kernel\]\]"),
        ('kernal = 1\n[[kernel]]\nspec = "source"', "kconform.toml:1: unknown key 'kernal'; did you mean 'kernel'"),
        ("[[kernel]]\n", r"kconform.toml:1: \[\[kernel\]\] 1: 'spec' is missing"),
        ('[[kernel]]\nspec = "source"\nflavor = "full"', "1: unknown key 'flavor'; did you mean 'flavors'"),
        ('[[kernel]]\nspec = "source"\nflavors = "full"', "1: 'flavors' must be a list of strings"),
        ('[[kernel]]\nspec = "source"\nflavors = []', "1: 'flavors' must be a list of strings"),
        (
            '[[kernel]]\nspec = "source"\nflavors = ["fool"]',
            r"toml:3: .* 1: 'flavors' cannot be 'fool'; did you mean",
        ),
        (
            '[[kernel]]\nspec = "source"\n[[kernel]]\nspec = 5',
            "toml:4: .* 2: 'spec' must be a non-empty string",
        ),
        (
            '[[kernel]]\nspec = "source"\nprofile = "debain"',
            "toml:3: .* 1: no profile 'debain'; did you mean",
        ),
        ('[[kernel]]\nspec = "source"\nprofile = 1', "1: 'profile' must be a non-empty string in quotes"),
    ],
)
def test_an_error_names_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        kernel_matrix.load(made(tmp_path, text))
    assert re.search(message, str(caught.value)), caught.value


def test_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.toml: the matrix cannot be read: No such file"):
        kernel_matrix.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "beside",
    [{"specs": ["source"]}, {"flavors": ["full"]}, {"profile_name": "debian"}],
    ids=["kernel", "flavor", "profile"],
)
def test_options_cannot_be_given_beside_it(folder: Path, beside: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="none of them can be given beside it"):
        requested_kernels(**beside, matrix_file=made(folder, GOOD))


def test_a_missing_kernel_is_reported_with_its_place(folder: Path) -> None:
    asked = [KernelRequest(parse(str(folder / "nowhere")), where="kconform.toml: [[kernel]] 3")]
    with pytest.raises(UsageError, match=r"kconform.toml: \[\[kernel\]\] 3: there is no kernel at .*/nowhere"):
        plan(asked)


def test_numbered_names_do_not_collide(tmp_path: Path) -> None:
    trees = [fakes.tree(tmp_path / name / "linux") for name in ("a", "b", "c")]
    makefile = trees[2] / "Makefile"
    makefile.write_text(re.sub("(?m)^EXTRAVERSION.*", "EXTRAVERSION = -2", makefile.read_text()))
    found = plan([KernelRequest(parse(str(tree))) for tree in trees])
    assert [one.id for one in found] == ["linux-6.12.7/full", "linux-6.12.7-2/full", "linux-6.12.7-2-2/full"]


@pytest.mark.parametrize("what", ["profile", "config"])
def test_one_kernel_has_one_profile_and_one_config(folder: Path, what: str) -> None:
    """The second would not be tested, and no report would say so."""
    other = KernelRequest(parse(str(folder / "linux")), flavors=("mine",), where="kconform.toml: [[kernel]] 2")
    first = replace(other, where="kconform.toml: [[kernel]] 1")
    if what == "profile":
        other = replace(other, profile=profile.load("debian"))
    else:
        other = replace(other, kernel_config=folder / "mine.config")
    with pytest.raises(
        UsageError, match=rf"2: linux-6.12.7/mine has been named before, with another {what}"
    ) as caught:
        plan([first, other])
    assert caught.value.hint
    assert len(plan([first, first])) == 1


@pytest.mark.parametrize("where", ["", "kconform.toml: [[kernel]] 1"], ids=["option", "matrix"])
def test_a_config_that_no_flavor_uses_is_wrong_use(folder: Path, where: str) -> None:
    """Only flavor mine builds a named config; with another flavor it would be ignored."""
    tree = KernelRequest(parse(str(folder / "linux")), kernel_config=folder / "mine.config", where=where)
    with pytest.raises(UsageError, match=r"nothing would be built with the config .*/mine\.config") as caught:
        plan([tree])
    assert "--flavor=mine" in caught.value.hint
    assert len(plan([replace(tree, flavors=("full", "mine"))])) == 2


def test_a_config_for_one_of_the_kernels_is_enough(folder: Path) -> None:
    asked = [
        KernelRequest(parse(str(folder / name)), kernel_config=folder / "mine.config")
        for name in ("image.bin", "linux")
    ]
    assert len(plan(asked)) == 2


def test_a_keyword_is_never_a_path(folder: Path) -> None:
    """As on the command line: the tree of a kernel package has a folder debian/."""
    for name in ("debian", "running", "source", "deb:linux-image-amd64"):
        (folder / name).mkdir()
    specs = ("running", "source", "deb:linux-image-amd64")
    text = "".join(f'[[kernel]]\nspec = "{spec}"\nprofile = "debian"\n' for spec in specs)
    asked = kernel_matrix.load(made(folder, text))
    assert [(one.spec.text, one.profile) for one in asked] == [(spec, profile.load("debian")) for spec in specs]


def test_the_projects_own_matrix() -> None:
    """It names each suite, so that it means the same kernels on any Debian machine."""
    asked = kernel_matrix.load(ROOT / "kconform.toml")
    assert all(re.search(r"@[a-z-]+$", one.spec.text) for one in asked)
    assert {one.spec.text for one in asked if is_source(one)} == {
        "deb:linux-source-5.10@bullseye-security",
        "deb:linux-source-6.1@bookworm-security",
        "deb:linux-source-6.12@trixie-security",
        "source@trixie-backports",
    }
    assert {one.profile.name for one in asked if one.profile} == {"debian"}
    assert all(one.profile for one in asked if not is_source(one))


def test_it_has_realtime_kernels_and_the_newest_ones() -> None:
    """Of each release of Debian the kernel with PREEMPT_RT, and what the archive offers beyond its stable release."""
    text = [one.spec.text for one in kernel_matrix.load(ROOT / "kconform.toml")]
    realtime = {spec.rpartition("@")[2] for spec in text if "-rt-amd64" in spec}
    assert realtime == {"bullseye-security", "bookworm-security", "trixie-security", "trixie-backports"}
    assert "deb:linux-image-cloud-amd64@sid" in text
    assert {"deb:linux-image-amd64@trixie-backports", "deb:linux-image-cloud-amd64@trixie-backports"} <= set(text)


def is_source(one: KernelRequest) -> bool:
    return "source" in one.spec.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--matrix=none.toml"], "none.toml: the matrix cannot be read"),
        (["--matrix=kconform.toml", "--kernel=source"], "none of them can be given beside it"),
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
