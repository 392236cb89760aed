// One step of a cell, number by number: input, state before, gates, state after. And states over time.

import { decimals, find, make, resize, setAttributes } from "./dom.mjs";
import { legend, limitOf, strips } from "./strips.mjs";

const times = (...values) => values.map((value) => (value < 0 ? `(${decimals(value)})` : decimals(value))).join(" × ");
const percent = (value) => `${Math.round(100 * value)} %`;

/** Makes a drawing of one step of a cell. Its function draw(step) draws one. */
export function cellDrawing(app, name) {
  let rows = [];
  const drawing = strips({
    name,
    hint: "Point at a number, or use the arrow keys, to see how it is computed.",
    describe: (row, column) => `unit ${column + 1}: ${rows[row].tell(column)}`,
  });
  const share = legend("share", "gates"),
    signed = ["x", ...app.model.parts].map((part) => legend("signed", part));
  const element = make(
    "div",
    { className: "cell" },
    drawing.element,
    make("div", { className: "legends" }, share.element, ...signed.map((key) => key.element)),
  );

  function lstmRows({ x, before, gates: { i, j, f, o }, state: { c, h } }, limit) {
    return [
      ...beforeRows(x, before, limit),
      {
        label: "f forget",
        values: f,
        scale: "share",
        gap: true,
        tell: (u) => `f = ${decimals(f[u])}. It keeps ${percent(f[u])} of c, which was ${decimals(before.c[u])}.`,
      },
      {
        label: "i input",
        values: i,
        scale: "share",
        tell: (u) => `i = ${decimals(i[u])}. It adds ${percent(i[u])} of j, which is ${decimals(j[u])}.`,
      },
      {
        label: "j new",
        values: j,
        scale: "signed",
        limit: 1,
        tell: (u) => `j = ${decimals(j[u])}, what could be added to c`,
      },
      {
        label: "o output",
        values: o,
        scale: "share",
        tell: (u) => `o = ${decimals(o[u])}. It shows ${percent(o[u])} of tanh(c′).`,
      },
      {
        label: "c′ after",
        values: c,
        scale: "signed",
        limit,
        gap: true,
        tell: (u) => `c′ = f c + i j = ${times(f[u], before.c[u])} + ${times(i[u], j[u])} = ${decimals(c[u])}`,
      },
      {
        label: "h′ after",
        values: h,
        scale: "signed",
        limit: 1,
        tell: (u) => `h′ = o tanh(c′) = ${times(o[u], Math.tanh(c[u]))} = ${decimals(h[u])}`,
      },
    ];
  }

  function gruRows({ x, before, gates: { r, u, candidate }, state: { h } }) {
    return [
      ...beforeRows(x, before, 1),
      {
        label: "r reset",
        values: r,
        scale: "share",
        gap: true,
        tell: (k) => `r = ${decimals(r[k])}. The candidate reads ${percent(r[k])} of h.`,
      },
      {
        label: "u update",
        values: u,
        scale: "share",
        tell: (k) => `u = ${decimals(u[k])}. It keeps ${percent(u[k])} of h, which was ${decimals(before.h[k])}.`,
      },
      {
        label: "new",
        values: candidate,
        scale: "signed",
        limit: 1,
        tell: (k) => `candidate = ${decimals(candidate[k])}, what could be added`,
      },
      {
        label: "h′ after",
        values: h,
        scale: "signed",
        limit: 1,
        gap: true,
        tell: (k) =>
          `h′ = u h + (1 − u) candidate = ${times(u[k], before.h[k])} + ${times(1 - u[k], candidate[k])} ` +
          `= ${decimals(h[k])}`,
      },
    ];
  }

  function beforeRows(x, before, limit) {
    const size = app.run.config.input_embedding_size;
    const context = app.run.config.attention === "luong" ? "of the attentional state" : "of the attended context";
    const part = (u) => (app.layer > 0 ? `of h of layer ${app.layer}` : u < size ? "of the embedding" : context);
    const states = Object.entries(before).map(([name, values]) => ({
      label: `${name} before`,
      values,
      scale: "signed",
      limit: name === "c" ? limit : 1,
      tell: (u) => `${name} = ${decimals(values[u])} before the step`,
    }));
    return [
      {
        label: "x input",
        values: x,
        scale: "signed",
        limit: limitOf([x]),
        tell: (u) => `x = ${decimals(x[u])}, a number ${part(u)}`,
      },
      ...states,
    ];
  }

  return {
    element,
    draw(step) {
      const limit = step.state.c ? limitOf([step.state.c, step.before.c]) : 1;
      rows = step.state.c ? lstmRows(step, limit) : gruRows(step);
      drawing.draw(rows, { cellWidth: 18, cellHeight: 15 });
      share.draw();
      [limitOf([step.x]), ...(step.state.c ? [limit] : []), 1].forEach((most, index) => signed[index].draw(most));
    },
  };
}

