# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines: what is kept of virtme-run's, what is added, and that template and clone have the same devices."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import QemuError, UsageError
from guests.vm import qemu_command
from guests.vm.qemu_command import (
    TITLE_SPACE,
    Disk,
    VirtualMachine,
    base_command,
    memory_options,
    parse_shown,
    virtme_run,
)
from suites.harness.guests import fakes

HERE = Path("/boot")
MACHINE = fakes.machine(HERE)

SHOWN = """\
/opt/bin/qemu-system-x86_64 -m 128M -smp 1 -machine q35 -cpu max -vga none -display none -parallel none -net none
 -fsdev local,id=virtfs0,path=/empty,security_model=none,readonly=on
 -device virtio-9p-pci,fsdev=virtfs0,mount_tag=/dev/root
 -device i6300esb,id=watchdog0 -echr 1 -chardev stdio,id=console,signal=off,mux=on -serial chardev:console
 -mon chardev=console -device virtio-serial-pci -device virtconsole,chardev=console -no-reboot
 -kernel /boot/bzImage -initrd /boot/initramfs.cpio
 -append 'virtme_hostname=x console=hvc0 nr_open=9 psmouse.proto=exps TERM=dumb quiet loglevel=1 rootfstype=9p
 rootflags=trans=virtio ro init=/bin/sh -- -c "exec /init; mount -t proc"'
""".replace("\n ", " ")
"""Output of virtme-run, modelled on real output."""

KEPT = {
    "-m": "128M",
    "-smp": "1",
    "-machine": "q35",
    "-cpu": "max,-cx16",
    "-vga": "none",
    "-display": "none",
    "-kernel": "/boot/bzImage",
    "-initrd": "/boot/initramfs.cpio",
}


def composed(machine: VirtualMachine = MACHINE, shown: str = SHOWN) -> list[str]:
    return base_command(parse_shown(shown), machine)


def values(words: Sequence[str], option: str) -> list[str]:
    return [value or "" for name, value in qemu_command.options(words[1:]) if name == option]


def arguments(machine: VirtualMachine) -> list[str]:
    (line,) = values(composed(machine), "-append")
    return line.split()


class TestVirtmeRun:
    def test_no_choice_of_virtme_run_depends_on_the_host(self) -> None:
        words = virtme_run(MACHINE, program="virtme-run", root=Path("/empty"))
        assert words[0] == "virtme-run"
        assert shlex.join(words[1:]) == (
            "--kimg /boot/bzImage --root /empty --arch x86_64 --qemu-bin qemu-system-x86_64"
            " --mods none --force-9p --cpus 1 --memory 128M --disable-kvm --disable-microvm --dry-run --show-command"
            " --qemu-opts -initrd /boot/initramfs.cpio"
        )

    def test_properties_of_the_machine(self) -> None:
        """They are those of the architecture: on arm, PCI is where every kernel can reach it."""
        words = virtme_run(replace(MACHINE, arch="arm"), program="virtme-run", root=Path("/empty"))
        assert words[words.index("--qemu-opts") :][-2:] == ["-machine", "highmem=off"]
        assert "-machine" not in virtme_run(MACHINE, program="virtme-run", root=Path("/empty"))

    def test_virtme_run_may_use_kvm_only_if_it_works(self) -> None:
        words = virtme_run(replace(MACHINE, kvm=True), program="virtme-run", root=Path("/empty"))
        assert "--disable-kvm" not in words

    @pytest.mark.parametrize(("arch", "cpus"), [("x86_64", "4,sockets=4"), ("i386", "4,sockets=4"), ("aarch64", "4")])
    def test_processors_and_memory(self, arch: str, cpus: str) -> None:
        """On x86, a kernel without ACPI sees one processor of each socket."""
        machine = replace(MACHINE, arch=arch, cpus=4, memory_mib=512)
        words = virtme_run(machine, program="virtme-run", root=Path("/empty"))
        assert words[words.index("--cpus") :][:4] == ["--cpus", cpus, "--memory", "512M"]

    def test_the_command_is_the_last_line_that_it_prints(self) -> None:
        assert parse_shown("a warning\n\nqemu-system-x86_64 -append 'a b'\n\n") == [
            "qemu-system-x86_64",
            "-append",
            "a b",
        ]

    def test_the_program_may_have_any_name(self) -> None:
        shown = "'/opt/my emulator' -append 'a b'\n"
        assert parse_shown(shown, "/opt/my emulator") == ["/opt/my emulator", "-append", "a b"]

    @pytest.mark.parametrize(("output", "said"), [("", "no output"), ("\n \n", "no output"), ("Oh no\n", "Oh no")])
    def test_output_without_a_command_is_an_error_that_quotes_it(self, output: str, said: str) -> None:
        with pytest.raises(QemuError, match=f"no QEMU command: {said}") as caught:
            parse_shown(output)
        assert "version of virtme-ng" in caught.value.hint


CCW = replace(MACHINE, arch="s390x", qemu=replace(MACHINE.qemu, path="qemu-system-s390x"))
SHOWN_FOR_CCW = SHOWN.replace("-machine q35 -cpu max", "-M s390-ccw-virtio")


