// SPDX-License-Identifier: GPL-2.0-or-later
// The lists: what began to break and was fixed, and the runs.

function drawChanges(view) {
  const found = shownChanges();
  said(`${found.length} of ${CHANGES.length} changes`);
  if (!found.length) {
    view.append(nothingHere(CHANGES.length ? "No change matches." : "Nothing was broken, and nothing flaky."));
    return;
  }
  const order = (each) => LISTS.kind.indexOf(each.kind);
  // The latest first; a promise that is broken now comes before what has been fixed.
  found.sort((a, b) => order(a) - order(b) || a.series.number - b.series.number || b.first - a.first);
  view.append(...paged(found, (rows) => el("table", { class: "list changes" },
    heads("now", "promise", "kernel", "began to break", "held before", "fixed", "reason"),
    el("tbody", {}, rows.map((each) => el("tr", { "data-kind": each.kind },
      el("td", {}, badge(each.kind)),
      el("td", { class: "long" }, promiseButton(each), el("div", { class: "sentence" }, PROMISES.get(each.promise).text)),
      el("td", { class: "mono" }, each.series.id),
      el("td", { "data-label": "began in" }, place(each.series, each.first)),
      el("td", { "data-label": "held in" }, each.held === null ? "never seen" : place(each.series, each.held)),
      el("td", { "data-label": "fixed in" }, each.fixed === null ? "" : place(each.series, each.fixed),
        each.fixed !== null && !each.same_tests ? " by other tests: those that broke it are gone" : ""),
      el("td", { class: "long" }, each.columns > 1 ? `${each.columns} times: ` : "", each.reason || shortTest(each.test))))))));
}

function heads(...names) {
  return el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name))));
}

function promiseButton(each) {
  return el("button", {
    type: "button", class: "open", click: () => openPanel({ promise: each.promise, on: `${each.series.number}:${each.first}`, test: "" }),
  }, each.promise);
}

function drawRuns(view) {
  const every = DATA.runs.map((run, number) => ({
    ...run, number, words: [run.id, run.path, run.suite, run.selection].join(" ").toLowerCase(),
  }));
  const tested = new Set(shownSeries().flatMap((series) => series.columns.map((column) => column.run)));
  const found = every.filter((run) => hasWords(run.words) && (!state.kernel.size || tested.has(run.number))).reverse();
  said(`${found.length} of ${every.length} runs`);
  if (DATA.left_out.length) {
    view.append(el("section", {}, el("h2", {}, "Left out"), el("table", { class: "list" }, heads("file", "why"),
      el("tbody", {}, DATA.left_out.map((each) => el("tr", {},
        el("td", { class: "mono long" }, each.path), el("td", { class: "long" }, each.why)))))));
  }
  if (!found.length) {
    view.append(nothingHere("No run matches."));
    return;
  }
  view.append(...paged(found, (rows) => el("table", { class: "list" },
    heads("end", "began", "run", "took", "results", "suite", "remarks"),
    el("tbody", {}, rows.map((run) => el("tr", {},
      el("td", {}, runBadge(run)),
      el("td", { class: "day" }, run.started.replace("T", " ").slice(0, 16)),
      el("td", { class: "mono" }, runLink(run.number, run.id)),
      el("td", { class: "number" }, shownSeconds(run.duration_s)),
      el("td", { class: "number" }, String(run.results)),
      el("td", { class: "mono day" }, (run.suite || "").slice(0, 12)),
      el("td", { class: "long" }, runRemarks(run))))))));
}

function runBadge(run) {
  const word = EXIT_TONES[run.exit_status] || "unknown";
  return el("span", { class: `badge ${TONES[word]}` }, el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[word]),
    run.state === "finished" ? String(run.exit_status) : run.state);
}

function runRemarks(run) {
  return [
    run.selection ? `only: ${run.selection}` : run.whole ? "" : "a part of the tests",
    run.without_kernel ? `without a kernel: ${run.without_kernel} results` : "",
  ].filter(Boolean).join("; ");
}
