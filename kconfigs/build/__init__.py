# SPDX-License-Identifier: GPL-2.0-or-later
"""Building kernels: trees, Kbuild, and builds in the background of a test run."""
