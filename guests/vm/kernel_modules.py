# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules of the kernel under test: where they are, and which of them a guest needs for its channel.

Distribution kernels have their virtio drivers as modules.  The agent loads them before it opens its channel, because
a call over a serial port takes four times as long.  It does not do so if LoadPin is configured, which would be
affected: it pins the origin of the first file that the kernel reads.
"""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from functools import cache
from pathlib import Path

from guests.errors import KconformError
from guests.vm.host_tools import run_host_tool
from kconfigs.kernel import Kernel

_CHANNEL = {"VIRTIO_PCI": "virtio_pci", "VIRTIO_CONSOLE": "virtio_console"}
"""The options that virtio ports need, and their modules."""

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
"""A line of .modinfo: the modules that must be loaded before it (scripts/mod/modpost.c, add_depends())."""


@cache
def virtio_modules(kernel: Kernel) -> dict[str, bytes] | None:
    """The modules for virtio ports, in the order of loading; None if they do not exist or must not be loaded."""
    config = kernel.config
    modular = [option for option in _CHANNEL if not config.builtin(option)]
    if not modular:
        return {}
    if config.enabled("SECURITY_LOADPIN") or config.enabled("MODULE_SIG_FORCE"):
        return None
    if not all(config.enabled(option) and find_module(kernel, _CHANNEL[option]) for option in modular):
        return None
    ordered: dict[str, bytes] = {}
    for option in modular:
        _add(kernel, _CHANNEL[option], ordered)
    return ordered


def _add(kernel: Kernel, name: str, ordered: dict[str, bytes]) -> None:
    """Add a module, after those that it depends on."""
    content = read_module(kernel, name)
    depends = _DEPENDS.search(content)
    for needed in depends[1].decode().split(",") if depends else ():
        if needed and needed not in ordered:
            _add(kernel, needed, ordered)
    ordered[name] = content


def find_module(kernel: Kernel, name: str) -> Path | None:
    """The file of a module of the kernel, by the module's name."""
    if kernel.modules is None:
        return None
    wanted = {name, name.replace("_", "-")}
    order = kernel.modules / "modules.order"
    if order.is_file():
        # Use the list instead of a search, which fails if a build changes the tree in the meantime.  Since 6.3, the
        # list has the names of objects, before that of modules; compressed modules are listed uncompressed.
        listed = [kernel.modules / line for line in order.read_text().split()]
        found = [path for one in listed if one.stem in wanted for path in one.parent.glob(f"{one.stem}.ko*")]
    else:
        found = [path for path in kernel.modules.rglob("*.ko*") if path.name.split(".ko")[0] in wanted]
    return min(found, default=None)


def read_module(kernel: Kernel, name: str) -> bytes:
    """The decompressed content of a module of the kernel, including its signature."""
    path = find_module(kernel, name)
    if path is None:
        raise KconformError(f"{kernel.id} has no module {name}", hint="does the flavor enable its option?")
    if path.suffix == ".zst":
        return run_host_tool(["zstd", "-dcq", str(path)])
    content = path.read_bytes()
    try:
        if path.suffix == ".xz":
            return lzma.decompress(content)
        if path.suffix == ".gz":
            return gzip.decompress(content)
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise KconformError(
            f"{path} is damaged: {error}", hint="reinstall or rebuild the kernel's modules"
        ) from error
    return content
