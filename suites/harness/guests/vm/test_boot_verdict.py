# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that crashes while it boots is accused, once, and only if another kernel boots on the same machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from guests.errors import BootCrashed, BootError
from guests.log import splats
from guests.vm import boot_verdict
from guests.vm import console as console_module
from guests.vm.boot import booted
from guests.vm.boot_verdict import controls
from guests.vm.failed_boots import FailedBoots
from guests.vm.qemu_command import VirtualMachine
from kconfigs.cache import Cache
from suites.harness.guests import fakes
from suites.harness.guests.vm.fake_boots import Playing

YAMA = "Kernel panic - not syncing: Yama: sysctl registration failed."


@pytest.mark.parametrize(
    ("log", "crash"),
    [
        pytest.param([f"[    0.1] {YAMA}"], YAMA, id="panic"),
        pytest.param(["Oops: Oops: 0002 [#1] SMP", "Kernel panic - not syncing: Fatal exception"],
                     "Oops: Oops: 0002 [#1] SMP", id="oops"),
        pytest.param(["traps: PANIC: double fault, error_code: 0x0"], "traps: PANIC: double fault, error_code: 0x0",
                     id="double-fault"),
        pytest.param(["general protection fault: 0000 [#1] SMP",
                      "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"],
                     "general protection fault: 0000 [#1] SMP", id="oops-in-init"),
        pytest.param(["WARNING: CPU: 0 PID: 1 at init/main.c:1 start+0x1/0x2"], None, id="warning"),
        pytest.param(["Kernel panic - not syncing: Attempted to kill init! exitcode=0x100"], None, id="init-ended"),
        pytest.param(["Kernel panic - not syncing: No working init found."], None, id="no-init"),
        pytest.param(["Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"], None,
                     id="no-root"),
        pytest.param(["Kernel panic - not syncing: System is deadlocked on memory"], None, id="too-little-memory"),
        pytest.param(["Kernel panic - not syncing: IO-APIC + timer doesn't work!"], None, id="busy-host"),
        pytest.param(["Kernel panic - not syncing: softlockup: hung tasks"], None, id="paused-host"),
    ],
)  # fmt: skip
def test_what_counts_as_a_crash_of_its_own(log: list[str], crash: str | None) -> None:
    assert splats.crash(log) == crash


