# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run found: results, promises, the file that they are kept in, and reading it back.  No pytest hooks."""
