# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels from the archives of Debian and Ubuntu: apt, suites, .deb files."""
