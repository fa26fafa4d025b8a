// SPDX-License-Identifier: GPL-2.0-or-later
// The panel of history.html: a promise in a run of a build, or a flaky test.

function aPromise() {
  const [number, column] = state.on.split(":").map(Number);
  const series = SERIES[number];
  const row = series && series.rows.find((each) => each.id === state.promise);
  if (!row || !series.columns[column]) return null;
  const status = statusAt(row, column);
  const { kernel, accel } = series.columns[column];
  const [build, run] = [buildOf(series, column), runOf(series, column)];
  const facts = {
    "run": runLink(series.columns[column].run, run.id, `#${new URLSearchParams({ promise: row.id, on: kernel })}`),
    "began": run.started.replace("T", " ").replace(/\.\d+Z$/, " UTC"), "kernel": kernel, "release": build.release,
    "made from": build.identity, "digest": build.digest && build.digest.slice(0, 16), "accel": accel,
    "suite": run.suite, "only": run.selection,
  };
  const broken = series.breakages.filter((each) => each.promise === row.id);
  const flaky = FLAKY.filter((each) => each.series === series && each.promises.includes(row.id));
  return [
    el("h2", { id: "panel-title" }, badge(status), " ", el("span", { class: "mono" }, row.id)),
    el("p", { class: "about" }, "in ", el("b", { class: "mono" }, build.label), " of ", el("b", { class: "mono" }, series.id)),
    el("div", { class: "promise" }, el("p", {}, PROMISES.get(row.id).text)),
    el("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    ...broken.slice(-PAGE_ROWS).reverse().map((each) => aBreakage(series, each)),
    flaky.length ? el("p", { class: "about" }, `Flaky tests: ${flaky.map((each) => shortTest(each.test)).join(", ")}`) : null,
  ];
}

function aBreakage(series, each) {
  return el("section", { class: "test" },
    el("p", {}, badge(each.kind), " began to break in ", place(series, each.first),
      each.held === null ? ", never seen to hold before" : ["; held last in ", place(series, each.held)],
      each.fixed === null ? ["; seen last in ", place(series, each.last)] : ["; fixed in ", place(series, each.fixed)],
      each.fixed !== null && !each.same_tests ? ", by other tests: those that broke it are gone" : ""),
    each.test ? el("p", { class: "mono long" }, shortTest(each.test)) : null,
    each.reason ? el("p", { class: "reason" }, each.reason) : null);
}

function aTest() {
  const found = FLAKY.find((each) => each.test === state.test && String(each.series.number) === state.on);
  if (!found) return null;
  const { series } = found;
  return [
    el("h2", { id: "panel-title" }, badge("flaky"), " ", el("span", { class: "mono" }, shortTest(found.test))),
    el("p", { class: "about" }, `in ${found.builds.length} of ${found.of} builds of `, el("b", { class: "mono" }, series.id)),
    ...found.promises.filter((id) => PROMISES.has(id)).map((id) => el("div", { class: "promise" },
      el("p", {}, el("code", {}, id, " "), PROMISES.get(id).text))),
    el("p", { class: "about" }, "It did not hold in:"),
    el("ul", {}, found.columns.slice(-PAGE_ROWS).reverse().map((column) => el("li", {}, place(
      series, column, `#${new URLSearchParams({ view: "tests", q: shortTest(found.test).split("[")[0] })}`)))),
  ];
}
