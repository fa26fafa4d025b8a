# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules of the kernel under test: where they are, and which of them a guest is given to talk to us.

A distribution's kernel has its virtio drivers as modules.  The agent loads them before it listens, for a call over a
serial line takes four times as long.  It never does so where LoadPin could be watching, for which the first file that
the kernel reads is everything.
"""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from functools import cache
from pathlib import Path

from guests.errors import KconformError
from guests.vm.host_tools import run_tool
from kconfigs.kernel import Kernel

_CHANNEL = {"VIRTIO_PCI": "virtio_pci", "VIRTIO_CONSOLE": "virtio_console"}
"""What a virtio port needs: the options, and their modules."""

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
"""A line of .modinfo: the modules that must be there before it, by name (scripts/mod/modpost.c, add_depends())."""


@cache
def for_virtio(kernel: Kernel) -> dict[str, bytes] | None:
    """What must be loaded, in this order, for the kernel to have virtio ports; None if it cannot or may not."""
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
    """The module, behind those that it depends on."""
    content = read_module(kernel, name)
    depends = _DEPENDS.search(content)
    for needed in depends[1].decode().split(",") if depends else ():
        if needed and needed not in ordered:
            _add(kernel, needed, ordered)
    ordered[name] = content


def find_module(kernel: Kernel, name: str) -> Path | None:
    """The file of one of the kernel's modules, by the module's name."""
    if kernel.modules is None:
        return None
    wanted = {name, name.replace("_", "-")}
    order = kernel.modules / "modules.order"
    if order.is_file():
        # What is listed is not looked for: a tree that somebody builds in changes while one walks through it. The
        # list has named objects since 6.3, and modules before; compressed ones by their plain names.
        listed = [kernel.modules / line for line in order.read_text().split()]
        found = [path for one in listed if one.stem in wanted for path in one.parent.glob(f"{one.stem}.ko*")]
    else:
        found = [path for path in kernel.modules.rglob("*.ko*") if path.name.split(".ko")[0] in wanted]
    return min(found, default=None)


def read_module(kernel: Kernel, name: str) -> bytes:
    """A module of the kernel, decompressed; its signature is a part of it."""
    path = find_module(kernel, name)
    if path is None:
        raise KconformError(f"{kernel.id} has no module {name}", hint="is the option that builds it in the flavor?")
    if path.suffix == ".zst":
        return run_tool(["zstd", "-dcq", str(path)])
    content = path.read_bytes()
    try:
        if path.suffix == ".xz":
            return lzma.decompress(content)
        if path.suffix == ".gz":
            return gzip.decompress(content)
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise KconformError(
            f"{path} is damaged: {error}", hint="install or build the kernel's modules again"
        ) from error
    return content