class TestChannelIo:
    def test_devices_are_of_the_machines_kind(self) -> None:
        disks = (Disk(HERE / "a.img"), Disk(HERE / "share", shared=True))
        words = composed(replace(CCW, disks=disks), SHOWN_FOR_CCW)
        kinds = [value.partition(",")[0] for value in values(words, "-device")]
        assert kinds == ["virtio-serial-ccw", "virtserialport", "virtio-blk-ccw", "virtio-9p-ccw"]

    def test_the_processor_is_ours_where_virtme_run_names_none(self) -> None:
        assert values(composed(CCW, SHOWN_FOR_CCW), "-cpu") == ["max"]
        assert values(composed(replace(CCW, kvm=True), SHOWN_FOR_CCW), "-cpu") == []

    def test_the_console_and_the_length_of_the_command_line(self) -> None:
        (line,) = values(composed(CCW, SHOWN_FOR_CCW), "-append")
        assert "console=ttysclp0" in line.split()
        long = replace(CCW, arguments=(f"a={'b' * 800}",))
        with pytest.raises(UsageError, match="s390x truncates it to 895"):
            composed(long, SHOWN_FOR_CCW)
        assert "b" * 800 in shlex.join(composed(replace(long, command_line_size=4096), SHOWN_FOR_CCW))


class TestBaseCommand:
    def test_options_that_define_the_machine_are_kept(self) -> None:
        words = composed()
        assert words[0] == "/opt/bin/qemu-system-x86_64"
        assert {option: values(words, option) for option in KEPT} == {
            option: [value] for option, value in KEPT.items()
        }

    def test_an_emulated_processor_has_the_properties_that_a_test_asks_for(self) -> None:
        machine = replace(MACHINE, processor=("family=23", "+ssbd"))
        assert values(composed(machine), "-cpu") == ["max,-cx16,family=23,+ssbd"]
        sound = replace(machine, qemu=replace(MACHINE.qemu, version=(8, 0)))
        assert values(composed(sound), "-cpu") == ["max,family=23,+ssbd"]
        real = composed(replace(machine, kvm=True), SHOWN.replace("-cpu max", "-cpu host"))
        assert values(real, "-cpu") == ["host"]

    def test_a_processor_that_virtme_run_leaves_to_qemu_is_named(self) -> None:
        foreign = replace(MACHINE, arch="riscv64")
        shown = SHOWN.replace("-cpu max ", "")
        assert values(composed(foreign, shown), "-cpu") == ["rv64"]
        assert values(composed(replace(foreign, processor=("v=on",)), shown), "-cpu") == ["rv64,v=on"]
        assert values(composed(replace(foreign, kvm=True), shown), "-cpu") == []

    def test_other_options_of_virtme_run_are_removed(self) -> None:
        """Its shares, consoles, watchdog and ports are removed, and QEMU adds no default devices."""
        words = composed()
        ours = {"-nodefaults", "-no-user-config", "-no-reboot", "-serial", "-device", "-append"}
        assert {option for option, _ in qemu_command.options(words[1:])} == {*KEPT, *ours}
        assert values(words, "-serial") == ["chardev:console"]
        assert values(words, "-device") == [
            "virtio-serial-pci",
            "virtserialport,chardev=agent,name=org.kconform.agent",
        ]
        assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(words)

    def test_qemu_confines_itself_if_it_can(self) -> None:
        assert values(composed(), "-sandbox") == []
        (policy,) = values(composed(replace(MACHINE, qemu=replace(MACHINE.qemu, sandboxed=True))), "-sandbox")
        assert policy == "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

    def test_a_guest_has_no_network(self) -> None:
        """virtme-run gives it none either; nothing that it may add one day is kept."""
        shown = SHOWN.replace("-net none", "-netdev user,id=n -device virtio-net-pci,netdev=n -nic user")
        assert not {"-net", "-netdev", "-nic"} & set(composed(shown=shown))
        assert not [device for device in values(composed(shown=shown), "-device") if "net" in device]

    def test_a_clone_does_not_read_the_kernel_again(self) -> None:
        words = composed()
        clone = qemu_command.clone_command(words)
        assert set(words) - set(clone) == {
            *("-kernel", "-initrd", "-append"),
            *(values(words, option)[0] for option in ("-kernel", "-initrd", "-append")),
        }
        assert clone == [word for word in words if word in clone]
        assert clone[0] == words[0]

    def test_kvm_is_kept_if_virtme_run_chose_it(self) -> None:
        shown = SHOWN.replace("-machine q35", "-machine accel=kvm:tcg,q35 -enable-kvm -accel kvm")
        words = composed(replace(MACHINE, kvm=True), shown.replace("-cpu max", "-cpu host"))
        assert values(words, "-cpu") == ["host"]
        assert "-enable-kvm" in words
        assert values(words, "-accel") == ["kvm"]
        assert values(words, "-machine") == ["accel=kvm:tcg,q35"]

    def test_a_kernel_without_virtio_gets_a_second_serial_port(self) -> None:
        machine = replace(MACHINE, virtio=False)
        words = composed(machine)
        assert values(words, "-serial") == ["chardev:console", "chardev:agent"]
        assert values(words, "-device") == []
        assert "kconform.channel=serial" in arguments(machine)

    def test_disks_keep_their_order_and_are_never_modified(self) -> None:
        disks = (Disk(Path("/a,b/one")), Disk(Path("/two"), read_only=True))
        words = composed(replace(MACHINE, disks=disks))
        assert values(words, "-drive") == [
            "if=none,id=disk0,format=raw,file=/a,,b/one,snapshot=on",
            "if=none,id=disk1,format=raw,file=/two,readonly=on",
        ]
        assert values(words, "-device")[2:] == ["virtio-blk-pci,drive=disk0", "virtio-blk-pci,drive=disk1"]

    def test_a_shared_directory_is_read_only(self) -> None:
        words = composed(replace(MACHINE, disks=(Disk(Path("/a,b"), shared=True),)))
        assert values(words, "-fsdev") == ["local,id=disk0,path=/a,,b,security_model=none,readonly=on"]
        assert values(words, "-device")[2:] == ["virtio-9p-pci,fsdev=disk0,mount_tag=disk0"]
        assert values(words, "-drive") == []


