# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments that a kernel needs because its settings hide its console, its log or an entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.guest import Guest
from guests.outcome import returned
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.clone_pool import Pool
from guests.vm.machine_options import MachineOptions
from guests.vm.qemu_command import VirtualMachine
from kconfigs.cache import Cache
from suites.harness.guests import fakes
from suites.harness.guests.fakes import UARTS, VIRTIO, cmdline


def machine(tmp_path: Path, config: str, *arguments: str) -> VirtualMachine:
    pool = Pool(Cache(tmp_path), options=MachineOptions(arguments=arguments))
    return pool._machine(fakes.kernel(tmp_path, fakes.BOOTABLE + config), DEFAULT_BOOT, kvm=False)


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

    @pytest.mark.parametrize(
        ("config", "arguments"),
        [
            ("CONFIG_X86_X32=y\nCONFIG_IA32_EMULATION=y\n", ()),
            ("CONFIG_X86_X32=y\nCONFIG_X86_X32_DISABLED=y\n", ("syscall.x32=y",)),
            ("CONFIG_IA32_EMULATION=y\nCONFIG_IA32_EMULATION_DEFAULT_DISABLED=y\n", ("ia32_emulation=1",)),
        ],
        ids=["open", "x32", "int-0x80"],
    )
    def test_disabled_entries_are_enabled(self, tmp_path: Path, config: str, arguments: tuple[str, ...]) -> None:
        boot = Boot(arguments=("audit=1",))
        found = Pool(Cache(tmp_path))._machine(fakes.kernel(tmp_path, config), boot, kvm=False)
        assert found.arguments == (*arguments, "audit=1")


HIDING = ("quiet", "loglevel=0", "console=ttynull", "console=tty0", "printk.time=0", "oops=panic", "panic_on_warn=1")


@pytest.mark.boot(*HIDING)
def test_a_kernel_whose_arguments_hide_its_console_is_tested(guest: Guest) -> None:
    """Its messages reach the console, and so do those of the agent, which go to the last one that is named."""
    first = guest.spawn("first")
    assert first.call("getpid") == returned(first.pid)
    assert "\nLinux version" in "\n" + guest.template.console
    assert "kconform: agent: ready" in guest.template.console
