# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in files of every package format, which are read and never installed.

kernel_files       what all formats have in common: from the files of a package to image, configuration and modules
package_file       from a path to the reader of its format
rpm_file           .rpm, with cpio_archive
tar_package        packages of Arch and Alpine Linux, and plain tar archives
unified_image      EFI programs that contain a kernel
tar_archive        tar archives in general; Debian's packages (kconfigs.debian) are read with it too
"""
