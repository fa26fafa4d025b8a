# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules of the kernel under test: where they are, and which of them a guest needs for its channel.

Distribution kernels have their virtio drivers as modules.  The agent loads them before it opens its channel, because
a call over a serial port takes four times as long.  It does not do so if LoadPin is configured, which would be
affected: it pins the origin of the first file that the kernel reads.  Nor does it if the kernel would refuse them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from common import bounded
from common.project_files import COMMAND
from common.text import printable
from guests.errors import KconformError, UsageError
from guests.vm.boot_arguments import builtin_arguments
from kconfigs import input_limits
from kconfigs.architectures import ARCHITECTURES
from kconfigs.decompression import DamagedDataError, MissingProgramError, TooLargeError, unpacked
from kconfigs.kernel import Kernel

_CONSOLE = ("VIRTIO_CONSOLE", "virtio_console")

_PACKED = {".xz": "xz", ".gz": "gzip", ".zst": "zstd"}
"""Suffixes of module files, and the formats (kconfigs.decompression)."""

_LOCKED_DOWN = ("LOCK_DOWN_KERNEL_FORCE_INTEGRITY", "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY")
"""Options with which a kernel loads no module without a signature (kernel/module/signing.c, module_sig_check())."""
_SIGNED = b"~Module signature appended~\n"
"""The end of a module with a signature (MODULE_SIG_STRING)."""

_NAMES = re.compile(rb"[A-Za-z0-9_,-]*")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
"""A line of .modinfo: the modules that must be loaded before it (scripts/mod/modpost.c, add_depends())."""


@cache
def virtio_modules(kernel: Kernel, arguments: tuple[str, ...] = ()) -> dict[str, bytes] | None:
    """The modules for virtio ports, in the order of loading; None if they do not exist or must not be loaded.

    `arguments` are those of the boot.
    """
    config = kernel.config
    architecture = ARCHITECTURES[kernel.arch]
    channel = dict([(architecture.virtio_option, architecture.virtio_module), _CONSOLE])
    modular = [option for option in channel if not config.builtin(option)]
    if not modular:
        return {}
    if config.enabled("SECURITY_LOADPIN") or config.enabled("MODULE_SIG_FORCE"):
        return None
    if not all(config.enabled(option) and find_module(kernel, channel[option]) for option in modular):
        return None
    ordered: dict[str, bytes] = {}
    for option in modular:
        _add(kernel, channel[option], ordered, ())
    needs_signatures = any(map(config.enabled, _LOCKED_DOWN)) or (
        # Without another port, the agent reports what it cannot load.
        architecture.second_port and _requires_signatures((*builtin_arguments(config).split(), *arguments))
    )
    return None if needs_signatures and not all(one.endswith(_SIGNED) for one in ordered.values()) else ordered


def _requires_signatures(arguments: Iterable[str]) -> bool:
    """Whether a kernel with these arguments refuses unsigned modules, if it has been built to be able to."""
    for word in arguments:
        name, equals, value = word.replace("-", "_").partition("=")
        if name == "lockdown" and value in {"integrity", "confidentiality"}:
            return True
        # Once it is on, it stays on (param_set_bool_enable_only()).
        if name == "module.sig_enforce" and (not equals or value[:1] in {"1", "y", "Y", "t", "T"} or value == "on"):
            return True
    return False


def _add(kernel: Kernel, name: str, ordered: dict[str, bytes], path: tuple[str, ...]) -> None:
    """The module, after those that it depends on.  `path` is what depends on it, from the first."""
    if name in path or len(path) + len(ordered) >= input_limits.MODULES:
        raise UsageError(
            f"the modules of {kernel.id} depend on each other without end: {printable(name, 80)}", hint=_HINT
        )
    content = read_module(kernel, name)
    depends = _DEPENDS.search(content)
    names = depends[1] if depends else b""
    if not _NAMES.fullmatch(names):
        raise UsageError(
            f"the module {name} of {kernel.id} is damaged: it depends on {printable(names, 80)}", hint=_HINT
        )
    for needed in names.decode().split(","):
        if needed and needed not in ordered:
            _add(kernel, needed, ordered, (*path, name))
    ordered[name] = content
    if sum(map(len, ordered.values())) > input_limits.MODULE:
        raise bounded.too_large(f"what {kernel.id} needs for virtio", input_limits.MODULE, "driver")


def find_module(kernel: Kernel, name: str) -> Path | None:
    """The file of a module of the kernel, by the module's name."""
    if kernel.modules is None:
        return None
    wanted = {name, name.replace("_", "-")}
    order = kernel.modules / "modules.order"
    if order.is_file():
        # Use the list instead of a search, which fails if a build changes the tree in the meantime.  Since 6.3, the
        # list has the names of objects, before that of modules; compressed modules are listed uncompressed.
        lines = bounded.read(order, input_limits.MODULE_LIST, "modules.order").decode(errors="replace").split()
        listed = [kernel.modules / line for line in lines if not line.startswith("/") and ".." not in line.split("/")]
        found = [path for one in listed if one.stem in wanted for path in one.parent.glob(f"{one.stem}.ko*")]
    else:
        found = [path for path in kernel.modules.rglob("*.ko*") if path.name.split(".ko")[0] in wanted]
    return min(found, default=None)


def read_module(kernel: Kernel, name: str) -> bytes:
    """A module of the kernel, decompressed; its signature is a part of it.

    KconformError if there is none; UsageError if it is damaged, or larger than input_limits.MODULE.
    """
    path = find_module(kernel, name)
    if path is None:
        raise KconformError(
            f"{kernel.id} has no module {printable(name, 80)}", hint="is the option that builds it in the flavor?"
        )
    try:
        content = bounded.read(path, input_limits.MODULE, "kernel module")
    except OSError as error:
        raise UsageError(f"{printable(path)} cannot be read: {error.strerror}", hint=_HINT) from error
    packing = _PACKED.get(path.suffix)
    if packing is None:
        return content
    try:
        return b"".join(unpacked(packing, [content], input_limits.MODULE))
    except DamagedDataError as error:
        raise UsageError(f"{printable(path)} is damaged: {error}", hint=_HINT) from error
    except TooLargeError as error:
        raise UsageError(
            f"{printable(path)} unpacks to more than {bounded.size(input_limits.MODULE)},"
            " which no kernel module does",
            hint=_HINT,
        ) from error
    except MissingProgramError as error:
        raise KconformError(str(error), hint=f"run `{COMMAND} doctor`, which can install it") from error


_HINT = "install or build the kernel's modules again"
