# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs in C that repeat what a test did, made from its record."""
