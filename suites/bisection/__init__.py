# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform bisect`: finds the first bad package of an archive, or the first bad revision of a git tree."""
