# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels, trees and packages that are as small as they can be and still look right."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import struct
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest

from common.errors import UsageError
from kconfigs.build.build_progress import BuildProgress
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt
from kconfigs.fetch import fetch, source_tree
from kconfigs.kernel import Kernel
from kconfigs.resolve import resolve
from kconfigs.sources import Source, SourcePackage
from kconfigs.spec import parse

RELEASE = "6.12.7-fake"
PACKAGE = f"linux-image-{RELEASE}"

CONFIG = """\
CONFIG_64BIT=y
CONFIG_INIT_ENV_ARG_LIMIT=32
CONFIG_MODULES=y
CONFIG_LSM="loadpin,yama"
# CONFIG_SECURITY_YAMA is not set
"""


def bzimage(
    *,
    release: str = RELEASE,
    config: str | None = None,
    packed: str = "gzip",
    is_64bit: bool = True,
    build: str = "#1",
) -> bytes:
    """An x86 image: real header, a payload that holds a configuration or none."""
    kernel = b"Linux version " + release.encode() + b" (us) #1\0"
    if config is not None:
        kernel += b"IKCFG_ST" + gzip.compress(config.encode(), mtime=0) + b"IKCFG_ED"
    compressed = {"gzip": lambda data: gzip.compress(data, mtime=0), "xz": lzma.compress, "none": bytes}.get(packed)
    if compressed is None:
        done = subprocess.run([packed, "-c"], input=kernel, capture_output=True, check=True)
        payload = done.stdout
    else:
        payload = compressed(kernel)
    if packed != "gzip":  # whose format ends with the size; Kbuild appends it to the others
        payload += struct.pack("<I", len(kernel))
    setup = bytearray(2 * 512)
    setup[0x1F1] = 1
    body = payload + b"\0" * (-len(payload) % 16)
    struct.pack_into("<I", setup, 0x1F4, len(body) // 16)
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<HH", setup, 0x206, 0x20F, 0)
    struct.pack_into("<H", setup, 0x20E, 0x300 - 0x200)
    struct.pack_into("<H", setup, 0x236, int(is_64bit))
    struct.pack_into("<II", setup, 0x248, 0, len(payload))
    banner = f"{release} (us) {build}\0".encode()
    setup[0x300 : 0x300 + len(banner)] = banner
    return bytes(setup) + body


MAKEFILE = """\
# SPDX-License-Identifier: GPL-2.0
VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 7
EXTRAVERSION =
MARKS = @MARKS@

ifneq ($(words $(subst :, ,$(CURDIR))), 1)
$(error source directory cannot contain spaces or colons)
endif

allnoconfig:
	@test ! -e $(CURDIR)/broken-config || { echo 'Kconfig:3: syntax error'; exit 1; }
	@cp "$$KCONFIG_ALLCONFIG" $(O)/.config
olddefconfig:
	@grep -v -x -F -f $(CURDIR)/dropped $(O)/.config > $(O)/new || true
	@mv $(O)/new $(O)/.config
syncconfig:
	@test -n "$$CCACHE_DISABLE"
bzImage:
	@echo "nocpp2: $$CCACHE_NOCPP2."
	@echo '  HOSTCC  scripts/tool.o'
	@echo '  CC      init/main.o'
	@echo '  CC [M]  lib/test_module.o'
	@test ! -e $(CURDIR)/broken-source || { echo 'security/yama/yama.c:7:1: error: expected semicolon'; exit 1; }
	@test ! -e $(CURDIR)/endless || { touch $(MARKS)/begun; sleep 987654; }
	@mkdir -p $(O)/arch/x86/boot $(O)/include/config $(O)/lib
	@cp $(CURDIR)/image.bin $(O)/arch/x86/boot/bzImage
	@echo 6.12.7-fake > $(O)/include/config/kernel.release
	@echo one >> $(MARKS)/builds
	@: > $(O)/System.map
	@: > $(O)/vmlinux
modules:
	@mkdir -p $(O)/lib
	@echo lib/test_module.o > $(O)/modules.order
	@echo lib/test_firmware.o >> $(O)/modules.order
	@for name in test_module test_firmware; do echo module > $(O)/lib/$$name.ko; done
%.ko:
	@mkdir -p $(O)/$(dir $@)
	@echo module > $(O)/$@
	@rm -f $(O)/modules.order
mrproper:
	@rm -f .config
"""

KCONFIG = """\
mainmenu "Fake"

config MODULES
	bool "Modules"
	modules

config SECURITY
	bool "Security"

config SECURITY_YAMA
	bool "Yama"
	depends on SECURITY && !SECURITY_OTHER

config SECURITY_OTHER
	bool "Other"
	depends on SECURITY if MODULES

config OLD_NAME
	bool
	transitional
"""


def tree(path: Path, *, dropped: Sequence[str] = ()) -> Path:
    """A kernel tree with a Makefile that plays Kbuild, and drops the lines of a .config that it is told to.

    Each build adds a line to the file `builds` beside the tree.
    """
    path.mkdir(parents=True)
    (path / "Makefile").write_text(MAKEFILE.replace("@MARKS@", str(path.parent)))
    (path / "Kconfig").write_text(KCONFIG)
    (path / "image.bin").write_bytes(bzimage())
    (path / "dropped").write_text("".join(f"{line}\n" for line in dropped))
    (path / "kernel.c").write_text("int main;\n")
    return path


def deb(path: Path, control: Mapping[str, str], files: Mapping[str, bytes]) -> Path:
    """A Debian package: an ar archive of a version, a control archive and a data archive."""
    fields = {"Version": "6.12.7-1", "Architecture": "amd64", "Maintainer": "Us <us@lists.debian.org>", **control}
    text = "".join(f"{name}: {value}\n" for name, value in fields.items())
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": text.encode()}),
        "data.tar.gz": _tar(files),
    }
    content = b"!<arch>\n"
    for name, data in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        content += b"\n" * (len(data) % 2)
    path.write_bytes(content)
    return path


