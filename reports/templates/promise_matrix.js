// SPDX-License-Identifier: GPL-2.0-or-later
// The head of the page, and the matrix: a row for each promise, a column for each kernel.

function drawHead() {
  const run = DATA.run;
  const word = EXIT_TONES[run.exit_status] || "unknown";
  const suite = (run.suite && run.suite.commit) || "";
  const versions = run.versions || {};
  const facts = {
    "started": (run.started || "").replace("T", " ").replace(/\.\d+Z$/, " UTC"),
    "took": shownSeconds(run.duration_s),
    "tests": RESULTS.length === run.collected ? `${RESULTS.length}` : `${RESULTS.length} of ${run.collected} collected`,
    "only": run.selection,
    "suite": suite.length > 20 ? suite.slice(0, 12) + (suite.endsWith("-dirty") ? "-dirty" : "") : suite,
    "host": [run.host && run.host.node, run.host && run.host.machine].filter(Boolean).join(", "),
    "QEMU": String(versions.qemu || "").replace(/^QEMU emulator version /, ""),
    "virtme-ng": versions["virtme-ng"],
  };
  document.getElementById("head").append(...[
    el("h1", {}, "kconform ", el("span", { class: "mono" }, run.id)),
    el("p", { class: "verdict" }, el("span", { class: `badge ${TONES[word]}` },
      el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[word]),
      run.state === "finished" ? `exit status ${run.exit_status}` : run.state), " ", DATA.meaning),
    el("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, String(value))))),
    el("p", { class: "totals" }, WORST.filter((name) => DATA.counts[name]).map((name) => el("a", {
      class: "count", href: "#" + new URLSearchParams({ view: "tests", outcome: name }),
    }, badge(name, DATA.counts[name])))),
    el("p", { class: "links" }, "Files of this report: ",
      DATA.linked.flatMap((name, place) => [place ? " · " : "", el("a", { href: `./${name}` }, name)])),
    DATA.without ? el("p", { class: "notice" }, `Of ${DATA.without} results that did not pass, the evidence is not ` +
      "or not all in this page, which would be too large; links lead to its files.") : null,
    kernelTable(),
  ].filter(Boolean));
}

// What kernels took besides their tests.  Columns without a value of more than SHOWN_FROM_S are left out.
const STEPS = { fetch_s: "fetched in", build_s: "built in", probe_s: "tried KVM in", boot_s: "booted in" };
const SHOWN_FROM_S = 1;

function stepSeconds(kernel, step) {
  const seconds = kernel.preparation ? kernel.preparation[step] : 0;
  return seconds > SHOWN_FROM_S ? seconds : null;
}

// How it was run: kvm or tcg, and what the user has changed of the machine.
function machine(kernel) {
  return [kernel.accel, kernel.target, kernel.machine_options].filter(Boolean).join(", ");
}

function kernelTable() {
  const steps = Object.keys(STEPS).filter((step) => DATA.kernels.some((kernel) => stepSeconds(kernel, step)));
  const seconds = DATA.kernels.map(() => 0);
  for (const result of RESULTS) seconds[result.kernel] += result.seconds;
  const head = ["kernel", "release", "arch", "accel"].map((name) => el("th", { scope: "col" }, name));
  const statuses = DATA.statuses.filter((name) => name !== "untested");
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Kernels" }, el("table", { class: "kernels" },
    el("thead", {}, el("tr", {}, head, statuses.map((name) => el("th", { scope: "col", class: "number" }, name)),
      [...steps.map((step) => STEPS[step]), "tests took"].map((name) => el("th", { scope: "col", class: "number" }, name)))),
    el("tbody", {}, DATA.kernels.map((kernel, number) => {
      const counted = count(REQUIREMENTS.map((each) => DATA.statuses[each.status[number]]));
      return el("tr", {}, el("th", { scope: "row", class: "mono" }, kernel.id),
        [kernel.release, kernel.arch, machine(kernel)].map((text) => el("td", {}, text || "")),
        statuses.map((name) => el("td", { class: "number" }, counted[name]
          ? el("a", {
            class: `count ${TONES[name]}`, href: "#" + new URLSearchParams({ status: name, kernel: kernel.id }),
            "aria-label": `${counted[name]} promises ${name} on ${kernel.id}`,
          }, String(counted[name])) : el("span", { class: "nothing" }, "0"))),
        steps.map((step) => el("td", {
          class: "number", title: step === "boot_s" && kernel.preparation ? `${kernel.preparation.boots} boots` : null,
        }, shownSeconds(stepSeconds(kernel, step)))),
        el("td", { class: "number" }, shownSeconds(seconds[number])));
    }))));
}

