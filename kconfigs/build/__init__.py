# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that are built here: trees, Kbuild, and builds that go on beside a test run."""
