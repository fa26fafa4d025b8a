# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin: every hook of the package is in plugin.py, which calls the other modules."""
