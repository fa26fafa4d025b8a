// SPDX-License-Identifier: GPL-2.0-or-later
// The keys in a matrix: arrows move, Enter opens.

// The cell that Tab reaches; the arrow keys move it.
let current = { row: "", kernel: "" };

function cellOf(event) {
  return event.target.closest("table.matrix td");
}

function openFrom(event) {
  const cell = cellOf(event);
  if (cell) openPanel({ promise: cell.dataset.row, on: cell.dataset.kernel, test: "" });
}

function remember(event) {
  const cell = cellOf(event);
  if (!cell) return;
  for (const other of cell.closest("table").querySelectorAll('td[tabindex="0"]')) other.tabIndex = -1;
  cell.tabIndex = 0;
  current = { row: cell.dataset.row, kernel: cell.dataset.kernel };
}

function moveFrom(event) {
  const cell = cellOf(event);
  if (!cell || event.altKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    openFrom(event);
    return;
  }
  const rows = [...cell.closest("table").querySelectorAll("tbody tr:not(.area)")];
  const row = cell.parentElement;
  const [y, x] = [rows.indexOf(row), [...row.querySelectorAll("td")].indexOf(cell)];
  const lastX = row.querySelectorAll("td").length - 1;
  const lastY = rows.length - 1;
  const to = {
    ArrowUp: [y - 1, x], ArrowDown: [y + 1, x], ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1],
    PageUp: [y - 10, x], PageDown: [y + 10, x],
    Home: [event.ctrlKey ? 0 : y, 0], End: [event.ctrlKey ? lastY : y, lastX],
  }[event.key];
  if (!to) return;
  event.preventDefault();
  const next = rows[Math.min(lastY, Math.max(0, to[0]))].querySelectorAll("td")[Math.min(lastX, Math.max(0, to[1]))];
  next.focus();
}
