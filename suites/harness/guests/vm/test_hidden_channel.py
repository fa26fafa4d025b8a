# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels whose settings hide their console, their log or their channel: shown again by arguments, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.errors import UsageError
from guests.guest import Guest
from guests.outcome import returned
from guests.vm.clone_pool import DEFAULT_BOOT, Pool, check_bootable
from guests.vm.machine_options import MachineOptions
from guests.vm.qemu_command import VirtualMachine
from kconfigs.cache import Cache
from suites.harness.guests import fakes

VIRTIO = "CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n"
UARTS = "CONFIG_SERIAL_8250_NR_UARTS={}\nCONFIG_SERIAL_8250_RUNTIME_UARTS={}\n"


def cmdline(text: str) -> str:
    return f'CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="{text}"\n'


def machine(tmp_path: Path, config: str, *arguments: str) -> VirtualMachine:
    pool = Pool(Cache(tmp_path), options=MachineOptions(arguments=arguments))
    return pool._machine(fakes.kernel(tmp_path, fakes.BOOTABLE + config), DEFAULT_BOOT, kvm=False)


class TestRefused:
    @pytest.mark.parametrize(
        ("config", "said"),
        [
            (VIRTIO + "CONFIG_INITRAMFS_FORCE=y\n", "CONFIG_INITRAMFS_FORCE (the kernel ignores the initramfs"),
            (VIRTIO + cmdline("quiet -- single"), "CONFIG_CMDLINE (after its `--`"),
            (cmdline("console=ttyS1,115200"), "CONFIG_CMDLINE (console=ttyS1,115200 writes to the port"),
            (cmdline("earlyprintk=serial,ttyS1"), "CONFIG_CMDLINE (earlyprintk=serial,ttyS1 writes to the port"),
            (UARTS.format(1, 1), "CONFIG_SERIAL_8250_NR_UARTS=1 (the channel needs a second serial port"),
        ],
        ids=["initramfs", "dashes", "console", "earlyprintk", "one-uart"],
    )
    def test_the_option_in_the_way_is_named(self, tmp_path: Path, config: str, said: str) -> None:
        kernel = fakes.kernel(tmp_path, fakes.BOOTABLE + config)
        for use in (check_bootable, Pool(Cache(tmp_path)).take):
            with pytest.raises(UsageError) as caught:
                use(kernel)
            assert caught.value.message.startswith(f"fake-6.12.7/full cannot be tested because of {said}")
            assert caught.value.exit_status == 4

    @pytest.mark.parametrize(
        "config",
        [
            "",
            VIRTIO + cmdline("console=ttynull quiet loglevel=0 rdinit=/sbin/init init=/bin/sh"),
            VIRTIO + cmdline("console=ttyS1"),
            VIRTIO + UARTS.format(1, 0),
            UARTS.format(2, 0),
            'CONFIG_CMDLINE="only -- where the boot loader gives none"\n',
            VIRTIO + 'CONFIG_INITRAMFS_SOURCE="/some/directory"\n',
            VIRTIO + "CONFIG_PANIC_ON_OOPS=y\nCONFIG_NULL_TTY=y\nCONFIG_PRINTK_CALLER=y\nCONFIG_LOG_BUF_SHIFT=12\n",
        ],
        ids=["nothing", "cmdline", "port", "no-uart", "serial", "arm64", "own-initramfs", "others"],
    )
    def test_what_arguments_overrule_is_not_in_the_way(self, tmp_path: Path, config: str) -> None:
        check_bootable(fakes.kernel(tmp_path, fakes.BOOTABLE + config))


class TestArguments:
    @pytest.mark.parametrize(
        ("config", "needed"),
        [
            (UARTS.format(4, 4), []),
            (UARTS.format(4, 0), ["8250.nr_uarts=2"]),
            (UARTS.format(4, 1), ["8250.nr_uarts=2"]),
            (VIRTIO + UARTS.format(4, 1), []),
            (VIRTIO + UARTS.format(4, 0), ["8250.nr_uarts=1"]),
            ("CONFIG_LOG_BUF_SHIFT=17\n", []),
            ("CONFIG_LOG_BUF_SHIFT=12\n", ["log_buf_len=131072"]),
            (cmdline("quiet rdinit=/sbin/init"), ["rdinit=/init"]),
            ('CONFIG_CMDLINE="rdinit=/sbin/init"\n', []),
        ],
    )
    def test_what_is_hidden_is_shown(self, tmp_path: Path, config: str, needed: list[str]) -> None:
        assert list(machine(tmp_path, config).arguments) == needed

    def test_the_users_arguments_win(self, tmp_path: Path) -> None:
        found = machine(tmp_path, "CONFIG_LOG_BUF_SHIFT=12\n", "log_buf_len=4M")
        assert found.arguments == ("log_buf_len=131072", "log_buf_len=4M")

    def test_the_length_of_the_built_in_line_counts(self, tmp_path: Path) -> None:
        assert machine(tmp_path, cmdline('a \\"b\\"')).builtin_arguments == 'a "b"'
        assert machine(tmp_path, 'CONFIG_CMDLINE="a"\n').builtin_arguments == ""


HIDING = ("quiet", "loglevel=0", "console=ttynull", "console=tty0", "printk.time=0", "oops=panic", "panic_on_warn=1")


@pytest.mark.boot(*HIDING)
def test_a_kernel_whose_arguments_hide_its_console_is_tested(guest: Guest) -> None:
    """Its messages reach the console, and so do those of the agent, which go to the last one that is named."""
    first = guest.spawn("first")
    assert first.call("getpid") == returned(first.pid)
    assert "\nLinux version" in "\n" + guest.template.console
    assert "kconform: agent: ready" in guest.template.console