class TestBooting:
    """What a boot says of its end; a script replaces QEMU."""

    @pytest.mark.parametrize(
        ("body", "crash"),
        [
            pytest.param(f"console('{YAMA}\\n'); sys.exit(0)", YAMA, id="panic"),
            pytest.param(
                "console('Linux\\n'); sys.exit(0)", "the machine was reset without a word", id="triple-fault"
            ),
            pytest.param("console('Linux\\n'); sys.exit(1)", "", id="error-of-qemu"),
            pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "", id="qemu-killed"),
            pytest.param("sys.stderr.write('qemu: terminating on signal 15 from pid 1')", "", id="qemu-terminated"),
        ],
    )
    def test_a_crash_is_told_from_other_ends(self, play: Playing, tmp_path: Path, body: str, crash: str) -> None:
        play(body)
        with pytest.raises(BootError) as caught, booted(fakes.machine(tmp_path)):
            pytest.fail("it cannot have booted")
        assert caught.value.crash.startswith(crash)
        assert bool(caught.value.crash) == bool(crash)

    def test_a_kernel_that_prints_nothing_may_boot_well(
        self, play: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its agent answers all the same, because it was asked before it was known to be ready."""
        monkeypatch.setattr(console_module, "_LOOK_S", 0.01)
        play(f"agent({fakes.hello_frame()!r})\nwait()\n")
        with booted(fakes.machine(tmp_path)) as guest:
            assert guest.hello.release == "6.12.7"
            assert guest.console.text() == ""


def template_of(store: Cache, tmp_path: Path, digest: str, *, qemu: str | None = None) -> Path:
    """A template in the cache, as far as a control needs it; returns the kernel's image."""
    machine = fakes.machine(tmp_path)
    image = tmp_path / digest
    image.touch()
    (tmp_path / "initramfs").touch()
    made = {
        "image": str(image),
        "initramfs": str(tmp_path / "initramfs"),
        "virtio": False,
        "arch": machine.arch,
        "qemu": {"path": qemu or machine.qemu.path},
    }
    meta = {"identity": {"kernel": digest}, "machine": made}

    def make(folder: Path) -> None:
        (folder / "meta.json").write_text(json.dumps(meta))

    store.get("templates", f"of-{digest}", make)
    return image


class TestControl:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Cache:
        return Cache(tmp_path / "cache")

    @pytest.fixture
    def boots(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[VirtualMachine]:
        """The machines that were booted: the kernel under test, with more memory, and controls.

        Neither the kernel under test boots, nor images named bad.
        """
        tried: list[VirtualMachine] = []

        @contextlib.contextmanager
        def fake(machine: VirtualMachine) -> Iterator[None]:
            tried.append(machine)
            if machine.image.name.startswith("bad") or machine.image == fakes.machine(tmp_path).image:
                raise BootError("it does not boot")
            yield

        monkeypatch.setattr(boot_verdict, "booted", fake)
        return tried

    def verdict(self, store: Cache, tmp_path: Path, crash: str = YAMA) -> BootError | BootCrashed:
        error = BootError("the kernel did not boot", console="Linux\n", crash=crash)
        return boot_verdict.of(error, fakes.kernel(tmp_path), fakes.machine(tmp_path), store)

    def test_with_a_kernel_that_boots_it_is_the_kernels_fault(
        self, store: Cache, tmp_path: Path, boots: list[VirtualMachine]
    ) -> None:
        """The control has the machine of the failed boot, but for the kernel; that was tried with more memory."""
        image = template_of(store, tmp_path, "good")
        error = self.verdict(store, tmp_path)
        assert isinstance(error, BootCrashed)
        assert YAMA in error.message
        assert error.verdict == "fail"
        assert error.evidence == {"console": "Linux\n"}
        again, control = boots
        assert (again.image, again.memory_mib) == (fakes.machine(tmp_path).image, 1024)
        assert (control.image, control.memory_mib) == (image, 128)
        assert control.arguments == fakes.machine(tmp_path).arguments

    def test_where_nothing_boots_it_is_an_error(
        self, store: Cache, tmp_path: Path, boots: list[VirtualMachine]
    ) -> None:
        template_of(store, tmp_path, "bad")
        error = self.verdict(store, tmp_path)
        assert isinstance(error, BootError)
        assert "no other kernel boots on this machine either" in error.message
        assert len(boots) == 2

    def test_without_another_kernel_it_is_an_error(
        self, store: Cache, tmp_path: Path, boots: list[VirtualMachine]
    ) -> None:
        template_of(store, tmp_path, "of-another-qemu", qemu="/other/qemu")
        template_of(store, tmp_path, fakes.kernel(tmp_path).digest)
        template_of(store, tmp_path, "removed").unlink()
        error = self.verdict(store, tmp_path)
        assert isinstance(error, BootError)
        assert "no other kernel has booted" in error.message
        assert [machine.image for machine in boots] == [fakes.machine(tmp_path).image]

    def test_with_too_little_memory_it_is_an_error(
        self, store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A smaller kernel boots on the same machine, which is no reason to blame a larger one."""
        template_of(store, tmp_path, "good")
        monkeypatch.setattr(boot_verdict, "booted", lambda _: contextlib.nullcontext())
        error = self.verdict(store, tmp_path)
        assert isinstance(error, BootError)
        assert f"the kernel needs more than 128 MiB of memory to boot ({YAMA})" in error.message
        assert error.hint == "--memory=512M, for example"
        assert error.evidence == {"console": "Linux\n"}

    def test_without_a_crash_no_control_is_tried(
        self, store: Cache, tmp_path: Path, boots: list[VirtualMachine]
    ) -> None:
        template_of(store, tmp_path, "good")
        assert isinstance(self.verdict(store, tmp_path, crash=""), BootError)
        assert boots == []

    def test_a_damaged_template_is_no_control(self, store: Cache, tmp_path: Path) -> None:
        template_of(store, tmp_path, "good")
        for meta in store.root.rglob("meta.json"):
            meta.write_text("{")
        assert list(controls(store, fakes.machine(tmp_path), "another")) == []


class TestFailedBoots:
    """Two processes of a run, which share a folder."""

    @pytest.fixture
    def both(self, tmp_path: Path) -> tuple[FailedBoots, FailedBoots]:
        return FailedBoots(tmp_path / "boots"), FailedBoots(tmp_path / "boots")

    def test_a_crash_is_reported_once(self, both: tuple[FailedBoots, FailedBoots]) -> None:
        """The other process does not try, and its error says who reports it."""
        first, second = both
        with pytest.raises(BootCrashed), first.of("kernel", "boot"):
            raise BootCrashed("the kernel does not boot", evidence={"console": "Linux"})
        with pytest.raises(BootError, match="another test reports it") as caught, second.of("kernel", "boot"):
            pytest.fail("it tried")
        assert caught.value.evidence == {"console": "Linux"}

    @pytest.mark.parametrize("whole", [True, False])
    def test_other_boots_of_the_kernel(self, both: tuple[FailedBoots, FailedBoots], whole: bool) -> None:
        first, second = both
        with pytest.raises(BootError), first.of("kernel", "boot", whole_kernel=whole):
            raise BootError("it did not boot")
        tried = []
        with contextlib.suppress(BootError), second.of("kernel", "another boot"):
            tried.append("another boot")
        with second.of("another kernel", "boot"):
            tried.append("another kernel")
        assert tried == (["another kernel"] if whole else ["another boot", "another kernel"])

    def test_an_error_that_is_none_of_ours_is_not_remembered(self, both: tuple[FailedBoots, FailedBoots]) -> None:
        first, second = both
        with pytest.raises(KeyboardInterrupt), first.of("kernel", "boot"):
            raise KeyboardInterrupt
        with second.of("kernel", "boot"):
            pass
