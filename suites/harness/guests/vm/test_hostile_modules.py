# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules out of a package that somebody made to harm us are refused before they take memory or time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UsageError
from guests.vm.kernel_modules import find_module, read_module, virtio_modules
from kconfigs import input_limits
from kconfigs.kernel import Kernel
from suites.harness import hostile_files as hostile
from suites.harness.guests import fakes
from suites.harness.hostile_files import MIB

MakeKernel = Callable[[Mapping[str, bytes]], Kernel]


@pytest.fixture
def make_kernel(tmp_path: Path) -> MakeKernel:
    """A kernel with these files below its modules."""

    def made(files: Mapping[str, bytes]) -> Kernel:
        (tmp_path / "modules").mkdir()
        for name, content in files.items():
            (tmp_path / "modules" / name).write_bytes(content)
        return replace(fakes.kernel(tmp_path, fakes.MODULAR_VIRTIO), modules=tmp_path / "modules")

    return made


def depending(on: bytes) -> bytes:
    return b"\x7fELF\0name=it\0depends=" + on + b"\0"


@pytest.mark.parametrize(("suffix", "packing"), [("gz", "gzip"), ("xz", "xz"), ("zst", "zstd")])
def test_a_bomb_is_refused(make_kernel: MakeKernel, suffix: str, packing: str) -> None:
    kernel = make_kernel({f"yama.ko.{suffix}": hostile.zeros(packing, 65)})
    with pytest.raises(UsageError, match=rf"yama\.ko\.{suffix} unpacks to more than 64 MiB") as caught:
        read_module(kernel, "yama")
    assert caught.value.hint
    assert caught.value.exit_status == 4


def test_a_huge_one_is_refused(make_kernel: MakeKernel, tmp_path: Path) -> None:
    kernel = make_kernel({})
    hostile.sparse(tmp_path / "modules" / "yama.ko", 1 << 40)
    with pytest.raises(UsageError, match="is larger than 64 MiB, which no kernel module is"):
        read_module(kernel, "yama")


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_refused(make_kernel: MakeKernel, tmp_path: Path, kind: str) -> None:
    kernel = make_kernel({})
    hostile.not_a_file(tmp_path / "modules" / "yama.ko", kind)
    with pytest.raises(UsageError, match="cannot be read: "):
        read_module(kernel, "yama")


def test_all_that_a_guest_loads_is_bounded_together(make_kernel: MakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_limits, "MODULE", 3 * MIB)
    content = bytes(2 * MIB)
    kernel = make_kernel({"virtio_pci.ko": content + depending(b""), "virtio_console.ko": content + depending(b"")})
    with pytest.raises(UsageError, match=r"what .* needs for virtio is larger than 3 MiB"):
        virtio_modules(kernel)


@pytest.mark.parametrize(
    ("pci", "message"),
    [
        (b"virtio_console", "depend on each other without end: virtio_pci"),
        (b"virtio_pci", "depend on each other without end: virtio_pci"),
        (b"../../../etc/passwd", r"is damaged: it depends on \.\./"),
        (b"virtio\xff\xfe", r"is damaged: it depends on virtio\\udcff"),
        (b"\x1b[31m", r"is damaged: it depends on \\x1b\[31m"),
        (b"*", r"is damaged: it depends on \*"),
    ],
    ids=["each-other", "itself", "path", "no-utf-8", "escape", "wildcard"],
)
def test_strange_dependencies_are_refused(make_kernel: MakeKernel, pci: bytes, message: str) -> None:
    kernel = make_kernel({"virtio_pci.ko": depending(pci), "virtio_console.ko": depending(b"virtio_pci")})
    with pytest.raises(UsageError, match=message):
        virtio_modules(kernel)


@pytest.mark.parametrize("chained", [True, False], ids=["chain", "list"])
def test_more_modules_than_a_kernel_needs_are_refused(make_kernel: MakeKernel, chained: bool) -> None:
    names = [f"m{number}" for number in range(2000)]
    if chained:
        files = {f"{name}.ko": depending(after.encode()) for name, after in itertools.pairwise(names)}
        first = "m0"
    else:
        files = {f"{name}.ko": depending(b"") for name in names}
        first = ",".join(names)
    kernel = make_kernel(files | {"virtio_pci.ko": depending(first.encode()), "virtio_console.ko": depending(b"")})
    with pytest.raises(UsageError, match="depend on each other without end"):
        virtio_modules(kernel)


class TestList:
    def test_it_leads_nowhere_else(self, make_kernel: MakeKernel, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "yama.ko").write_bytes(b"evil")
        lines = f"../outside/yama.o\n{tmp_path}/outside/yama.o\nkernel/../../outside/yama.o\n"
        assert find_module(make_kernel({"modules.order": lines.encode()}), "yama") is None

    def test_a_huge_one_is_refused(self, make_kernel: MakeKernel, tmp_path: Path) -> None:
        kernel = make_kernel({})
        hostile.sparse(tmp_path / "modules" / "modules.order", 1 << 30)
        with pytest.raises(UsageError, match="is larger than 4 MiB"):
            find_module(kernel, "yama")

    def test_bytes_that_are_no_text_are_ignored(self, make_kernel: MakeKernel) -> None:
        assert find_module(make_kernel({"modules.order": b"\xff\xfe\0\n" * 100}), "yama") is None
