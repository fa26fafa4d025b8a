# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be done with the reports of runs that have ended."""
