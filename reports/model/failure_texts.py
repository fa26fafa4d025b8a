# SPDX-License-Identifier: GPL-2.0-or-later
"""The texts of failures in results.json, kept so short that every command can read the file.

A kernel that cannot be booted is an error of each of its tests, with a traceback of some kilobytes each time: only
the first has it in full.  If so many tests fail in different ways that their texts take more room than the file has
for them, the texts of the later ones are left out.  Their reasons and their evidence stay.
"""

from __future__ import annotations

import msgspec

from reports.model.result import Result

TEXTS_LIMIT = 16 << 20
"""Bytes of all texts together, as JSON: 800 of the longest, or 9,000 of the usual 1.8 kB."""
MARKS_LIMIT = 1_000_000
"""Commas and brackets in them, which a reader takes for values of their own (document.VALUES_LIMIT)."""

SAME = "the same error as that of "
LEFT_OUT = "left out: the texts of other failures take all the room that this file has for them"


class FailureTexts:
    """The texts of a run's failures so far."""

    def __init__(self) -> None:
        self._bytes = 0
        self._marks = 0
        self._first: dict[str, str] = {}
        """The test that has an error in full, by the error's reason."""

    def bounded(self, result: Result) -> Result:
        """The result, with a shorter text if it repeats that of another one, or if there is no more room."""
        if not result.longrepr or result.longrepr.startswith((SAME, LEFT_OUT)):
            return result
        # A failure accuses the kernel of something, and its text says of what: it is not shortened for its reason.
        if result.verdict == "error" and self._first.get(result.reason, result.nodeid) != result.nodeid:
            first = self._first[result.reason]
            return msgspec.structs.replace(result, longrepr=f"{SAME}{first}, which has it in full")
        encoded = msgspec.json.encode(result.longrepr)
        marks = sum(map(encoded.count, (b",", b"[", b"{")))
        if self._bytes + len(encoded) > TEXTS_LIMIT or self._marks + marks > MARKS_LIMIT:
            return msgspec.structs.replace(result, longrepr=LEFT_OUT)
        self._bytes += len(encoded)
        self._marks += marks
        if result.verdict == "error":
            self._first[result.reason] = result.nodeid
        return result
