# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine has, lacks and can install."""
