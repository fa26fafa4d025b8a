# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests for a person to look into: a prompt, gdb, and dumps of the memory."""
