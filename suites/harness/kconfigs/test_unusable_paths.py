# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths that cannot be looked up are wrong use, whichever option has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from common.paths import users_path
from kconfigs import kernel_matrix, profile
from kconfigs.cache import Cache
from kconform import main
from suites.harness.kconfigs import fake_kernels as fakes

BAD = {
    "x" * 300: "cannot be looked at: File name too long",
    "~nobody-of-that-name/x": "there is no such home directory",
}


def from_matrix(folder: Path, key: str, value: str) -> None:
    table = {"spec": "image", key: value}
    lines = [f'{name} = "{text}"' for name, text in table.items()]
    (folder / "kconform.toml").write_text("\n".join(["[[kernel]]", *lines]))
    kernel_matrix.load(folder / "kconform.toml")


@pytest.mark.parametrize(("path", "said"), BAD.items(), ids=["too-long", "no-home"])
@pytest.mark.parametrize(
    "use",
    [
        lambda folder, path: fakes.resolved(path, cache=Cache(folder)),
        lambda folder, path: fakes.resolved(str(folder / "image"), kernel_config=Path(path), cache=Cache(folder)),
        lambda folder, path: fakes.resolved(str(folder / "image"), modules=Path(path), cache=Cache(folder)),
        lambda folder, path: fakes.resolved(f"a.rpm,{path}", cache=Cache(folder)),
        lambda _, path: profile.load(path),
        lambda _, path: kernel_matrix.load(Path(path)),
        lambda folder, path: from_matrix(folder, "spec", path),
        lambda folder, path: from_matrix(folder, "config", path),
        lambda folder, path: from_matrix(folder, "modules", path),
        lambda folder, path: from_matrix(folder, "profile", path),
    ],
    ids=[
        "kernel", "kernel-config", "modules", "one-of-two", "profile", "matrix", "spec-in-it", "config-in-it",
        "modules-in-it", "profile-in-it",
    ],
)  # fmt: skip
def test_it_is_wrong_use(tmp_path: Path, use: Callable[[Path, str], object], path: str, said: str) -> None:
    (tmp_path / "image").write_bytes(fakes.bzimage(config=fakes.CONFIG))
    with pytest.raises(UsageError, match=said) as caught:
        use(tmp_path, path)
    assert caught.value.hint


@pytest.mark.parametrize(("path", "said"), BAD.items(), ids=["too-long", "no-home"])
def test_a_check_ends_with_4(path: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", path, "--profile=debian"]) == 4
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("absent", ["nowhere", "file/below", "loop", "nul\0"])
def test_a_missing_path_is_no_error_yet(tmp_path: Path, absent: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert users_path(absent, tmp_path) == tmp_path / absent


def test_every_option_knows_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "image").write_bytes(fakes.bzimage())
    (tmp_path / "mine.config").write_text(fakes.CONFIG)
    (tmp_path / "kconform.toml").write_text('[[kernel]]\nspec = "image"\n')
    assert fakes.resolved("~/image", kernel_config=Path("~/mine.config"), cache=Cache(tmp_path)).source.name
    assert [one.spec.text for one in kernel_matrix.load(Path("~/kconform.toml"))] == [str(tmp_path / "image")]
