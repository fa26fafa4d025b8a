# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups of system calls that a task can be told to make."""
