// SPDX-License-Identifier: GPL-2.0-or-later
// The choice of a view, the filters, pages of long lists, and the keys.

const PAGE_ROWS = 200;

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
  const names = FILTERS[state.view];
  const anything = state.q || Object.keys(LISTS).some((name) => state[name].size);
  keepFocus(chips, [
    ...names.map((filter) => group(filter, LISTS[filter].filter((name) => present(filter).has(name)).map((name) =>
      chip(filter, name, filter === "area" ? name : el("span", { class: `badge ${TONES[name]}` },
        SIGNS[name] ? el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[name]) : null, name))))),
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

// The table for one page of `rows`, with the buttons that turn pages above and below it.
function paged(rows, table) {
  const pages = Math.ceil(rows.length / PAGE_ROWS);
  const page = Math.min(state.page, pages - 1);
  const first = page * PAGE_ROWS;
  const turn = () => (pages < 2 ? null : el("p", { class: "turn" },
    el("button", { type: "button", disabled: page === 0, click: () => change({ page: page - 1 }) }, "‹ previous"),
    ` ${first + 1} to ${Math.min(first + PAGE_ROWS, rows.length)} of ${rows.length} `,
    el("button", { type: "button", disabled: page === pages - 1, click: () => change({ page: page + 1 }) }, "next ›")));
  return [turn(), el("div", { class: "scroll" }, table(rows.slice(first, first + PAGE_ROWS))), turn()].filter(Boolean);
}

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
