// SPDX-License-Identifier: GPL-2.0-or-later
// What of the page is shown: the view, the filters, and an open panel, as the address names them after #.
// Each page says what it has in VIEWS, LISTS (each filter with its values) and PLAIN (single values, by default).

const state = { view: VIEWS[0], q: "", page: 0, ...PLAIN };
for (const name of Object.keys(LISTS)) state[name] = new Set();

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(LISTS)) {
    state[name] = new Set(asked.getAll(name).filter((value) => LISTS[name].includes(value)));
  }
  state.view = VIEWS.includes(asked.get("view")) ? asked.get("view") : VIEWS[0];
  state.q = asked.get("q") || "";
  state.page = Math.max(0, (parseInt(asked.get("page"), 10) || 1) - 1);
  for (const [name, otherwise] of Object.entries(PLAIN)) state[name] = asked.get(name) || otherwise;
}

function address(changes = {}) {
  const now = { ...state, ...changes };
  const told = new URLSearchParams();
  if (now.view !== VIEWS[0]) told.set("view", now.view);
  for (const name of Object.keys(LISTS)) for (const value of now[name]) told.append(name, value);
  if (now.q) told.set("q", now.q);
  if (now.page) told.set("page", now.page + 1);
  for (const [name, otherwise] of Object.entries(PLAIN)) if (now[name] !== otherwise) told.set(name, now[name]);
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
