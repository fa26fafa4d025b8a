// SPDX-License-Identifier: GPL-2.0-or-later
// What every page is made of: elements, badges, shapes, and the embedded data.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);

// Never colour alone: each word has a sign, and the sign a label.
const SIGNS = {
  held: "✓", broken: "✗", unknown: "?", waived: "w", skipped: "–", untested: "·",
  flaky: "~",
  pass: "✓", fail: "✗", error: "?", skip: "–", "unexpected-pass": "!",
};
const TONES = {
  held: "good", pass: "good", broken: "bad", fail: "bad", flaky: "bad", unknown: "odd", error: "odd", waived: "known",
  "unexpected-pass": "known", skipped: "none", skip: "none", untested: "none",
  "newly failing": "bad", "newly flaky": "bad", "new errors": "odd", "newly waived": "known", "newly passing": "good",
  "no longer applicable": "none", "applicable now": "none", "changed reason": "odd", new: "known", gone: "known",
};

// The promise status in whose colour an exit status is drawn.
const EXIT_TONES = { 0: "held", 1: "broken", 5: "untested" };

// An element.  Text is only ever inserted as text.
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function badge(word, number = null) {
  return el("span", { class: `badge ${TONES[word] || "none"}` },
    el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[word] || "•"),
    number === null ? word : `${number} ${word}`);
}

function count(values) {
  const counted = {};
  for (const value of values) counted[value] = (counted[value] || 0) + 1;
  return counted;
}

function shownSeconds(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds >= 119.5) {
    const whole = Math.round(seconds);
    return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  return seconds >= 10 ? `${seconds.toFixed(0)} s` : seconds >= 1 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds * 1000)} ms`;
}

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat());
  return made;
}

function label(x, y, text, anchor = "start", kind = "") {
  return svg("text", { x, y, "text-anchor": anchor, class: kind }, text);
}
