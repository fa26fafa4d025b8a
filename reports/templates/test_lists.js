// SPDX-License-Identifier: GPL-2.0-or-later
// The lists: every test, and what changed since another run; a page at a time, so that 10,000 rows stay fast.

const ORDERS = {
  worst: (a, b) => WORST.indexOf(a.outcome) - WORST.indexOf(b.outcome) || a.number - b.number,
  test: (a, b) => (a.test < b.test ? -1 : a.test > b.test ? 1 : 0),
  kernel: (a, b) => a.kernel - b.kernel || a.number - b.number,
  slowest: (a, b) => b.seconds - a.seconds || a.number - b.number,
};

function drawTests(view) {
  const found = shownResults().sort(ORDERS[state.sort] || ORDERS.worst);
  said(`${found.length} of ${RESULTS.length} tests`);
  if (!found.length) {
    view.append(nothingHere(RESULTS.length ? "No test matches." : "No test has ended in this run."));
    return;
  }
  const columns = [["outcome", "worst"], ["test", "test"], ["kernel", "kernel"], ["took", "slowest"], ["reason", null]];
  view.append(...paged(found, (rows) => el("table", { class: "list" },
    el("thead", {}, el("tr", {}, columns.map(([name, order]) => el("th", {
      scope: "col", class: name === "took" ? "number" : null, "aria-sort": state.sort === order ? "other" : null,
    }, order ? el("button", {
      type: "button", class: "order", title: order === "worst" || order === "slowest" ? `${order} first` : `by ${name}`,
      click: () => change({ sort: order, page: 0 }),
    }, name, state.sort === order ? " ▾" : "") : name)))),
    el("tbody", {}, rows.map((each) => el("tr", { "data-test": each.number },
      el("td", {}, badge(each.outcome)),
      el("td", { class: "mono long" }, testButton(each)),
      el("td", { class: "mono" }, KERNEL_IDS[each.kernel]),
      el("td", { class: "number" }, shownSeconds(each.seconds)),
      el("td", { class: "long" }, each.reason)))))));
}

function testButton(result) {
  return el("button", {
    type: "button", class: "open", title: result.test.slice(0, 500),
    click: () => openPanel({ test: result.test, promise: "", on: "" }),
  }, shortTest(result.test));
}

function drawComparison(view) {
  const found = shownComparison();
  said(`${found.length} of ${COMPARISON.length} changes`);
  if (DATA.uncompared) view.append(el("p", { class: "notice" }, `${DATA.uncompared} more changes are not in this page.`));
  if (!found.length) {
    view.append(nothingHere(COMPARISON.length ? "No change matches." : "Nothing changed since the other run."));
    return;
  }
  const known = new Map(RESULTS.map((each) => [each.test, each]));
  const order = [...found].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
  view.append(...paged(order, (rows) => el("table", { class: "list" },
    el("thead", {}, el("tr", {}, ["change", "test", "kernel", "was", "now", "reason"].map((name) =>
      el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", { "data-kind": row.kind },
      el("td", {}, el("span", { class: `badge ${TONES[row.kind] || "none"}` }, row.kind)),
      el("td", { class: "mono long" }, known.has(row.test) ? testButton(known.get(row.test)) : shortTest(row.test)),
      el("td", { class: "mono" }, row.kernel || ""),
      el("td", { "data-label": "was" }, row.was ? badge(row.was) : ""),
      el("td", { "data-label": "now" }, row.now ? badge(row.now) : ""),
      el("td", { class: "long" }, row.reason || "")))))));
}