function drawMatrix(view) {
  const kernels = shownKernels();
  const rows = REQUIREMENTS.filter((each) => passes("area", each.area) && hasWords(each.words) &&
    (state.status.size === 0 || kernels.some((number) => state.status.has(DATA.statuses[each.status[number]]))));
  said(`${rows.length} of ${REQUIREMENTS.length} promises, ${kernels.length} of ${DATA.kernels.length} kernels`);
  if (!rows.length || !kernels.length) {
    view.append(nothingHere(REQUIREMENTS.length ? "No promise matches." : "This run has no promises."));
    return;
  }
  const groups = AREAS.map((area) => [area, rows.filter((each) => each.area === area)]).filter(([, some]) => some.length);
  const table = el("table", {
    class: kernels.length > 3 ? "matrix upright" : "matrix", role: "grid", "aria-label": "Promises by kernel",
    click: openFrom, keydown: moveFrom, focusin: remember,
  },
  el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "corner" }, "promise"),
    kernels.map((number) => {
      const [name, ...flavor] = KERNEL_IDS[number].split("/");
      const kernel = DATA.kernels[number];
      const title = [kernel.id, kernel.release, machine(kernel)].filter(Boolean).join("\n");
      return el("th", { scope: "col", class: "kernel", title },
        el("span", { class: "name" }, el("b", {}, name), flavor.length ? el("span", {}, flavor.join("/")) : null));
    }))),
  groups.map(([area, some]) => el("tbody", {},
    el("tr", { class: "area" }, el("th", { scope: "rowgroup", colspan: kernels.length + 1 },
      el("span", {}, el("b", {}, area), ` ${some.length} promise${some.length === 1 ? "" : "s"}`))),
    some.map((each) => matrixRow(each, kernels)))));
  const box = el("div", { class: "scroll grid" }, table);
  view.append(box);
  // The sticky header and first column must not cover a cell that the keys reach.
  const corner = table.querySelector(".corner");
  box.style.scrollPadding = `${corner.offsetHeight}px 8px 8px ${corner.offsetWidth}px`;
  const cells = [...table.querySelectorAll("td")];
  const known = cells.find((cell) => cell.dataset.row === current.row && cell.dataset.kernel === current.kernel);
  (known || cells[0]).tabIndex = 0;
}

function matrixRow(requirement, kernels) {
  const versions = requirement.until ? `Linux ${requirement.since} to ${requirement.until}` : `since Linux ${requirement.since}`;
  return el("tr", {},
    el("th", { scope: "row", title: `${requirement.text}\n${requirement.source}; ${versions}` },
      el("code", {}, requirement.id), " ", el("span", { class: "sentence" }, requirement.text)),
    kernels.map((number) => {
      const status = DATA.statuses[requirement.status[number]];
      return el("td", {
        class: passes("status", status) ? TONES[status] : `${TONES[status]} aside`, tabindex: "-1",
        "data-row": requirement.id, "data-kernel": KERNEL_IDS[number], "data-status": status,
        "aria-label": `${requirement.id} on ${KERNEL_IDS[number]}: ${status}`,
      }, SIGNS[status]);
    }));
}
