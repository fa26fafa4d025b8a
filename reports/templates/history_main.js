// SPDX-License-Identifier: GPL-2.0-or-later
// The entry of history.html: what each view draws, and its filters.

const DRAW = {
  changes: drawChanges, matrix: drawMatrix, flakiness: drawFlakiness, durations: drawDurations, runs: drawRuns,
};
const FILTERS = { changes: ["area", "kind"], matrix: ["area", "status"], flakiness: ["area"], durations: ["area"], runs: [] };

// The words of a filter that occur in the data: no chip selects nothing.
const seen = {
  area: new Set(AREAS),
  kind: new Set(CHANGES.map((each) => each.kind)),
  status: new Set(SERIES.flatMap((series) => series.rows.flatMap((row) =>
    [...new Set(row.statuses)].map((digit) => DATA.statuses[digit])))),
};

drawHead();
follow();
