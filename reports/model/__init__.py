# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of a run: results, promises, the file that stores them, and how it is read.  No pytest hooks."""
