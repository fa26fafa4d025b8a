# SPDX-License-Identifier: GPL-2.0-or-later
"""init_module() of a module that is larger than the memory for arguments, as those of debug kernels are."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import OK
from guests.protocol import wire
from guests.vm.kernel_modules import read_module
from suites.loadpin.support.disks_and_log import MODULE, modules


@modules
@pytest.mark.parametrize("more", [0, 2 * wire.SLOT_DATA_SIZE], ids=["as-it-is", "larger"])
def test_a_module_of_any_size_is_loaded_from_memory(guest: Guest, more: int) -> None:
    """What follows the file's last section is of no account (elf_validity_cache_copy() in kernel/module/main.c)."""
    root = guest.root("loader")
    assert root.init_module(read_module(guest.kernel, MODULE) + bytes(more)) == OK
    assert root.unload_module(MODULE) == OK