class TestKernelArguments:
    def test_arguments_for_virtmes_init_are_removed(self) -> None:
        assert arguments(MACHINE) == [
            "psmouse.proto=exps",
            "ro",
            *("ignore_loglevel", "panic=-1", "kconform.channel=virtio"),
            *("tsc=reliable", "no_timer_check"),
            *("console=ttyS0", "--", TITLE_SPACE),
        ]

    def test_a_kernel_leaves_alone_what_qemu_writes_into_a_clone(self) -> None:
        assert "mem=240M" in arguments(replace(MACHINE, arch="ppc64le", memory_mib=256))
        assert not [word for word in arguments(MACHINE) if word.startswith("mem=")]

    def test_the_arguments_of_a_test_override_others(self) -> None:
        machine = replace(MACHINE, arguments=("lsm=yama", "loadpin.enforce=0"))
        words = arguments(machine)
        assert words[-5:] == ["lsm=yama", "loadpin.enforce=0", "console=ttyS0", "--", TITLE_SPACE]

    def test_no_other_console_comes_after_ours(self) -> None:
        words = arguments(replace(MACHINE, arguments=("console=ttynull",)))
        assert [word for word in words if word.startswith("console=")] == ["console=ttynull", "console=ttyS0"]

    @pytest.mark.parametrize("word", ["console=ttyS1", "earlyprintk=serial,ttyS1", "earlycon=uart8250,io,0x2f8"])
    def test_the_port_of_the_channel_is_rejected_as_a_console(self, word: str) -> None:
        assert word in arguments(replace(MACHINE, arguments=(word,)))
        with pytest.raises(UsageError, match="takes the serial port that the host needs"):
            composed(replace(MACHINE, virtio=False, arguments=(word,)))

    def test_the_title_has_space_for_any_name_and_no_blanks(self) -> None:
        assert len(TITLE_SPACE) > 16
        assert not set(TITLE_SPACE) & set(" \"'=.")

    def test_a_line_that_x86_would_truncate_is_rejected(self) -> None:
        used = len(" ".join(arguments(replace(MACHINE, arguments=("",)))))
        fits = replace(MACHINE, arguments=("x" * (2047 - used - 1),))
        (line,) = values(composed(fits), "-append")
        assert len(line) == 2047
        with pytest.raises(UsageError, match="has 2048 bytes"):
            composed(replace(MACHINE, arguments=("x" * (2047 - used),)))
        with pytest.raises(UsageError, match="has 2053 bytes, 6 of them from CONFIG_CMDLINE"):
            composed(replace(fits, builtin_arguments="quiet"))


class TestTemplateAndClone:
    def test_they_only_differ_in_how_memory_is_shared(self) -> None:
        template = memory_options(Path("/x"), 128, shared=True)
        clone = memory_options(Path("/x"), 128, shared=False)
        assert template == [
            *("-object", "memory-backend-file,id=ram,size=128M,mem-path=/x,share=on"),
            *("-machine", "memory-backend=ram"),
        ]
        assert [word.replace("share=off", "share=on") for word in clone] == template
        assert clone != template

    def test_a_comma_in_the_path_of_the_memory_is_doubled(self) -> None:
        assert "mem-path=/a,,b," in memory_options(Path("/a,b"), 64, shared=True)[1]

    def test_the_hosts_ends_are_descriptors_instead_of_paths(self) -> None:
        words = qemu_command.channel_options(agent=5, qmp=6, console="file,id=console,path=/proc/self/fd/7")
        assert words == [
            *("-chardev", "socket,id=agent,fd=5"),
            *("-chardev", "socket,id=qmp,fd=6"),
            *("-mon", "chardev=qmp,mode=control"),
            *("-chardev", "file,id=console,path=/proc/self/fd/7"),
        ]

    def test_the_command_runs_under_a_parent_death_signal(self) -> None:
        assert qemu_command.dying_with_parent(["qemu", "-x"]) == [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
            "qemu",
            "-x",
        ]
