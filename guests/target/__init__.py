# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on a machine that already runs (--target)."""
