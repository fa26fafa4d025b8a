# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels: finds or builds the kernels that a user names, with their configs, and caches them.

spec, sources, resolve, fetch   from the text that the user gives to a kernel: parse, look up, then download or build
kconfig, flavors, profile       config values, the configs that we build, and what a kernel must have
image, image_config             the header of an image, and its configuration
efi_program, elf_image          formats of files that may be a kernel
kernel_folder                   where folders have images, configurations and modules
cache                           everything that takes time to make, by the digest of what it is made from
kernel_options, kernel_matrix   what the user asks for: a KernelRequest each
planned_kernels                 the kernels of a test run
plugin, commands                pytest's hooks, and the command line
build/                          Kbuild, and builds in the background of a run
debian/                         apt, .deb files, suites of the archive
packages/                       package files of all distributions
fragments/, profiles/           data: options with their reasons, requirements with their sources
"""
