# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel reports about itself: its log, its splats, its taint."""
