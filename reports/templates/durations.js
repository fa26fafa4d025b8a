// SPDX-License-Identifier: GPL-2.0-or-later
// How long the tests took: by area, by kernel, and the slowest; on a logarithmic scale, because they differ by a factor
// of thousands.

const SLOWEST = 20;

function drawDurations(view) {
  const found = shownResults().filter((each) => each.outcome !== "skip");
  said(`${found.length} of ${RESULTS.length} tests; skipped ones are left out`);
  if (!found.length) {
    view.append(nothingHere("No matching test ran."));
    return;
  }
  const width = Math.max(280, Math.min(view.clientWidth, 860));
  const scale = logScale(found.map((each) => each.seconds));
  view.append(
    el("section", {}, el("h2", {}, "By area"), el("p", { class: "about" }, "How many tests took how long."),
      el("div", { class: "plots" }, groupsOf(found, (each) => each.area || "(no area)")
        .map(([area, some]) => histogram(area, some, scale, Math.min(width, 420))))),
    el("section", {}, el("h2", {}, "By kernel"),
      el("p", { class: "about" }, "The line is the range, the box the middle half, the mark the median."),
      boxes(groupsOf(found, (each) => KERNEL_IDS[each.kernel]), scale, width)),
    el("section", {}, el("h2", {}, "The slowest tests"), slowest(found)));
}

function groupsOf(found, key) {
  const groups = new Map();
  for (const each of found) {
    if (!groups.has(key(each))) groups.set(key(each), []);
    groups.get(key(each)).push(each);
  }
  return [...groups];
}

// From the power of ten below the shortest test to the one above the longest; at least a millisecond.
function logScale(seconds) {
  const log = (value) => Math.log10(Math.max(value, 0.001));
  const low = Math.floor(Math.min(...bounds(seconds).map(log)));
  const high = Math.max(low + 1, Math.ceil(Math.max(...bounds(seconds).map(log))));
  const ticks = Array.from({ length: high - low + 1 }, (_, step) => 10 ** (low + step));
  return { at: (value) => (log(value) - low) / (high - low), ticks, steps: (high - low) * 4 };
}

function bounds(values) {
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

function axis(scale, left, right, top, bottom) {
  return scale.ticks.flatMap((tick) => {
    const x = left + scale.at(tick) * (right - left);
    const anchor = tick === scale.ticks[0] ? "start" : tick === scale.ticks.at(-1) ? "end" : "middle";
    return [svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: "rule" }), label(x, bottom + 14, shownTick(tick), anchor, "tick")];
  });
}

function shownTick(seconds) {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds} s`;
}

function histogram(area, some, scale, width) {
  const [left, right, top, bottom] = [2, width - 2, 28, 108];
  const bins = Array(scale.steps).fill(0);
  for (const each of some) bins[Math.min(scale.steps - 1, Math.floor(scale.at(each.seconds) * scale.steps))] += 1;
  const most = Math.max(...bins);
  const wide = (right - left) / scale.steps;
  const total = some.reduce((sum, each) => sum + each.seconds, 0);
  const title = `${area}: ${some.length} tests, ${shownSeconds(total)} together`;
  return svg("svg", { width, height: 128, viewBox: `0 0 ${width} 128`, role: "img", "aria-label": title },
    label(left, 12, title, "start", "title"),
    axis(scale, left, right, top, bottom),
    bins.flatMap((number, place) => {
      if (!number) return [];
      const height = Math.max(1.5, (number / most) * (bottom - top - 12));
      const x = left + place * wide;
      return [svg("rect", { x: x + 1, y: bottom - height, width: Math.max(1, wide - 2), height, class: "bar" },
        svg("title", {}, `${number} tests`)),
      label(x + wide / 2, bottom - height - 3, String(number), "middle", "tick")];
    }));
}

function boxes(groups, scale, width) {
  const [left, right, step] = [2, width - 2, 40];
  const bottom = groups.length * step + 4;
  const shown = groups.map(([kernel, some], place) => {
    const sorted = some.map((each) => each.seconds).sort((a, b) => a - b);
    const part = (share) => sorted[Math.round((sorted.length - 1) * share)];
    const x = (share) => left + scale.at(part(share)) * (right - left);
    const y = place * step + 30;
    return [
      label(left, y - 12, kernel, "start", "name"),
      label(right, y - 12, `median ${shownSeconds(part(0.5))}, longest ${shownSeconds(part(1))}`, "end", "tick wide-only"),
      svg("line", { x1: x(0), x2: x(1), y1: y, y2: y, class: "range" }),
      svg("rect", { x: x(0.25), y: y - 5, width: Math.max(2, x(0.75) - x(0.25)), height: 10, class: "bar" }),
      svg("line", { x1: x(0.5), x2: x(0.5), y1: y - 7, y2: y + 7, class: "median" }),
      svg("title", {}, `${kernel}: ${shownSeconds(part(0))} to ${shownSeconds(part(1))}, median ${shownSeconds(part(0.5))}`),
    ];
  });
  return svg("svg", {
    width, height: bottom + 20, viewBox: `0 0 ${width} ${bottom + 20}`, role: "img", "aria-label": "Durations by kernel",
  }, axis(scale, left, right, 6, bottom), shown.map((some) => svg("g", {}, some)));
}

function slowest(found) {
  const worst = [...found].sort(ORDERS.slowest).slice(0, SLOWEST);
  return el("ol", { class: "slowest" }, worst.map((each) => {
    const bar = el("span", { class: "length", "aria-hidden": "true" });
    bar.style.width = `${Math.max(0.5, (each.seconds / (worst[0].seconds || 1)) * 100)}%`;
    return el("li", {}, el("span", { class: "number" }, shownSeconds(each.seconds)),
      el("span", { class: "mono long" }, testButton(each)), el("span", { class: "track" }, bar));
  }));
}
