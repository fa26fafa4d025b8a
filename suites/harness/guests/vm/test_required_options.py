# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that a kernel needs before it can be tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guests.errors import UsageError
from guests.vm import clone_pool
from guests.vm.clone_pool import check_bootable, required_options
from kconfigs import flavors
from kconfigs.builtin_command_line import FIXED_COMMAND_LINE
from kconfigs.cache import Cache
from suites.harness.guests import fakes

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
            clone_pool.check_bootable(fakes.kernel(tmp_path))
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
        kernel = fakes.kernel(tmp_path, config)
        machine = clone_pool.Pool(Cache(tmp_path))._machine(
            kernel, clone_pool.Boot(arguments=("audit=1",)), kvm=False
        )
        assert machine.arguments == (*arguments, "audit=1")
