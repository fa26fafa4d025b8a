// SPDX-License-Identifier: GPL-2.0-or-later
// The entry: the choice of a view, the filters, what is drawn when, and the keys.

const DRAW = { matrix: drawMatrix, tests: drawTests, durations: drawDurations, comparison: drawComparison };
const FILTERS = {
  matrix: ["area", "status"], tests: ["area", "outcome"], durations: ["area", "outcome"], comparison: ["area", "kind"],
};

function said(text) {
  document.getElementById("said").textContent = text;
}

function nothingHere(text) {
  return el("p", { class: "empty" }, text, " ",
    el("button", { type: "button", click: () => change(noFilters()) }, "Clear the filters"));
}

function noFilters() {
  return { q: "", page: 0, ...Object.fromEntries(Object.keys(LISTS).map((name) => [name, new Set()])) };
}

// Apply the changes, write them to the address, and draw.
function change(changes, { redraw = true } = {}) {
  Object.assign(state, changes);
  writeAddress();
  if (redraw) draw();
}

function toggle(name, value) {
  const chosen = new Set(state[name]);
  if (!chosen.delete(value)) chosen.add(value);
  change({ [name]: chosen, page: 0 });
}

function draw() {
  drawViews();
  drawFilters();
  const view = document.getElementById("view");
  view.replaceChildren();
  DRAW[state.view](view);
}

function drawViews() {
  keepFocus(document.getElementById("views"), VIEWS.map((name) => el("button", {
    type: "button", "data-key": name, "aria-current": state.view === name ? "page" : null,
    click: () => change({ view: name, page: 0 }),
  }, name)));
}

// Replace the children; the focus stays where it was.
function keepFocus(parent, children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  parent.replaceChildren(...children);
  if (key) for (const each of parent.querySelectorAll("[data-key]")) if (each.dataset.key === key) each.focus();
}

// Made once: the field keeps its focus while the user types.
const search = el("input", {
  type: "search", id: "q", name: "q", placeholder: "words  ( / )", "aria-label": "Text", autocomplete: "off", spellcheck: "false",
  input: () => change({ q: search.value, page: 0 }),
});
const chips = el("div", { class: "chips" });
const kernelChoice = el("details", { class: "choice" });

function drawFilters() {
  const form = document.getElementById("filters");
  if (!search.isConnected) form.append(search, chips, kernelChoice);
  if (search.value !== state.q) search.value = state.q;
  const [areas, words] = FILTERS[state.view];
  const anything = state.q || Object.keys(LISTS).some((name) => state[name].size);
  keepFocus(chips, [
    group("area", AREAS.map((name) => chip(areas, name, name))),
    group(words, LISTS[words].filter((name) => present(words).has(name)).map((name) => chip(words, name,
      el("span", { class: `badge ${TONES[name]}` },
        SIGNS[name] ? el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[name]) : null, name)))),
    anything ? el("button", { type: "button", class: "clear", "data-key": "clear", click: () => change(noFilters()) }, "clear") : null,
  ].filter(Boolean));
  const chosen = state.kernel.size;
  kernelChoice.hidden = KERNEL_IDS.length < 2;
  keepFocus(kernelChoice, [
    el("summary", { "data-key": "kernels" }, chosen ? `${chosen} of ${KERNEL_IDS.length} kernels` : `all ${KERNEL_IDS.length} kernels`),
    el("div", { class: "menu" }, KERNEL_IDS.map((name) => el("label", {},
      el("input", { type: "checkbox", "data-key": `kernel ${name}`, checked: state.kernel.has(name), change: () => toggle("kernel", name) }),
      " ", el("span", { class: "mono" }, name)))),
  ]);
}

function group(name, some) {
  return el("div", { class: "group", role: "group", "aria-label": name }, some);
}

function chip(name, value, shown) {
  return el("button", {
    type: "button", class: "chip", "data-key": `${name} ${value}`, "data-filter": name, "data-value": value,
    "aria-pressed": String(state[name].has(value)), click: () => toggle(name, value),
  }, shown);
}

// The words of a filter that occur in the data: no chip selects nothing.
const seen = {
  status: new Set(REQUIREMENTS.flatMap((each) => each.status.map((number) => DATA.statuses[number]))),
  outcome: new Set(RESULTS.map((each) => each.outcome)),
  kind: new Set((COMPARISON || []).map((row) => row.kind)),
};

function present(name) {
  return seen[name];
}

function follow() {
  readAddress();
  draw();
  drawPanel();
}

document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("panel").addEventListener("close", closed);
document.getElementById("panel").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();  // beside the panel, on its backdrop
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && kernelChoice.open) {
    kernelChoice.open = false;
    kernelChoice.querySelector("summary").focus();
  }
  if (event.key !== "/" || event.ctrlKey || event.target.closest("input, dialog")) return;
  event.preventDefault();
  search.focus();
});
document.addEventListener("click", (event) => {
  if (!kernelChoice.contains(event.target) && event.target.isConnected) kernelChoice.open = false;
});
window.addEventListener("hashchange", follow);

let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return;
  width = window.innerWidth;
  if (state.view === "durations") draw();
});

drawHead();
follow();
