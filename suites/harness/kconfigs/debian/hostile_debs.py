# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of a kernel, to which a test adds what makes them hostile."""

from __future__ import annotations

from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import member, packed, tar
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.fake_kernels import PACKAGE

CONTROL = f"Package: {PACKAGE}\nVersion: 6.12.7-1\nArchitecture: amd64\nMaintainer: Us <us@lists.debian.org>\n"
MODULES = f"./lib/modules/{fakes.RELEASE}"
VMLINUZ = member(f"./boot/vmlinuz-{fakes.RELEASE}", fakes.bzimage())
CONFIG = member(f"./boot/config-{fakes.RELEASE}", fakes.CONFIG.encode())
SUFFIX = {"gzip": "gz", "xz": "xz", "zstd": "zst", "bzip2": "bz2"}


def package(
    *files: bytes, control: str | bytes = CONTROL, packing: str = "gzip", sizes: dict[str, str] | None = None
) -> bytes:
    """A package with a kernel and these files."""
    text = control.encode() if isinstance(control, str) else control
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": packed("gzip", tar(member("./control", text))),
        f"data.tar.{SUFFIX[packing]}": packed(packing, tar(VMLINUZ, CONFIG, *files)),
    }
    return hostile.ar(members, sizes)


def with_data(data: bytes, name: str = "data.tar.gz") -> bytes:
    """A package with this archive of files."""
    control = packed("gzip", tar(member("./control", CONTROL.encode())))
    return hostile.ar({"debian-binary": b"2.0\n", "control.tar.gz": control, name: data})


def with_control(control: bytes) -> bytes:
    """A package with this archive of control files."""
    return hostile.ar({"debian-binary": b"2.0\n", "control.tar.gz": control, "data.tar.gz": b""})
