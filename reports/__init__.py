# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of a run, for people and for gates: results.json, other formats, comparisons, the exit status.

    model/       the records, the store that writes them, the document that is read back
    judgement/   verdicts, waivers, coverage of promises, comparison of runs, the exit status
    formats/     one module for each file of a report
    run/         the pytest plugin
    tools/       diff, merge, prune, bisect; their command line is commands.py
    history/     many runs: since when a promise is broken, which tests are flaky

The package imports pytest and `common`, never `guests` or `kconfigs`: conftest.py tells it about guests and kernels
through `reports.run.notes`.  docs/architecture.md follows a verdict through the package.
"""
