# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user asks of all guests, and what a kernel needs by itself."""

from __future__ import annotations

import argparse
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guests.vm import machine_options
from guests.vm.boot_request import Boot
from guests.vm.clone_pool import Pool
from guests.vm.machine_options import (
    DEFAULT_MACHINE,
    MachineOptions,
    boot_timeout_s,
    memory_mib,
    parse_arguments,
    parse_boot_timeout,
    parse_cpus,
    parse_memory,
    parse_qemu_arguments,
)
from guests.vm.qemu_command import VirtualMachine
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from suites.harness.guests import fakes
from suites.harness.kconfigs.fake_kernels import bzimage


def machine(tmp_path: Path, options: MachineOptions, config: str = "") -> VirtualMachine:
    pool = Pool(Cache(tmp_path / "cache"), options=options)
    return pool._machine(fakes.kernel(tmp_path, config), Boot(arguments=("yama=1",)), kvm=False)


class TestMachine:
    def test_the_defaults(self, tmp_path: Path) -> None:
        made = machine(tmp_path, DEFAULT_MACHINE)
        assert (made.memory_mib, made.cpus, made.options, made.boot_timeout_s) == (128, 1, (), 120.0)
        assert DEFAULT_MACHINE.sentence() == ""

    def test_what_the_user_asks_for(self, tmp_path: Path) -> None:
        """The arguments of a test come last, so that they win."""
        asked = MachineOptions(512, 2, ("quiet", "lsm=yama"), ("-cpu", "a b"), 7.0)
        made = machine(tmp_path, asked, "CONFIG_KASAN=y\n")
        assert (made.memory_mib, made.cpus, made.options, made.boot_timeout_s) == (512, 2, ("-cpu", "a b"), 7.0)
        assert made.arguments == ("quiet", "lsm=yama", "yama=1")
        assert (
            asked.sentence() == "--memory=512 --cpus=2 --append='quiet lsm=yama' --qemu-opts='-cpu '\"'\"'a b'\"'\"''"
        )


class TestNeeds:
    """Of a kernel."""

    @pytest.mark.parametrize(
        ("init_size_mib", "mib"), [(0, 128), (51, 128), (64, 128), (65, 129), (200, 264)], ids=str
    )
    def test_memory_follows_the_size_of_the_kernel(self, tmp_path: Path, init_size_mib: int, mib: int) -> None:
        content = bytearray(bzimage())
        struct.pack_into("<I", content, 0x260, init_size_mib << 20)
        (tmp_path / "bzImage").write_bytes(content)
        assert memory_mib(fakes.kernel(tmp_path)) == mib

    @pytest.mark.parametrize(
        ("config", "mib", "seconds"),
        [
            ("", 128, 120.0),
            ("CONFIG_KASAN=y\n", 256, 480.0),
            ("CONFIG_KASAN=y\nCONFIG_PROVE_LOCKING=y\n", 256, 480.0),
            ("CONFIG_KMSAN=y\nCONFIG_PAGE_OWNER=y\n", 1024, 480.0),
            ("CONFIG_PAGE_OWNER=y\n", 256, 120.0),
            ("CONFIG_KCSAN=y\n", 128, 480.0),
            ("# CONFIG_KASAN is not set\n", 128, 120.0),
        ],
        ids=["plain", "kasan", "kasan-and-lockdep", "kmsan", "page-owner", "kcsan", "off"],
    )
    def test_debugging_needs_more_memory_and_time(
        self, tmp_path: Path, config: str, mib: int, seconds: float
    ) -> None:
        kernel = fakes.kernel(tmp_path, config)
        assert (memory_mib(kernel), boot_timeout_s(kernel.config)) == (mib, seconds)

    def test_memory_is_in_units_of_the_machine(self, tmp_path: Path) -> None:
        kernel = replace(fakes.kernel(tmp_path), arch="ppc64le")
        assert memory_mib(kernel) == 256
        assert memory_mib(replace(kernel, config=Config.parse("CONFIG_PAGE_OWNER=y\n"))) == 512, (
            "16 MiB are not its own"
        )
        assert memory_mib(replace(kernel, arch="aarch64", config=Config.parse("CONFIG_KMSAN=y\n"))) == 1024

    @pytest.mark.parametrize("content", [b"", b"MZ", bytes(0x300), bzimage()[:0x263]], ids=len)
    def test_an_image_that_does_not_say(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "bzImage").write_bytes(content)
        assert memory_mib(fakes.kernel(tmp_path)) == machine_options.MEMORY_MIB


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_memory, "512", 512),
        (parse_memory, "512M", 512),
        (parse_memory, "2g", 2048),
        (parse_cpus, "4", 4),
        (parse_arguments, " quiet  lsm=yama ", ["quiet", "lsm=yama"]),
        (parse_arguments, "", []),
        (parse_qemu_arguments, "-cpu 'a b'", ["-cpu", "a b"]),
        (parse_boot_timeout, "1.5", 1.5),
    ],
)
def test_values(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((parse_memory, text) for text in ("", "0", "31", "-1", "1.5G", "512K", "1T", "1025G", "9" * 40, "٥١٢")),
        *((parse_cpus, text) for text in ("", "0", "65", "two", "-1", "1.0")),
        *((parse_arguments, text) for text in ("a\nb", "a\0b", "\x1b[2J", "ü", "a -- b", "--", "x" * 1025)),
        *((parse_qemu_arguments, text) for text in ("'", "-name a\0b")),
        *((parse_boot_timeout, text) for text in ("", "0", "-1", "nan", "inf", "soon")),
    ],
)
def test_wrong_values_are_refused_in_one_line(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        parse(text)
    assert str(caught.value).isprintable()
