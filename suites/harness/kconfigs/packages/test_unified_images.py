# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified kernel images: the kernel in them is taken out, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconform import main
from suites.harness import hostile_files as hostile
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE, bzimage
from suites.harness.kconfigs.packages.fake_packages import STUB, efi

Refused = Callable[[str, bytes], UsageError]
IMAGE = bzimage(config=CONFIG)


@pytest.mark.parametrize("name", ["arch-linux.efi", "vmlinuz", f"debian-{RELEASE}.efi"])
def test_the_kernel_is_taken_out(tmp_path: Path, name: str) -> None:
    """Whatever the file is called."""
    path = tmp_path / name
    path.write_bytes(efi({**STUB, ".linux": IMAGE, ".initrd": b"initrd"}))
    kernel = fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
    assert kernel.image.read_bytes() == IMAGE
    assert (kernel.release, kernel.config) == (RELEASE, Config.parse(CONFIG))
    assert kernel.name == (path.stem if RELEASE in name else f"{path.stem}-{RELEASE}")


def test_its_config_and_modules_may_be_named(tmp_path: Path) -> None:
    """Most have no config inside, and none has modules for us."""
    (tmp_path / "k.efi").write_bytes(efi({**STUB, ".linux": bzimage()}))
    (tmp_path / "mine").write_text(CONFIG)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/modules.order").write_text("")
    spec, cache = str(tmp_path / "k.efi"), Cache(tmp_path / "cache")
    kernel = fakes.resolved(spec, kernel_config=tmp_path / "mine", modules=tmp_path / "modules", cache=cache).kernel()
    assert (kernel.config, kernel.modules) == (Config.parse(CONFIG), tmp_path / "modules")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (efi(STUB), "is an EFI program for x86_64 that contains no kernel"),
        (efi({".text": b"x", ".linux": b"no kernel"}), "is not a kernel image"),
        (efi({".text": b"x", ".linux": IMAGE[:0x210]}), "is cut short: it ends in the header"),
        (efi({".text": b"x", ".linux": IMAGE})[:-600], "it ends in the middle of its kernel"),
        (efi({".linux": IMAGE}, size=0xFFFFFE00), "is larger than 256 MiB, which no kernel image is"),
        (efi({".linux": IMAGE}, start=0xFFFFFF00), "it ends in the middle of its kernel"),
        (efi({".linux": IMAGE}, count=0), "contains no kernel"),
        (efi(STUB, count=0xFFFF), "contains no kernel"),
        (efi({".linux": IMAGE}, header=0xFFFFFFFF), "is not a kernel image"),
        (efi({".linux": IMAGE}, header=0xFFF0), "is not a kernel image"),
    ],
    ids=[
        "none", "no-kernel", "a-piece", "cut", "huge", "outside", "no-sections", "many-sections", "no-header",
        "header-outside",
    ],
)  # fmt: skip
def test_a_program_without_a_kernel_is_refused(refused: Refused, content: bytes, message: str) -> None:
    assert message in refused("k.efi", content).message


def test_a_huge_one_is_refused(tmp_path: Path) -> None:
    """A terabyte of zeros, of which the section takes as much as it can."""
    path = hostile.sparse(tmp_path / "k.efi", 1 << 40, efi({".linux": IMAGE}, size=0xFFFFFE00))
    done = hostile.run_in_little_memory("build", path)
    assert done.returncode == 4
    assert "is larger than 256 MiB" in done.stderr


def test_an_efi_program_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """systemd-boot beside the kernel, say: it was accepted, and every test was an error."""
    (tmp_path / "systemd-bootx64.efi").write_bytes(efi(STUB))
    assert main(["build", str(tmp_path / "systemd-bootx64.efi")]) == 4
    said = capsys.readouterr().err
    assert "is an EFI program for x86_64 that contains no kernel" in said
    assert "hint: pass a bzImage" in said
