# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot that fails is tried once more; after that, its error is raised immediately whenever it is requested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.stopwatch import Stopwatch, What
from guests.errors import BootError, KconformError, QemuError, UsageError
from guests.guest import Guest
from guests.vm import clone_pool, template
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.clone_pool import Pool
from guests.vm.qemu_command import VirtualMachine
from kconfigs.cache import Cache
from suites.harness.guests import fakes

OTHER_BOOT = Boot(arguments=("quiet",))


class Templates:
    """Replaces template.get: raises these errors one after another, and then works."""

    def __init__(self, *errors: KconformError | None) -> None:
        self.errors = list(errors)
        self.asked = 0

    def __call__(self, *_: object, **__: object) -> str:
        self.asked += 1
        if self.errors and (error := self.errors.pop(0)):
            raise error
        return "a template"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    monkeypatch.setattr(Pool, "_machine", lambda *_: fakes.machine(tmp_path))
    return Pool(Cache(tmp_path / "cache"), mode="tcg")


def test_a_boot_that_fails_is_tried_once_more(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Templates(BootError("it did not boot"))
    monkeypatch.setattr(template, "get", templates)
    assert str(pool.template(fakes.kernel(tmp_path, fakes.BOOTABLE))) == "a template"
    assert templates.asked == 2


def test_one_that_fails_twice_is_not_tried_again(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise, every test of a kernel that prints nothing would wait for the deadline."""
    templates = Templates(BootError("first"), BootError("second"))
    monkeypatch.setattr(template, "get", templates)
    kernel = fakes.kernel(tmp_path, fakes.BOOTABLE)
    for boot in (DEFAULT_BOOT, DEFAULT_BOOT, OTHER_BOOT):
        with pytest.raises(BootError, match="second"):
            pool.template(kernel, boot)
    assert templates.asked == 2


def test_a_boot_that_fails_for_its_arguments_does_not_affect_the_others(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its two attempts, the boot without arguments is tried, and works."""
    templates = Templates(BootError("first"), None, BootError("second"))
    monkeypatch.setattr(template, "get", templates)
    kernel = fakes.kernel(tmp_path, fakes.BOOTABLE)
    with pytest.raises(BootError, match="second"):
        pool.template(kernel, OTHER_BOOT)
    assert str(pool.template(kernel)) == "a template"


def test_a_kernel_on_which_no_boot_works_is_given_up(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt with the first test's arguments, and two without: not two for each of a hundred boots."""
    templates = Templates(*(BootError(f"attempt {number}") for number in (1, 2, 3)))
    monkeypatch.setattr(template, "get", templates)
    kernel = fakes.kernel(tmp_path, fakes.BOOTABLE)
    for arguments in ("first", "second", "third"):
        with pytest.raises(BootError, match="attempt 3"):
            pool.template(kernel, Boot(arguments=(arguments,)))
    assert templates.asked == 3


def test_an_error_of_qemu_is_not_tried_again(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Templates(QemuError("refused"))
    monkeypatch.setattr(template, "get", templates)
    for _ in range(3):
        with pytest.raises(QemuError, match="refused"):
            pool.template(fakes.kernel(tmp_path, fakes.BOOTABLE))
    assert templates.asked == 1


class FakeClone:
    """Replaces a guest."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    started = Guest.started

    def resume(self) -> None:
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed += 1


def test_a_spare_that_cannot_start_is_the_error_of_the_test_that_takes_it(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised once; the next call starts a new clone."""
    monkeypatch.setattr(template, "get", Templates())
    kernel = fakes.kernel(tmp_path, fakes.BOOTABLE)
    pool.template(kernel)
    clones: list[FakeClone | Exception] = [OSError("no spare"), FakeClone()]

    def clone(*_: object) -> FakeClone:
        made = clones.pop(0)
        if isinstance(made, Exception):
            raise made
        return made

    monkeypatch.setattr(Pool, "_clone", clone)
    pool.prepare(kernel)
    with pytest.raises(OSError, match="no spare"):
        pool.take(kernel)
    assert isinstance(pool.take(kernel), FakeClone)


def test_a_clone_that_does_not_answer_is_closed(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = FakeClone(QemuError("silent"))
    monkeypatch.setattr(Pool, "_clone", lambda *_: silent)
    with pytest.raises(QemuError, match="silent"):
        pool.take(fakes.kernel(tmp_path, fakes.BOOTABLE))
    assert silent.closed == 1


def test_a_spare_that_cannot_be_closed_does_not_affect_the_others(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(FakeClone):
        def close(self) -> None:
            super().close()
            raise OSError("stuck")

    monkeypatch.setattr(template, "get", Templates())
    kernel = fakes.kernel(tmp_path, fakes.BOOTABLE)
    spares = [FakeClone(), Stuck()]
    waiting = list(spares)
    monkeypatch.setattr(Pool, "_clone", lambda *_: waiting.pop(0))
    for boot in (DEFAULT_BOOT, OTHER_BOOT):
        pool.template(kernel, boot)
        pool.prepare(kernel, boot)
    pool.close()
    assert [spare.closed for spare in spares] == [1, 1]


def test_required_options_are_checked_before_kvm_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("guests.vm.clone_pool.booted", never)
    monkeypatch.setattr("guests.vm.acceleration.device_problem", lambda: None)
    with pytest.raises(UsageError, match="lacks CONFIG_"):
        Pool(Cache(tmp_path)).take(fakes.kernel(tmp_path), DEFAULT_BOOT)


class Boots:
    """A boot takes five seconds, a trial of KVM twenty, and whatever comes before a boot takes one."""

    def __init__(self, tmp_path: Path) -> None:
        self.errors: list[KconformError] = []
        """What the next boots end with."""
        self.recorded: list[tuple[What, float]] = []
        self.kernel = fakes.kernel(tmp_path, fakes.BOOTABLE)
        self._cache = Cache(tmp_path / "cache")
        self._machine = fakes.machine(tmp_path)
        self._now = 0.0

    def pool(self, mode: str) -> Pool:
        """The pool of one more process of the run."""
        watch = Stopwatch(lambda _, what, seconds: self.recorded.append((what, seconds)), lambda: self._now)
        return Pool(self._cache, mode=mode, watch=watch)

    def machine(self, *_: object) -> VirtualMachine:
        """Replaces Pool._machine."""
        self._now += 1
        return self._machine

    def make(self, _machine: object, _identity: object, directory: Path) -> None:
        """Replaces template._make."""
        self._now += 5
        if self.errors:
            raise self.errors.pop(0)
        (directory / "ram").write_text("")

    @contextmanager
    def booted(self, *_: object, **__: object) -> Iterator[None]:
        """Replaces clone_pool.booted."""
        self._now += 20
        yield


class TestDurations:
    """A boot is recorded by the process that boots, and waiting for it by every process that waits."""

    @pytest.fixture
    def boots(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boots:
        boots = Boots(tmp_path)
        monkeypatch.setattr(Pool, "_machine", boots.machine)
        monkeypatch.setattr(clone_pool, "booted", boots.booted)
        monkeypatch.setattr(template, "_make", boots.make)
        monkeypatch.setattr(template, "check", lambda _: None)
        monkeypatch.setattr(template, "template_key", lambda *_: "key")
        monkeypatch.setattr("guests.vm.acceleration.device_problem", lambda: None)
        return boots

    def test_one_process_boots_and_the_other_waits(self, boots: Boots) -> None:
        for pool in (boots.pool("tcg"), boots.pool("tcg")):
            for _ in range(2):
                pool.template(boots.kernel)
        assert boots.recorded == [("boot", 5.0), ("wait", 6.0), ("wait", 1.0)]

    def test_a_boot_that_fails_counts(self, boots: Boots) -> None:
        boots.errors = [BootError("first"), BootError("second")]
        pool = boots.pool("tcg")
        for _ in range(2):
            with pytest.raises(BootError, match="second"):
                pool.template(boots.kernel)
        assert boots.recorded == [("boot", 5.0), ("boot", 5.0), ("wait", 11.0), ("wait", 0.0)]

    def test_waiting_for_the_boot_without_arguments_is_part_of_waiting(self, boots: Boots) -> None:
        """It is tried to find out what is wrong with another boot."""
        boots.errors = [BootError(text) for text in ("other", "plain", "plain again")]
        with pytest.raises(BootError, match="plain again"):
            boots.pool("tcg").template(boots.kernel, OTHER_BOOT)
        assert boots.recorded == [*[("boot", 5.0)] * 3, ("wait", 17.0)]

    def test_the_boots_that_try_kvm_are_recorded_as_such(self, boots: Boots) -> None:
        for pool in (boots.pool("auto"), boots.pool("auto")):
            for _ in range(2):
                pool.acceleration(boots.kernel)
        assert boots.recorded == [("probe", 20.0), ("probe", 20.0), ("wait", 42.0), ("wait", 0.0)]
