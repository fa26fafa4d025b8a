# SPDX-License-Identifier: GPL-2.0-or-later
"""What results mean: verdicts, waivers, the coverage of promises, changes, the exit status.  No pytest hooks."""
