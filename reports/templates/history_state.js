// SPDX-License-Identifier: GPL-2.0-or-later
// The data of history.html, what can be shown of it, and what the filters leave.

Object.assign(SIGNS, { fixed: "✓" });
Object.assign(TONES, { fixed: "good" });

const PROMISES = new Map(DATA.promises.map((each) => [each.id, each]));
const SERIES = DATA.series.map((each, number) => ({
  ...each, number, rows: each.promises.map((row) => ({
    ...row, number, area: PROMISES.get(row.id).area,
    words: [row.id, PROMISES.get(row.id).text].join(" ").toLowerCase(),
  })),
}));
const AREAS = [...new Set(DATA.promises.map((each) => each.area))].sort();
const KERNEL_IDS = SERIES.map((each) => each.id);

// What is only flaky is not fixed because it holds once.
const CHANGES = SERIES.flatMap((series) => series.breakages.map((each) => ({
  ...each, series, area: PROMISES.get(each.promise).area,
  kind: each.kind !== "flaky" && each.fixed !== null ? "fixed" : each.kind,
  words: [each.promise, PROMISES.get(each.promise).text, each.test, each.reason, series.id].join(" ").toLowerCase(),
})));
const FLAKY = SERIES.flatMap((series) => series.flaky.map((each) => ({
  ...each, series, areas: each.promises.map((id) => (PROMISES.get(id) || {}).area),
  words: [each.test, ...each.promises, series.id].join(" ").toLowerCase(),
})));

const VIEWS = ["changes", "matrix", "flakiness", "durations", "runs"];
const LISTS = { area: AREAS, kind: ["broken", "waived", "flaky", "fixed"], status: DATA.statuses, kernel: KERNEL_IDS };
const PLAIN = { promise: "", on: "", test: "" };

function shownSeries() {
  return SERIES.filter((each) => passes("kernel", each.id));
}

function shownChanges() {
  return CHANGES.filter((each) => passes("area", each.area) && passes("kind", each.kind) &&
    passes("kernel", each.series.id) && hasWords(each.words));
}

function shownFlaky() {
  return FLAKY.filter((each) => passes("kernel", each.series.id) && hasWords(each.words) &&
    (state.area.size === 0 || each.areas.some((area) => state.area.has(area))));
}

function buildOf(series, column) {
  return series.builds[series.columns[column].build];
}

function runOf(series, column) {
  return DATA.runs[series.columns[column].run];
}

function day(time) {
  return time.slice(0, 10);
}

// `6.1.192, 2026-11-28`, which leads to the page of that run if there is one.
function place(series, column, at = "") {
  const when = el("span", { class: "day" }, day(runOf(series, column).started));
  return runLink(series.columns[column].run, [`${buildOf(series, column).label}, `, when], at);
}

function runLink(run, shown, at = "") {
  const page = DATA.links[run];
  return page ? el("a", { href: page + at }, shown) : el("span", {}, shown);
}

function shortTest(test) {
  return test.replace(/^suites\//, "");
}
