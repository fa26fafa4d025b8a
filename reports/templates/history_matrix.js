// SPDX-License-Identifier: GPL-2.0-or-later
// The head of the page, and a matrix for each kernel: a row for each promise, a column for each run of a build.

const MATRIX_COLUMNS = 30;
const ALWAYS = new Set(["held", "skipped", "untested"]);

function drawHead() {
  const { runs, filters } = DATA;
  const kinds = count(CHANGES.map((each) => each.kind));
  const facts = {
    "runs": `${runs.length}, ${day(runs[0].started)} to ${day(runs[runs.length - 1].started)}`,
    "promises": `${DATA.promises.length}`,
    "only kernels": filters.kernel,
    "only promises": filters.promise,
    "since": filters.since,
  };
  document.getElementById("head").append(...[
    el("h1", {}, "kconform history"),
    el("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    el("p", { class: "totals" }, LISTS.kind.filter((kind) => kinds[kind]).map((kind) => el("a", {
      class: "count", href: "#" + new URLSearchParams({ kind }),
    }, badge(kind, kinds[kind])))),
    el("p", { class: "links" }, "The same for programs: ", el("a", { href: "./history.json" }, "history.json")),
    DATA.left_out.length ? el("p", { class: "notice" }, `${DATA.left_out.length} files are left out; `,
      el("a", { href: "#view=runs" }, "which, and why"), ".") : null,
    seriesTable(),
  ].filter(Boolean));
}

function seriesTable() {
  const statuses = DATA.statuses.filter((name) => name !== "untested");
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Kernels" }, el("table", { class: "kernels" },
    el("thead", {}, el("tr", {}, ["kernel", "arch"].map((name) => el("th", { scope: "col" }, name)),
      ["builds", "runs", "latest", ...statuses].map((name) => el("th", { scope: "col", class: "number" }, name)))),
    el("tbody", {}, SERIES.map((series) => {
      const last = series.columns.length - 1;
      const now = count(series.rows.map((row) => statusAt(row, last)));
      return el("tr", {}, el("th", { scope: "row", class: "mono" }, series.id), el("td", {}, series.arch || ""),
        el("td", { class: "number" }, String(series.builds.length)),
        el("td", { class: "number" }, String(series.columns.length)),
        el("td", { class: "number" }, place(series, last)),
        statuses.map((name) => el("td", { class: "number" }, now[name] ? el("a", {
          class: `count ${TONES[name]}`, href: "#" + new URLSearchParams({ view: "matrix", status: name, kernel: series.id }),
          "aria-label": `${now[name]} promises ${name} in the latest run of ${series.id}`,
        }, String(now[name])) : el("span", { class: "nothing" }, "0"))));
    }))));
}

function statusAt(row, column) {
  return DATA.statuses[row.statuses[column]];
}

function drawMatrix(view) {
  const longest = Math.max(0, ...shownSeries().map((each) => each.columns.length));
  const pages = Math.max(1, Math.ceil(longest / MATRIX_COLUMNS));
  const page = Math.min(state.page, pages - 1);
  const drawn = shownSeries().map((series) => [series, shownRows(series), columnsOf(series, page)])
    .filter(([, rows, columns]) => rows.length && columns.length);
  const rows = drawn.reduce((sum, [, some]) => sum + some.length, 0);
  const every = shownSeries().reduce((sum, each) => sum + each.rows.length, 0);
  const quiet = !state.status.size && !state.q && rows < every;
  said(`${rows} of ${every} promises${quiet ? "; what always held is left out: choose a status, or words, to see it" : ""}`);
  if (!drawn.length) {
    view.append(nothingHere(quiet ? "Every promise held, in every run." : "No promise matches."));
    return;
  }
  if (pages > 1) {
    view.append(el("p", { class: "turn" },
      el("button", { type: "button", disabled: page === pages - 1, click: () => change({ page: page + 1 }) }, "‹ older"),
      ` part ${pages - page} of ${pages} `,
      el("button", { type: "button", disabled: page === 0, click: () => change({ page: page - 1 }) }, "newer ›")));
  }
  for (const [series, some, columns] of drawn) view.append(seriesMatrix(series, some, columns));
}

