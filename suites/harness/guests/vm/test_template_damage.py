# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged templates are never used."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from guests.vm import template
from guests.vm.cache_checksums import DamagedError
from guests.vm.qemu_command import VirtualMachine
from kconfigs.cache import Cache
from suites.harness.guests.vm.fake_boots import KERNEL, FakeBoots


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    path.write_text("{}")


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "ram-missing": ("ram", Path.unlink),
    "ram-cut-short": ("ram", cut),
    "ram-too-long": ("ram", lengthen),
    "ram-changed": ("ram", flip),
    "state-missing": ("state", Path.unlink),
    "state-cut-short": ("state", cut),
    "state-changed": ("state", flip),
    "meta-missing": ("meta.json", Path.unlink),
    "meta-cut-short": ("meta.json", cut),
    "meta-of-something-else": ("meta.json", overwrite),
}


class TestChecking:
    @pytest.mark.parametrize(("name", "damage"), DAMAGE.values(), ids=DAMAGE)
    def test_damage_is_detected_and_the_template_is_created_again(
        self,
        machine: VirtualMachine,
        boots: FakeBoots,
        store: Cache,
        caplog: pytest.LogCaptureFixture,
        name: str,
        damage: Callable[[Path], None],
    ) -> None:
        made = template.get(machine, KERNEL, store)
        template.check(made.directory)
        damage(made.directory / name)
        with pytest.raises(DamagedError):
            template.check(made.directory)
        with caplog.at_level(logging.WARNING, "kconform"):
            template.get(machine, KERNEL, store)
        assert boots.times == 2
        assert f"templates/{made.key} is damaged and is made again" in caplog.text
        template.check(made.directory)

    def test_data_that_moved_is_damage(self, tmp_path: Path) -> None:
        """The same bytes at another address are different RAM."""
        for name, place in (("one", 0), ("two", 1 << 22)):
            with (tmp_path / name).open("wb") as file:
                file.truncate(1 << 23)
                file.seek(place)
                file.write(b"x" * 4096)
        assert template._checksum(tmp_path / "one") != template._checksum(tmp_path / "two")

    def test_a_hole_and_zeros_are_the_same(self, tmp_path: Path) -> None:
        """Copying a cache may fill holes with zeros."""
        with (tmp_path / "holes").open("wb") as file:
            file.truncate(1 << 20)
        (tmp_path / "zeros").write_bytes(bytes(1 << 20))
        assert template._checksum(tmp_path / "holes") == template._checksum(tmp_path / "zeros")
