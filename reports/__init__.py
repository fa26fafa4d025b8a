# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of a run, for people and for gates: results.json, other formats, comparisons, the exit status.

    model/       the records, the store that writes them, the document that is read back
    judgement/   what they mean: verdicts, waivers, coverage of promises, changes, the exit status
    formats/     one module for each file of a report
    run/         the pytest plugin
    tools/       diff, merge, prune, bisect; their command line is commands.py

The package knows pytest and its own records, never the guests or the kernels that the results are about:
conftest.py tells it about them through `reports.run.notes`.  docs/architecture.md follows a verdict through it.
"""
