# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands for the reports of finished runs: diff, merge, prune, bisect."""
