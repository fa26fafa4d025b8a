# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot be booted is found out once, after one more try, and then told at once to whoever asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.errors import BootError, KconformError, QemuError, UsageError
from guests.vm import template
from guests.vm.pool import DEFAULT_BOOT, REQUIRED_OPTIONS, Boot, Pool
from kconfigs.cache import Cache
from suites.harness.guests import fakes

BOOTABLE = "".join(f"CONFIG_{option}=y\n" for option in REQUIRED_OPTIONS)
OTHER_BOOT = Boot(arguments=("quiet",))


class Templates:
    """Takes the place of template.get: fails so often with these errors, and then works."""

    def __init__(self, *errors: KconformError) -> None:
        self.errors = list(errors)
        self.asked = 0

    def __call__(self, *_: object, **__: object) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "a template"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    monkeypatch.setattr(Pool, "_machine", lambda *_: fakes.machine(tmp_path))
    return Pool(Cache(tmp_path / "cache"), mode="tcg")


def test_a_boot_that_fails_is_tried_once_more(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Templates(BootError("it did not boot"))
    monkeypatch.setattr(template, "get", templates)
    assert str(pool.template(fakes.kernel(tmp_path, BOOTABLE))) == "a template"
    assert templates.asked == 2


def test_one_that_fails_twice_is_not_tried_again(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day's worth of deadlines for one kernel that prints nothing would say no more than the first."""
    templates = Templates(BootError("first"), BootError("second"))
    monkeypatch.setattr(template, "get", templates)
    kernel = fakes.kernel(tmp_path, BOOTABLE)
    for _ in range(3):
        with pytest.raises(BootError, match="second"):
            pool.template(kernel)
    assert templates.asked == 2
    assert str(pool.template(kernel, OTHER_BOOT)) == "a template", "another boot is another matter"


def test_a_qemu_that_refuses_is_not_asked_twice(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Templates(QemuError("refused"))
    monkeypatch.setattr(template, "get", templates)
    for _ in range(3):
        with pytest.raises(QemuError, match="refused"):
            pool.template(fakes.kernel(tmp_path, BOOTABLE))
    assert templates.asked == 1


def test_whether_a_kernel_can_be_booted_is_looked_at_before_kvm_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("guests.vm.pool.booted", never)
    monkeypatch.setattr("guests.vm.acceleration.device_problem", lambda: None)
    with pytest.raises(UsageError, match="lacks CONFIG_"):
        Pool(Cache(tmp_path)).take(fakes.kernel(tmp_path), DEFAULT_BOOT)
