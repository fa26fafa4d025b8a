# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that every package uses: errors, settings in TOML, version ranges, paths, atomic writes, command lines.

Nothing here imports another package of the project.
"""
