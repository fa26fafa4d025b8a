# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels from package files of all distributions.  The files are unpacked, never installed.

kernel_files       finds image, configuration and modules among the files of a package, whatever its format
package_file       chooses the reader for a file
rpm_file           .rpm, with cpio_archive
tar_package        packages of Arch and Alpine Linux, and plain tar archives
unified_image      EFI programs that contain a kernel
tar_archive        tar archives in general; Debian's packages (kconfigs.debian) are read with it too
"""
