# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels: which configs there are, where a kernel comes from, and how it is built once."""
