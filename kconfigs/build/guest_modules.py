# SPDX-License-Identifier: GPL-2.0-or-later
"""The modules that guests load.  The drivers of their channel are built in (fragments/guest.config)."""

from __future__ import annotations

from kconfigs.kconfig import Config

MODULES = {
    "TEST_LKM": "lib/test_module.ko",
    "TEST_FIRMWARE": "lib/test_firmware.ko",
    "BINFMT_MISC": "fs/binfmt_misc.ko",
}
"""The module that an option builds, below the object directory."""


def loaded_by_guests(config: Config) -> list[str]:
    """Those that a kernel with this config has."""
    return [path for option, path in MODULES.items() if config.builtin("MODULES") and config[option] == "m"]
