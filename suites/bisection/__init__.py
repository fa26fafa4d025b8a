# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisection of kernels that are given by name: the packages of an archive, or the revisions of a git tree."""
