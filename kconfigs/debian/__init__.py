# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels out of Debian's and Ubuntu's archives."""
