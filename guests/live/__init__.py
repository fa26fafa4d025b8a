# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking into the guest of a failed test: a prompt, gdb, and dumps of its memory."""
