# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts, waivers, the coverage of promises, the comparison of runs, the exit status.  No pytest hooks."""
