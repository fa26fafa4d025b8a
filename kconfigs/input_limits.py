# SPDX-License-Identifier: GPL-2.0-or-later
"""How much is read of a kernel, a configuration or a package that somebody hands to us.

Each limit is what the largest real thing needs, with room to grow; what exceeds it is refused before memory, disk or
patience run out.  Sizes are in bytes; docs/hostile-input.md has them all.
"""

from __future__ import annotations

CONFIG = 4 << 20
"""A .config.  All 20,330 options of Linux 6.12 would make about 0.6 MB."""

COMMAND_LINE = 64 << 10
"""A kernel's command line.  x86 takes 2 kB of it, and most architectures no more than 4 kB (COMMAND_LINE_SIZE)."""
SYSCTL = 1 << 20
"""A file of sysctl settings.  Those of distributions have up to 3 kB."""
SYSCTL_FILES = 1000
"""The files in a sysctl.d folder.  Distributions have up to 20."""

IMAGE = 256 << 20
"""A kernel image.  That of Debian's cloud kernel has 14 MB."""
UNPACKED_IMAGE = 1 << 30
"""A kernel once it is unpacked.  x86 maps no more (KERNEL_IMAGE_SIZE in asm/page_64_types.h)."""

DECOMPRESSION_MEMORY = 160 << 20
"""What an xz or lzma file may ask for.  Kernels since 6.12 are packed with a dictionary of 128 MiB (xz_wrap.sh)."""

PACKAGE = 4 << 30
"""The files of a package with a kernel.  Debian's have 0.1 to 0.4 GB; only those with debugging symbols have 7 GB."""
PACKAGE_FILES = 50_000
"""Their number.  Debian's cloud kernel has 1,127 files, and its full one is four times as large."""
CONTROL_ARCHIVE = 64 << 20
"""A package's control archive, which has a checksum of each file: about 100 bytes for each."""
CONTROL = 1 << 20
"""A package's control file.  That of a kernel has 1 kB."""
DEPENDS = 64 << 10
"""Characters of the list of packages that a package needs.  A kernel's has 200."""
PACKAGE_PARTS = 16
"""Members of the ar archive that a package is.  deb(5) has three, and allows for others."""
RPM_HEADER = 64 << 20
"""A header of an .rpm file, which has the names and checksums of all files: 1 MB for a kernel with its modules."""
PATH = 64 << 10
"""A path or a link's target in a package.  Linux has no more than 4,096 bytes (PATH_MAX)."""

SOURCE = 8 << 30
"""A kernel tree in a tarball.  That of Linux 6.12 has 1.5 GB."""
TAR_MEMORY = 256 << 20
"""What tar, which needs a few MB, may ask for: it allocates as much for a name as the archive says."""

APT_ANSWER = 64 << 20
"""What a program of apt prints.  All packages of Debian 12 are described in 50 MB, and we ask about a few."""

MODULE = 64 << 20
"""A module, and all that a guest loads for virtio, together.  Debian's cloud kernel has 4.2 MB in its largest (xfs),
and 0.3 MB in those for virtio; debugging information takes many times as much."""
MODULES = 64
"""How many a guest loads.  Debian's kernels need six."""
MODULE_LIST = 4 << 20
"""modules.order.  That of Debian's cloud kernel has 40 kB."""
