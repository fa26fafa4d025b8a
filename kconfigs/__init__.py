# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels: which configs there are, where a kernel comes from, and how it is built once.

spec, sources, resolve, fetch   from what the user names to a kernel: parse, look, then download or build
kconfig, flavors, profile       config values, what we build, and what a kernel should have
image, image_config             what an image says about itself, and its configuration
efi_program, elf_image          formats of files that may be a kernel
kernel_folder                   where folders have images, configurations and modules
cache                           everything that took time, by the digest of what it was made from
planned_kernels, kernel_matrix  the kernels of a test run
plugin, commands                pytest's hooks, and the command line
build/                          Kbuild, and builds that go on beside a run
debian/                         apt, .deb files, suites of the archive
packages/                       package files of all distributions
fragments/, profiles/           data: options with their reasons, expectations with their sources
"""
