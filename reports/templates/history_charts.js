// SPDX-License-Identifier: GPL-2.0-or-later
// Flakiness and durations over time: a step for each build or run.

function drawFlakiness(view) {
  const found = shownFlaky();
  said(`${found.length} of ${FLAKY.length} flaky tests`);
  if (!found.length) {
    view.append(nothingHere(FLAKY.length ? "No flaky test matches." : "No test gave different answers about one build."));
    return;
  }
  for (const series of shownSeries()) {
    const some = found.filter((each) => each.series === series);
    if (!some.length) continue;
    const values = series.builds.map((_, build) => some.filter((each) => each.builds.includes(build)).length);
    const worst = values.reduce((a, b) => Math.max(a, b));
    const title = `flaky tests by build: latest ${values[values.length - 1]}, most ${worst}`;
    view.append(el("section", {}, el("h2", {}, series.id),
      el("div", { class: "plots" }, steps(title, values, [series.builds[0].label, series.builds[values.length - 1].label], String))));
  }
  view.append(...paged(found, (rows) => el("table", { class: "list" }, heads("flaky in", "test", "kernel", "last", "promises"),
    el("tbody", {}, rows.map((each) => el("tr", {},
      el("td", { class: "number" }, `${each.builds.length} of ${each.of} builds`),
      el("td", { class: "mono long" }, el("button", {
        type: "button", class: "open", title: each.test.slice(0, 500),
        click: () => openPanel({ test: each.test, on: String(each.series.number), promise: "" }),
      }, shortTest(each.test))),
      el("td", { class: "mono" }, each.series.id),
      el("td", { "data-label": "last in" }, place(each.series, each.columns[each.columns.length - 1])),
      el("td", { class: "long mono" }, each.promises.join(", "))))))));
}

function drawDurations(view) {
  const shown = shownSeries().filter((series) => series.columns.length);
  said(`${shown.length} of ${SERIES.length} kernels; runs of all tests, where there are any`);
  for (const series of shown) {
    const whole = series.columns.filter((column) => DATA.runs[column.run].whole);
    const columns = whole.length ? whole : series.columns;
    const ends = [columns[0], columns[columns.length - 1]].map((column) => day(DATA.runs[column.run].started));
    const areas = [...new Set(columns.flatMap((column) => Object.keys(column.seconds)))].sort();
    const total = (column) => Object.entries(column.seconds)
      .reduce((sum, [area, seconds]) => sum + (passes("area", area) ? seconds : 0), 0);
    const plots = [
      plot(state.area.size ? "tests of these areas" : "all tests", columns.map(total), ends),
      ...areas.filter((area) => areas.length > 1 && passes("area", area))
        .map((area) => plot(area, columns.map((column) => column.seconds[area] || 0), ends)),
      columns.some((column) => column.preparation_s)
        ? plot("besides the tests", columns.map((column) => column.preparation_s), ends) : [],
    ];
    view.append(el("section", {}, el("h2", {}, series.id), el("div", { class: "plots" }, plots)));
  }
}

function plot(name, seconds, ends) {
  const sorted = [...seconds].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const title = `${name}: latest ${shownSeconds(seconds[seconds.length - 1])}, median ${shownSeconds(median)}`;
  return steps(title, seconds, ends, shownSeconds);
}

// One shape, however many values there are.
function steps(title, values, [begin, end], shown) {
  const width = Math.max(280, Math.min(document.getElementById("view").clientWidth, 420));
  const [left, right, top, bottom] = [2, width - 2, 34, 114];
  const most = values.reduce((a, b) => Math.max(a, b)) || 1;
  const wide = (right - left) / values.length;
  const outline = values.map((value) => `V${(bottom - (value / most) * (bottom - top)).toFixed(1)}h${wide.toFixed(3)}`).join("");
  return svg("svg", { width, height: 134, viewBox: `0 0 ${width} 134`, role: "img", "aria-label": title },
    label(left, 12, title, "start", "title"),
    label(right, 29, shown(most), "end", "tick"),
    svg("line", { x1: left, x2: right, y1: top, y2: top, class: "rule" }),
    svg("path", { d: `M${left} ${bottom}${outline}V${bottom}Z`, class: "bar" }),
    svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "rule" }),
    label(left, bottom + 14, begin, "start", "tick"), label(right, bottom + 14, end, "end", "tick"));
}
