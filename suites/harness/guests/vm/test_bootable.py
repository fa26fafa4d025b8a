# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels can be tested: those with the options that a guest needs, and without what is in its way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guests.errors import UsageError
from guests.vm.bootable import check_bootable, required_options
from guests.vm.clone_pool import Pool
from kconfigs import flavors
from kconfigs.builtin_command_line import FIXED_COMMAND_LINE
from kconfigs.cache import Cache
from suites.harness.guests import fakes
from suites.harness.guests.fakes import UARTS, VIRTIO, cmdline

REQUIRED_OPTIONS = required_options("x86_64")


class TestBootable:
    def test_a_kernel_with_all_required_options(self, tmp_path: Path) -> None:
        check_bootable(fakes.kernel(tmp_path, fakes.BOOTABLE))

    @pytest.mark.parametrize("name", REQUIRED_OPTIONS)
    @pytest.mark.parametrize("value", ["n", "m"])
    def test_a_missing_or_modular_option_is_named_with_its_purpose(
        self, tmp_path: Path, name: str, value: str
    ) -> None:
        config = fakes.BOOTABLE.replace(f"CONFIG_{name}=y\n", f"CONFIG_{name}={value}\n")
        with pytest.raises(UsageError) as caught:
            check_bootable(fakes.kernel(tmp_path, config))
        assert caught.value.message == (
            f"fake-6.12.7/full cannot be tested: it lacks CONFIG_{name} ({REQUIRED_OPTIONS[name]})"
        )
        assert caught.value.exit_status == 4

    def test_all_missing_options_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            check_bootable(fakes.kernel(tmp_path))
        assert all(f"CONFIG_{name} " in caught.value.message for name in REQUIRED_OPTIONS)

    @pytest.mark.parametrize("name", ["CMDLINE_OVERRIDE", "CMDLINE_FORCE"])
    def test_a_kernel_that_ignores_its_command_line_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(UsageError) as caught:
            check_bootable(fakes.kernel(tmp_path, f'{fakes.BOOTABLE}CONFIG_CMDLINE="quiet"\nCONFIG_{name}=y\n'))
        assert caught.value.message == (
            f"fake-6.12.7/full cannot be tested: CONFIG_{name} makes it ignore the parameters that tests boot with"
        )
        assert caught.value.exit_status == 4

    def test_a_build_with_the_users_config_has_what_is_required(self) -> None:
        """Otherwise the kernel would be built first, and refused then."""
        asked = flavors.flavor("mine").asked()
        required = dict.fromkeys(REQUIRED_OPTIONS, "y") | dict.fromkeys(FIXED_COMMAND_LINE, "n")
        assert {name: asked[name].value for name in required} == required

    @pytest.mark.parametrize(
        ("built_in", "problem"),
        [
            ("quiet -- single", "after the -- in CONFIG_CMDLINE, the parameters that tests boot with are init's"),
            ("a" * 1025, "CONFIG_CMDLINE has 1025 bytes, which leaves too few for the parameters"),
        ],
        ids=["for-init", "too-long"],
    )
    def test_a_built_in_command_line_that_hides_parameters_is_refused(
        self, tmp_path: Path, built_in: str, problem: str
    ) -> None:
        config = f'{fakes.BOOTABLE}CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="{built_in}"\n'
        with pytest.raises(UsageError, match=re.escape(problem)):
            check_bootable(fakes.kernel(tmp_path, config))
        check_bootable(fakes.kernel(tmp_path, config.replace("CONFIG_CMDLINE_BOOL=y", "")))

    def test_a_built_in_command_line_is_allowed(self, tmp_path: Path) -> None:
        check_bootable(fakes.kernel(tmp_path, f'{fakes.BOOTABLE}CONFIG_CMDLINE="quiet"\nCONFIG_CMDLINE_BOOL=y\n'))


class TestObstacles:
    @pytest.mark.parametrize(
        ("config", "said"),
        [
            (VIRTIO + "CONFIG_INITRAMFS_FORCE=y\n", "CONFIG_INITRAMFS_FORCE (the kernel ignores the initramfs"),
            (cmdline("console=ttyS1,115200"), "CONFIG_CMDLINE (console=ttyS1,115200 writes to the port"),
            (
                cmdline("earlyprintk=serial,ttyS1"),
                "CONFIG_CMDLINE (earlyprintk=serial,ttyS1 writes to the port",
            ),
            (UARTS.format(1, 1), "CONFIG_SERIAL_8250_NR_UARTS=1 (the channel needs a second serial port"),
        ],
        ids=["initramfs", "console", "earlyprintk", "one-uart"],
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
