# SPDX-License-Identifier: GPL-2.0-or-later
"""One module for each format that a report is written in.  All of them are made from a `Document`."""
