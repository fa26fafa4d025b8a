# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody might hand to us to harm us: bombs, lies and endless files, made in no time and of little size."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from suites.harness.checkout import ROOT

MIB = 1 << 20
MEMORY = 300 * MIB
"""Address space that a process may have in which we refuse a file, Python and all modules included."""


def zeros(name: str, count: int) -> bytes:
    """`count` MiB of zeros, packed in the format of that name.  The test is skipped if its program is missing."""
    if name == "gzip":
        return _gzip_zeros(count)
    if name == "xz":
        return lzma.compress(bytes(MIB)) * count
    if name == "lzma":
        packer = lzma.LZMACompressor(lzma.FORMAT_ALONE)
        return b"".join(packer.compress(bytes(MIB)) for _ in range(count)) + packer.flush()
    if name == "bzip2":
        return bz2.compress(bytes(MIB), 1) * count
    return packed(name, bytes(MIB)) * count


def _gzip_zeros(count: int) -> bytes:
    """After a full flush, deflate knows nothing of what was before: one block is compressed, and repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(count if count <= 128 else 0):  # who reads on to the checksum of a larger one has lost already
        checksum = zlib.crc32(bytes(MIB), checksum)
    end = packer.flush() + struct.pack("<II", checksum, (count * MIB) & 0xFFFFFFFF)
    return gzip.compress(b"")[:10] + block * count + end


def packed(name: str, content: bytes) -> bytes:
    """The content, packed by the format's program or by Python."""
    if name == "gzip":
        return gzip.compress(content, mtime=0)
    if name == "xz":
        return lzma.compress(content)
    if name == "lzma":
        return lzma.compress(content, lzma.FORMAT_ALONE)
    if name == "bzip2":
        return bz2.compress(content)
    if shutil.which(name) is None:
        pytest.skip(f"there is no program {name} here")
    legacy = ["-l"] if name == "lz4" else []  # as Kbuild packs
    return subprocess.run([name, "-c", *legacy], input=content, capture_output=True, check=True).stdout


def member(name: str, content: bytes = b"", **header: object) -> bytes:
    """A file of a tar archive: header and content, with what the header says besides."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in header.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT) + content + b"\0" * (-len(content) % 512)


def tar(*members: bytes) -> bytes:
    return b"".join(members) + bytes(1024)


def ar(members: Mapping[str, bytes], sizes: Mapping[str, str] | None = None) -> bytes:
    """An ar archive; `sizes` are what headers say instead of the truth."""
    content = b"!<arch>\n"
    for name, data in members.items():
        size = (sizes or {}).get(name, str(len(data)))
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode() + data + b"\n" * (len(data) % 2)
        )
    return content


def sparse(path: Path, size: int, beginning: bytes = b"") -> Path:
    """A file of that size that takes no room on the disk."""
    path.write_bytes(beginning)
    os.truncate(path, size)
    return path


def not_a_file(path: Path, kind: str) -> Path:
    """A `fifo` that nobody writes to, a `folder`, or a `device` that never ends."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


_LIMITED = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))\n"


def run_in_little_memory(command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`./kconform` with that command, in a Python that may have no more than MEMORY."""
    code = _LIMITED + "import sys\nfrom kconform import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, command, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