// The newest columns are page 0; the last page has what is left.
function columnsOf(series, page) {
  const end = series.columns.length - page * MATRIX_COLUMNS;
  const first = Math.max(0, end - MATRIX_COLUMNS);
  return Array.from({ length: Math.max(0, end - first) }, (_, step) => first + step);
}

// Without a filter, only what did not always hold.
function shownRows(series) {
  return series.rows.filter((row) => {
    if (!passes("area", row.area) || !hasWords(row.words)) return false;
    const words = [...new Set(row.statuses)].map((digit) => DATA.statuses[digit]);
    if (state.status.size) return words.some((word) => state.status.has(word));
    return state.q !== "" || words.some((word) => !ALWAYS.has(word));
  });
}

function seriesMatrix(series, rows, columns) {
  const shown = rows.slice(0, PAGE_ROWS);
  const groups = AREAS.map((area) => [area, shown.filter((row) => row.area === area)]).filter(([, some]) => some.length);
  const table = el("table", {
    class: "matrix upright builds", role: "grid", "aria-label": `Promises of ${series.id} by build`,
    click: openFrom, keydown: moveFrom, focusin: remember,
  },
  el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "corner" }, "promise"),
    columns.map((column) => {
      const build = buildOf(series, column);
      const run = runOf(series, column);
      const title = [series.columns[column].kernel, build.release, build.identity, run.id, run.started].filter(Boolean).join("\n");
      return el("th", { scope: "col", class: "kernel", title },
        el("span", { class: "name" }, el("b", {}, build.label), el("span", {}, day(run.started))));
    }))),
  groups.map(([area, some]) => el("tbody", {},
    el("tr", { class: "area" }, el("th", { scope: "rowgroup", colspan: columns.length + 1 },
      el("span", {}, el("b", {}, area), ` ${some.length} promise${some.length === 1 ? "" : "s"}`))),
    some.map((row) => promiseRow(series, row, columns)))));
  const box = el("div", { class: "scroll grid" }, table);
  const cells = [...table.querySelectorAll("td")];
  const known = cells.find((cell) => cell.dataset.row === current.row && cell.dataset.kernel === current.kernel);
  (known || cells[0]).tabIndex = 0;
  const section = el("section", {}, el("h2", {}, series.id), box, rows.length > shown.length
    ? el("p", { class: "about" }, `${rows.length - shown.length} more promises are not shown; choose an area, or words.`) : "");
  // The newest runs are at the right; the sticky header and first column must not cover a cell that the keys reach.
  requestAnimationFrame(() => {
    const corner = table.querySelector(".corner");
    box.style.scrollPadding = `${corner.offsetHeight}px 8px 8px ${corner.offsetWidth}px`;
    box.scrollLeft = box.scrollWidth;
  });
  return section;
}

function promiseRow(series, row, columns) {
  const promise = PROMISES.get(row.id);
  return el("tr", {},
    el("th", { scope: "row", title: promise.text },
      el("code", {}, row.id), " ", el("span", { class: "sentence" }, promise.text)),
    columns.map((column) => {
      const status = statusAt(row, column);
      const other = column && series.columns[column].build !== series.columns[column - 1].build;
      return el("td", {
        class: `${TONES[status]}${other ? " other" : ""}${passes("status", status) ? "" : " aside"}`, tabindex: "-1",
        "data-row": row.id, "data-kernel": `${series.number}:${column}`, "data-status": status,
        "aria-label": `${row.id} in ${buildOf(series, column).label} of ${day(runOf(series, column).started)}: ${status}`,
      }, SIGNS[status]);
    }));
}
