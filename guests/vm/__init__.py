# SPDX-License-Identifier: GPL-2.0-or-later
"""From a kernel to a running clone: boots, templates, QEMU."""