/**
 * Makes drawings of states over time: a column for each step, above it a button with its symbol.
 *   choose(step): called by a click on a step.  describe(part, unit, step): returns the readout.
 */
export function timeline(app, title, choose, describe, parts = app.model.parts) {
  const buttons = make("div", { className: "timeline-steps", role: "group", "aria-label": `Steps: ${title}` }),
    drawings = new Map();
  const inner = make("div", { className: "timeline-inner" }, make("span"), buttons);
  const element = make(
    "figure",
    { className: "timeline" },
    make("figcaption", {}, title),
    make("div", { className: "scroll", tabIndex: -1 }, inner),
  );
  const readout = make("p", { className: "readout" });
  for (const part of parts) {
    const drawing = strips({
      readout,
      name: `${title}: ${part}, a row for each unit, a column for each step`,
      describe: (row, column) => describe(part, row, column),
      activate: (_, column) => choose(column),
    });
    drawings.set(part, drawing);
    inner.append(make("b", {}, part), drawing.element);
  }
  const keys = make("div", { className: "legends" }),
    legends = parts.map((part) => legend("signed", part));
  keys.append(...legends.map((key) => key.element));
  element.append(readout, keys);
  arrowKeys(buttons);
  return {
    element,
    /** symbols: of the columns. states: {c, h} or {h} of each column. selected: a column or null. */
    draw(symbols, states, selected, labels) {
      const longest = Math.max(...symbols.map((symbol) => app.label(symbol).length));
      const widest = Math.min(96, Math.max(44, 10 * longest + 8)); // pixels of a column
      inner.style.minWidth = `${symbols.length * (widest > 44 ? 44 : 24) + 24}px`;
      buttons.style.setProperty("--columns", symbols.length);
      buttons.style.setProperty("--widest", `${widest}px`);
      resize(buttons, symbols.length, () => make("button", { type: "button", className: "chip" })).forEach(
        (button, column) => {
          app.showSymbol(button, symbols[column]);
          button.onclick = () => choose(column);
          button.tabIndex = column === (selected ?? 0) ? 0 : -1;
          setAttributes(button, { "aria-pressed": column === selected, "aria-label": labels[column] });
        },
      );
      parts.forEach((part, index) => {
        const vectors = states.map((state) => state[part]),
          limit = part === "c" ? limitOf(vectors) : 1,
          units = vectors[0].length;
        const rows = Array.from({ length: units }, (_, unit) => ({
          values: vectors.map((vector) => vector[unit]),
          scale: "signed",
          limit,
        }));
        drawings
          .get(part)
          .draw(rows, { cellWidth: widest, cellHeight: Math.max(1.5, Math.min(8, 260 / units)), selected, left: 0 });
        legends[index].draw(limit);
      });
    },
  };
}

/** Lets the arrow keys move between the buttons of a group. */
export function arrowKeys(group) {
  group.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key],
      buttons = [...group.querySelectorAll("button")];
    const next = step && buttons[buttons.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.click();
    next.focus();
  });
}

/** Adds buttons for the previous and the next step. go(difference) returns whether there is such a step. */
export function stepper(app, where, go) {
  const buttons = [
    [-1, "‹", "The step before"],
    [1, "›", "The next step"],
  ].map(([difference, text, name]) => [
    difference,
    make(
      "button",
      {
        type: "button",
        "aria-label": name,
        title: name,
        onclick: () => {
          go(difference, true);
          app.update();
        },
      },
      text,
    ),
  ]);
  find(where).prepend(...buttons.map(([, button]) => button));
  app.whenUpdated(() =>
    buttons.forEach(([difference, button]) => {
      button.disabled = !go(difference, false);
    }),
  );
}

/** Adds buttons to choose a layer, if there are several. */
export function layerChoice(app, where) {
  const { layers } = app.run.config;
  if (layers < 2) return;
  const buttons = Array.from({ length: layers }, (_, layer) =>
    make(
      "button",
      {
        type: "button",
        onclick: () => {
          app.layer = layer;
          app.update();
        },
      },
      `layer ${layer + 1}`,
    ),
  );
  find(where).after(make("div", { className: "segments layers", role: "group", "aria-label": "Layer" }, ...buttons));
  app.whenUpdated(() => buttons.forEach((button, layer) => button.setAttribute("aria-pressed", layer === app.layer)));
}
