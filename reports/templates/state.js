// SPDX-License-Identifier: GPL-2.0-or-later
// The data of the page of a report, what can be shown of it, and what the filters leave.

const WORST = ["fail", "flaky", "error", "unexpected-pass", "waived", "skip", "pass"];
const KINDS = DATA.kinds;

const REQUIREMENTS = DATA.requirements.map((each, number) => ({
  ...each, number, words: [each.id, each.text, each.source, each.note].join(" ").toLowerCase(),
}));
const RESULTS = DATA.results.map(([test, area, kernel, outcome, seconds, reason, requirements, folder, files, breaks], number) => ({
  number, test, area, kernel, outcome: DATA.outcomes[outcome], seconds, reason, requirements, folder, files, breaks,
  words: [test, reason, ...requirements.map((each) => DATA.requirements[each].id)].join(" ").toLowerCase(),
}));
const AREAS = [...new Set([...REQUIREMENTS, ...RESULTS].map((each) => each.area).filter(Boolean))];
const KERNEL_IDS = DATA.kernels.map((each) => each.id);
const COMPARISON = DATA.comparison && DATA.comparison.map((row) => ({
  ...row, words: [row.test, row.kernel, row.was, row.now, row.reason].join(" ").toLowerCase(),
}));
const VIEWS = ["matrix", "tests", "durations", ...(COMPARISON ? ["comparison"] : [])];

// Each filter is a set of what is shown; an empty set shows everything.
const LISTS = {
  area: AREAS,
  status: [...DATA.statuses],
  outcome: [...DATA.outcomes],
  kind: KINDS,
  kernel: KERNEL_IDS,
};
const PLAIN = { sort: "worst", promise: "", on: "", test: "" };

function shownKernels() {
  return DATA.kernels.map((each, number) => number).filter((number) => passes("kernel", KERNEL_IDS[number]));
}

function shownResults() {
  return RESULTS.filter((each) => passes("area", each.area) && passes("outcome", each.outcome) &&
    passes("kernel", KERNEL_IDS[each.kernel]) && hasWords(each.words));
}

function shownComparison() {
  return COMPARISON.filter((row) => passes("kind", row.kind) && passes("kernel", row.kernel) &&
    passes("area", areaOf(row.test)) && hasWords(row.words));
}

function areaOf(test) {
  const parts = test.split("::")[0].split("/");
  return parts.length > 2 && parts[0] === "suites" ? parts[1] : "";
}

function shortTest(test) {
  return test.replace(/^suites\//, "");
}
