# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run came to, for people and for gates: results.json, other formats, comparisons, the exit status.

The package knows pytest and its own records, never the guests or the kernels that the results speak of:
what it has to know of them is handed to it through `reports.model.result`.
"""
