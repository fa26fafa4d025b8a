// SPDX-License-Identifier: GPL-2.0-or-later
// What the page shows: the data, and the view of it that the address names after #.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);

// Never colour alone: each word has a sign, and the sign a label.
const SIGNS = {
  held: "✓", broken: "✗", unknown: "?", waived: "w", skipped: "–", untested: "·",
  flaky: "~",
  pass: "✓", fail: "✗", error: "?", skip: "–", "unexpected-pass": "!",
};
const TONES = {
  held: "good", pass: "good", broken: "bad", fail: "bad", flaky: "bad", unknown: "odd", error: "odd", waived: "known",
  "unexpected-pass": "known", skipped: "none", skip: "none", untested: "none",
  "newly failing": "bad", "newly flaky": "bad", "new errors": "odd", "newly waived": "known", "newly passing": "good",
  "no longer applicable": "none", "applicable now": "none", "changed reason": "odd", new: "known", gone: "known",
};
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
const state = { view: "matrix", q: "", page: 0, sort: "worst", promise: "", on: "", test: "" };
for (const name of Object.keys(LISTS)) state[name] = new Set();

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(LISTS)) {
    state[name] = new Set(asked.getAll(name).filter((value) => LISTS[name].includes(value)));
  }
  state.view = VIEWS.includes(asked.get("view")) ? asked.get("view") : "matrix";
  state.q = asked.get("q") || "";
  state.page = Math.max(0, (parseInt(asked.get("page"), 10) || 1) - 1);
  state.sort = asked.get("sort") || "worst";
  for (const name of ["promise", "on", "test"]) state[name] = asked.get(name) || "";
}

function address(changes = {}) {
  const now = { ...state, ...changes };
  const told = new URLSearchParams();
  if (now.view !== "matrix") told.set("view", now.view);
  for (const name of Object.keys(LISTS)) for (const value of now[name]) told.append(name, value);
  if (now.q) told.set("q", now.q);
  if (now.page) told.set("page", now.page + 1);
  if (now.sort !== "worst") told.set("sort", now.sort);
  for (const name of ["promise", "on", "test"]) if (now[name]) told.set(name, now[name]);
  return "#" + told;
}

function writeAddress() {
  history.replaceState(null, "", address());
}

function passes(name, value) {
  return state[name].size === 0 || state[name].has(value);
}

function hasWords(words) {
  return state.q.toLowerCase().split(/\s+/).every((word) => words.includes(word));
}

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

// An element.  Text is only ever inserted as text.
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function badge(word, number = null) {
  return el("span", { class: `badge ${TONES[word] || "none"}` },
    el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[word] || "•"),
    number === null ? word : `${number} ${word}`);
}

function count(values) {
  const counted = {};
  for (const value of values) counted[value] = (counted[value] || 0) + 1;
  return counted;
}

function shownSeconds(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds >= 119.5) {
    const whole = Math.round(seconds);
    return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  return seconds >= 10 ? `${seconds.toFixed(0)} s` : seconds >= 1 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds * 1000)} ms`;
}

function shortTest(test) {
  return test.replace(/^suites\//, "");
}
