// SPDX-License-Identifier: GPL-2.0-or-later
// The panel: a promise on a kernel with its tests, or one test, each with its evidence.

const PANEL_TESTS = 50;

function aTest() {
  const result = RESULTS.find((each) => each.test === state.test);
  if (!result) return null;
  return [
    el("h2", { id: "panel-title" }, badge(result.outcome), " ", el("span", { class: "mono" }, shortTest(result.test))),
    ...result.requirements.map((number) => promiseLines(REQUIREMENTS[number])),
    testBody(result, true),
  ];
}

function aPromise() {
  const requirement = REQUIREMENTS.find((each) => each.id === state.promise);
  const kernel = KERNEL_IDS.indexOf(state.on);
  if (!requirement || kernel < 0) return null;
  const status = DATA.statuses[requirement.status[kernel]];
  const tests = RESULTS.filter((each) => each.kernel === kernel && each.requirements.includes(requirement.number))
    .sort(ORDERS.worst);
  const worst = tests.findIndex((each) => DATA.texts[each.number]);
  const about = [DATA.kernels[kernel].release, machine(DATA.kernels[kernel])].filter(Boolean).join(", ");
  const inList = address({ ...noFilters(), view: "tests", q: requirement.id, kernel: new Set([state.on]), promise: "", on: "" });
  return [
    el("h2", { id: "panel-title" }, badge(status), " ", el("span", { class: "mono" }, requirement.id)),
    el("p", { class: "about" }, "on ", el("b", { class: "mono" }, state.on),
      about ? ` (${about})` : ""),
    promiseLines(requirement),
    tests.length ? el("p", { class: "about" }, `${tests.length} test${tests.length === 1 ? "" : "s"}: `,
      Object.entries(count(tests.map((each) => each.outcome))).map(([word, number]) => `${number} ${word}`).join(", "),
      ". ", el("a", { href: inList }, "Show in the list of tests")) : el("p", { class: "about" }, "None of its tests ran on this kernel."),
    ...tests.slice(0, PANEL_TESTS).map((each, place) => el("section", { class: "test" },
      el("h3", {}, badge(each.outcome), " ", el("span", { class: "mono" }, shortTest(each.test))),
      testBody(each, place === worst))),
    tests.length > PANEL_TESTS ? el("p", { class: "about" },
      `The worst ${PANEL_TESTS} are here; `, el("a", { href: inList }, `all ${tests.length}`), " are in the list.") : null,
  ];
}

function promiseLines(requirement) {
  const until = requirement.until ? ` to ${requirement.until}` : "";
  return el("div", { class: "promise" },
    el("p", {}, state.test ? el("code", {}, requirement.id, " ") : null, requirement.text),
    el("p", { class: "about" }, `${requirement.source}; since Linux ${requirement.since}${until}`),
    requirement.note ? el("p", { class: "about" }, requirement.note) : null);
}

// Reason and evidence; where `open`, what one reads first is open.
function testBody(result, open) {
  const texts = DATA.texts[result.number] || [];
  const files = result.files.map((number) => DATA.files[number]);
  const embedded = new Set(texts.map(([title]) => title));
  const elsewhere = files.filter(([title]) => !embedded.has(title));
  return el("div", {},
    el("p", { class: "about" }, `${state.test ? KERNEL_IDS[result.kernel] + ", " : ""}${shownSeconds(result.seconds)}`),
    result.reason ? el("p", { class: "reason" }, result.reason) : null,
    result.breaks.length ? el("p", { class: "about" }, "Of its promises it broke only ",
      el("span", { class: "mono" }, result.breaks.map((number) => REQUIREMENTS[number].id).join(", "))) : null,
    texts.map(([title, text]) => piece(title, text, files.find(([other]) => other === title), result,
      open && (title === "transcript" || title === "process tree" || texts.length === 1))),
    elsewhere.length ? el("p", { class: "about" }, texts.length ? "In files: " : "Evidence: ",
      elsewhere.flatMap((file, place) => [place ? ", " : "", fileLink(file, result, file[0])])) : null);
}

function piece(title, text, file, result, open) {
  return el("details", { class: "piece", open },
    el("summary", {}, title),
    file ? el("span", { class: "file" }, fileLink(file, result, file[1])) : null,
    el("pre", { tabindex: "0", "aria-label": title }, text));
}

// From where the page lies; with ./ in front, whatever the name says is a path.
function fileLink([, name], result, shown) {
  const path = [...result.folder.split("/").filter(Boolean), name].map(encodeURIComponent).join("/");
  return el("a", { href: `./${path}` }, shown);
}
