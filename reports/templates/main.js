// SPDX-License-Identifier: GPL-2.0-or-later
// The entry: what each view draws, and its filters.

const DRAW = { matrix: drawMatrix, tests: drawTests, durations: drawDurations, comparison: drawComparison };
const FILTERS = {
  matrix: ["area", "status"], tests: ["area", "outcome"], durations: ["area", "outcome"], comparison: ["area", "kind"],
};

// The words of a filter that occur in the data: no chip selects nothing.
const seen = {
  area: new Set(AREAS),
  status: new Set(REQUIREMENTS.flatMap((each) => each.status.map((number) => DATA.statuses[number]))),
  outcome: new Set(RESULTS.map((each) => each.outcome)),
  kind: new Set((COMPARISON || []).map((row) => row.kind)),
};

drawHead();
follow();
