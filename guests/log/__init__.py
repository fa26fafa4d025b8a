# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's log, the splats in it, and the kernel's taint."""