def kernel_deb(path: Path, name: str = PACKAGE, with_config: bool = True, **control: str) -> Path:
    """A package with a kernel, its configuration and one module."""
    files = {
        f"./boot/vmlinuz-{RELEASE}": bzimage(),
        f"./boot/config-{RELEASE}": CONFIG.encode(),
        f"./lib/modules/{RELEASE}/kernel/fs/a.ko": b"module",
        "./usr/share/doc/changelog": b"no",
    }
    if not with_config:
        del files[f"./boot/config-{RELEASE}"]
    return deb(path, {"Package": name, **control}, files)


def source_deb(path: Path, name: str = "linux-source-6.12", packed: str = "xz") -> Path:
    """A package with a tree in a tarball, as distributions ship the kernel's source."""
    tarball = _tar({f"{name}/Makefile": MAKEFILE.encode(), f"{name}/Kconfig": KCONFIG.encode()}, packed)
    return deb(path, {"Package": name, "Architecture": "all"}, {f"./usr/src/{name}.tar.{packed}": tarball})


def _tar(files: Mapping[str, bytes], packed: str = "gz") -> bytes:
    out = io.BytesIO()
    modes: dict[str, Literal["w:gz", "w:xz", "w:bz2"]] = {"gz": "w:gz", "xz": "w:xz", "bz2": "w:bz2"}
    with tarfile.open(fileobj=out, mode=modes[packed]) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Resolved:
    """What a SPEC names, with a cache and an apt of the test's own."""

    def __init__(self, source: Source, cache: Cache, apt: Apt | None) -> None:
        self.source = source
        self._cache, self._apt = cache, apt

    def kernel(self, flavor: str | None = None, progress: BuildProgress | None = None) -> Kernel:
        return fetch(self.source, flavor, progress, cache=self._cache, apt=self._apt)

    def tree(self) -> Path:
        assert isinstance(self.source, SourcePackage)
        return source_tree(self.source, cache=self._cache, apt=self._apt)


def resolved(
    spec: str,
    *,
    kernel_config: Path | None = None,
    modules: Path | None = None,
    cache: Cache | None = None,
    apt: Apt | None = None,
) -> Resolved:
    cache = cache or Cache()
    source = resolve(parse(spec), kernel_config=kernel_config, modules=modules, cache=cache, apt=apt)
    return Resolved(source, cache, apt)


def refusal(tmp_path: Path, name: str, content: bytes) -> UsageError:
    """The error that a file of that name ends in; nothing is left of it."""
    path = tmp_path / "in" / name
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
    assert caught.value.exit_status == 4
    assert caught.value.hint
    assert "\n" not in caught.value.message
    left = [one for one in tmp_path.rglob("*") if one != path and not one.is_dir() and ".locks" not in one.parts]
    assert left == []
    return caught.value


def compilers(folder: Path) -> list[int]:
    """The processes of an endless compilation below the folder that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # The shell of the recipe names the tree; its child only sleeps.
            if str(folder).encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def until(condition: Callable[[], object]) -> None:
    """Wait for the condition, at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
