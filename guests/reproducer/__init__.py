# SPDX-License-Identifier: GPL-2.0-or-later
"""C programs that repeat what a test did, made from the record of its calls."""
