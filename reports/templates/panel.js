// SPDX-License-Identifier: GPL-2.0-or-later
// The panel: a dialog above the page, whose content the address names.

let opener = null;

function openPanel(what) {
  opener = document.activeElement;
  change(what, { redraw: false });
  drawPanel();
}

// Show what the address names; close the panel if it names nothing, or nothing that exists.
function drawPanel() {
  const panel = document.getElementById("panel");
  const content = state.test ? aTest() : state.promise ? aPromise() : null;
  if (!content) {
    if (panel.open) panel.close();
    return;
  }
  panel.replaceChildren(
    el("form", { method: "dialog", class: "close" },
      el("button", { "aria-label": "Close", title: "Close (Esc)", autofocus: true }, "×")),
    ...content.filter(Boolean));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}

function closed() {
  const cell = [...document.querySelectorAll("table.matrix td")].find((each) =>
    each.dataset.row === state.promise && each.dataset.kernel === state.on);
  change({ promise: "", on: "", test: "" }, { redraw: false });
  const back = opener && opener.isConnected && opener !== document.body ? opener : cell;
  opener = null;
  (back || document.getElementById("view")).focus();
}
