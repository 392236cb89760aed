// Draws rows of numbers as colours: states, gates, and maps. Pointer and arrow keys read single numbers.

import { colorOf, css, gradient, isDark, textOn, whenThemeChanges } from "./colors.mjs";
import { decimals, make, setAttributes, write } from "./dom.mjs";

const LABEL = "12px system-ui, sans-serif";
const all = new Set(); // drawings, to be redrawn when their width or the theme changes

const resized =
  globalThis.ResizeObserver && new ResizeObserver((entries) => entries.forEach(({ target }) => target.redraw()));
whenThemeChanges(() => all.forEach((drawing) => drawing.redraw()));

/**
 * Makes a drawing.
 *   name: its content, for a screen reader.
 *   describe(row, column): returns the readout for a cell.
 *   activate(row, column): called by a click or the Enter key, if anything.
 *   hint: the readout if no cell is chosen.  readout: an element for it that several drawings share.
 * Returns {element, draw}. draw() takes rows of {label, values, scale, limit, gap}, and options: the largest cell
 * (cellWidth, cellHeight), columnLabels, selected (a column) and mark(row, column).
 */
export function strips({ name, describe, activate, hint = "", readout = null }) {
  const canvas = make("canvas", { tabIndex: 0, width: 1, height: 1 }),
    ownReadout = readout ? [] : [make("p", { className: "readout" }, hint)];
  readout ??= ownReadout[0];
  const keys = activate ? "map: arrow keys move, Enter changes" : "map: arrow keys move";
  setAttributes(canvas, { role: "application", "aria-label": name, "aria-roledescription": keys });
  const element = make("div", { className: "strips", hidden: true }, canvas, ...ownReadout);
  let rows = [],
    options = {},
    cursor = null,
    box = null;

  function place() {
    const context = canvas.getContext("2d");
    context.font = LABEL;
    const widest = Math.max(0, ...rows.map((row) => context.measureText(row.label ?? "").width));
    const columns = Math.max(1, ...rows.map((row) => row.values.length));
    const width = element.clientWidth || 300,
      left = options.left ?? (widest ? Math.min(Math.ceil(widest) + 8, width / 3) : 0);
    const cell = Math.min(options.cellWidth ?? 16, (width - left) / columns),
      height = options.cellHeight ?? cell;
    const labels = options.columnLabels ?? [],
      widestLabel = Math.max(0, ...labels.map((text) => context.measureText(text).width));
    const isTurned = widestLabel > cell - 2,
      bottom = labels.length ? (isTurned ? Math.min(90, widestLabel + 8) : 18) : 0;
    const tops = [];
    let top = 0;
    for (const row of rows) {
      top += row.gap ? 6 : 0;
      tops.push(top);
      top += height;
    }
    return {
      left,
      cell,
      height,
      tops,
      labels,
      isTurned,
      width: left + cell * columns,
      total: top + bottom,
      grid: top,
    };
  }

  function redraw() {
    if (!element.isConnected || !rows.length) return;
    box = place();
    const scale = globalThis.devicePixelRatio || 1,
      context = canvas.getContext("2d"),
      style = getComputedStyle(element);
    canvas.width = Math.ceil(box.width * scale);
    canvas.height = Math.ceil(box.total * scale);
    canvas.style.width = `${canvas.width / scale}px`;
    canvas.style.height = `${canvas.height / scale}px`;
    context.scale(scale, scale);
    const accent = style.getPropertyValue("--accent"),
      text = style.color;
    const gap = box.cell > 7 && box.height > 7 ? 1 : box.cell > 7 && box.height > 3 ? 0.5 : 0;
    rows.forEach((row, index) => {
      const top = box.tops[index];
      row.values.forEach((value, column) => {
        const color = colorOf(row.scale, value, row.limit),
          left = box.left + column * box.cell;
        context.fillStyle = css(color);
        context.fillRect(left, top, box.cell - (box.cell > 7 ? 1 : 0), box.height - gap);
        const mark = options.mark?.(index, column);
        if (mark) drawMark(context, mark, left, top, box, textOn(color));
      });
      if (row.label) {
        context.font = LABEL;
        context.textBaseline = "middle";
        context.textAlign = "right";
        context.fillStyle = text;
        if (box.height > 9 || index % Math.ceil(12 / box.height) === 0)
          context.fillText(row.label, box.left - 6, top + box.height / 2, box.left - 6);
      }
    });
    context.font = LABEL;
    context.fillStyle = text;
    box.labels.forEach((label, column) => {
      context.save();
      context.translate(box.left + (column + 0.5) * box.cell - 0.5, box.grid + 4);
      if (box.isTurned) context.rotate(-Math.PI / 2);
      context.textAlign = box.isTurned ? "right" : "center";
      context.textBaseline = box.isTurned ? "middle" : "top";
      if (!box.isTurned || box.cell > 9 || column % Math.ceil(12 / box.cell) === 0)
        context.fillText(label, box.isTurned ? -2 : 0, 0, box.isTurned ? 84 : undefined);
      context.restore();
    });
    if (options.selected != null) frame(context, options.selected, 0, box.grid, accent, 2);
    if (cursor) {
      frame(context, cursor.column, 0, box.grid, isDark() ? "#ffffff66" : "#00000055", 1);
      frame(context, cursor.column, box.tops[cursor.row], box.height, text, 1.5);
    }
  }

  function frame(context, column, top, height, color, width) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.strokeRect(box.left + column * box.cell + 0.25, top + 0.5, box.cell - 1, height - 1);
  }

  function moveTo(next) {
    cursor = next;
    write(readout, cursor ? describe(cursor.row, cursor.column) : hint);
    redraw();
  }

  function cellAt(event) {
    if (!box) return null;
    const bounds = canvas.getBoundingClientRect(),
      x = event.clientX - bounds.left,
      y = event.clientY - bounds.top;
    const column = Math.floor((x - box.left) / box.cell),
      row = box.tops.findIndex((top) => y >= top && y < top + box.height);
    return row >= 0 && column >= 0 && column < rows[row].values.length ? { row, column } : null;
  }

  canvas.addEventListener("pointermove", (event) => moveTo(cellAt(event)));
  canvas.addEventListener("pointerleave", () => moveTo(null));
  canvas.addEventListener("blur", () => moveTo(null));
  canvas.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (cell && activate) activate(cell.row, cell.column);
    if (cell) moveTo(cell);
  });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!rows.length || event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) {
      const [down, right] = cursor ? moves[event.key] : [0, 0],
        at = cursor ?? { row: 0, column: 0 };
      const row = Math.min(rows.length - 1, Math.max(0, at.row + down));
      setAttributes(readout, { "aria-live": "polite" }); // with a pointer, a screen reader would say too much
      moveTo({ row, column: Math.min(rows[row].values.length - 1, Math.max(0, at.column + right)) });
    } else if ((event.key === "Enter" || event.key === " ") && cursor && activate) {
      activate(cursor.row, cursor.column);
      moveTo(cursor);
    } else if (event.key === "Escape") {
      moveTo(null);
    } else return;
    event.preventDefault();
  });

  element.redraw = redraw;
  resized?.observe(element);
  all.add(element);
  return {
    element,
    draw(newRows, newOptions = {}) {
      rows = newRows;
      options = newOptions;
      if (cursor && !(cursor.row < rows.length && cursor.column < rows[cursor.row].values.length)) cursor = null;
      element.hidden = !rows.length;
      canvas.style.cursor = activate ? "pointer" : "crosshair";
      if (cursor) write(readout, describe(cursor.row, cursor.column));
      redraw();
    },
  };
}

function drawMark(context, mark, left, top, { cell, height }, color) {
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = 1.5;
  context.beginPath();
  const size = Math.min(cell, height) * 0.22,
    x = left + (cell - 1) / 2,
    y = top + (height - 1) / 2;
  if (mark === "zero") {
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size);
    context.lineTo(x - size, y + size);
    context.stroke();
  } else {
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.fill();
  }
}

/** Makes the legend of a scale of colours, from its lowest to its highest value. */
export function legend(scale, text) {
  const bar = make("span", { className: "ramp" }),
    low = make("span"),
    high = make("span");
  const element = make("p", { className: "legend" }, text, " ", low, bar, high);
  whenThemeChanges(() => {
    bar.style.background = gradient(scale);
  });
  return {
    element,
    draw(limit = 1) {
      bar.style.background = gradient(scale);
      const digits = limit < 0.95 ? 3 : 1;
      write(low, scale === "share" ? "0" : decimals(-limit, digits));
      write(high, scale === "share" ? "1" : decimals(limit, digits));
    },
  };
}

/** Returns the largest absolute value among vectors, for a scale of both signs. */
export const limitOf = (vectors) =>
  Math.max(1e-9, ...vectors.map((vector) => vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
