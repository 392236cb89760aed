// The map of dependence, how it grew, and the map of attention.

import { colorOf, css, whenThemeChanges } from "./colors.mjs";
import { dependence } from "./dependence.mjs";
import { find, inSlices, make, ordinal, probability, write } from "./dom.mjs";
import { keyOf } from "./state.mjs";
import { legend, strips } from "./strips.mjs";

export function mapSection(app) {
  const { run } = app,
    found = new Map(); // maps by moment and sequence
  const drawing = strips({
    name: "Map: a row for each symbol of the answer, a column for each symbol of the input",
    describe: (row, column) => {
      const { rows, steps, sequence } = shown,
        isWhole = rows.length === steps.length && rows[0].length === sequence.length;
      const share = probability(rows[row][column]);
      if (!isWhole) return `row ${row + 1}, column ${column + 1}: ${share}`;
      const written = `the ${ordinal(row + 1)} symbol written, ${app.label(steps[row])}`;
      return `${written}, depends on the ${ordinal(column + 1)} read, ${app.label(sequence[column])}: ${share}`;
    },
  });
  const attention = strips({
    name: "Map of attention: a row for each symbol of the answer, a column for each symbol of the input",
    describe: (row, column) => {
      const { prediction, alignment } = app.steps[row];
      const place = `the ${ordinal(column + 1)} symbol, ${app.label(app.sequence[column])}`;
      return `step ${row + 1}, ${app.label(prediction)}, looks at ${place}: ${probability(alignment[column])}`;
    },
  });
  const progress = make("p", { className: "readout" }),
    key = legend("share", "mean change"),
    attentionKey = legend("share", "weight");
  find("dependence-map").append(make("h3", {}, "Change of probability"), drawing.element, progress, key.element);
  if (run.config.attention !== "none")
    find("attention-map").append(make("h3", {}, "Where the decoder looks"), attention.element, attentionKey.element);
  key.draw();
  attentionKey.draw();

  const small = run.moments.map(({ batch }, moment) => {
    const canvas = make("canvas", { width: 1, height: 1 }),
      text = `batch ${batch.toLocaleString("en")}`;
    const choose = () => {
      app.moment = moment;
      app.update();
    };
    return {
      canvas,
      button: make("button", { type: "button", onclick: choose, "aria-label": `weights after ${text}` }, canvas, text),
    };
  });
  if (run.moments.length > 1)
    find("growth").append(
      make("h3", {}, "How it grew"),
      make("div", { className: "growth" }, ...small.map(({ button }) => button)),
    );

  let shown = null,
    stop = () => {},
    asked = "",
    isNear = false,
    timer = null;
  const near = new IntersectionObserver(
    ([entry]) => {
      isNear = entry.isIntersecting;
      if (isNear) measure();
    },
    { rootMargin: "400px" },
  );
  near.observe(find("dependence"));

  /** Measures the map of the current moment, then the maps of the others, in the background. */
  function measure() {
    stop();
    if (!isNear) return;
    const sequence = app.sequence,
      order = [app.moment, ...run.moments.keys()];
    const moment = order.find((candidate) => !found.has(keyOf(candidate, sequence)));
    if (moment === undefined) return write(progress, "");
    stop = inSlices(
      dependence(run.model(moment), sequence),
      (share) => {
        write(progress, moment === app.moment ? `measuring: ${Math.round(100 * share)} %` : "");
      },
      (rows) => {
        if (found.size > 200) found.clear();
        found.set(keyOf(moment, sequence), rows);
        draw();
        measure();
      },
    );
  }

  function draw() {
    const rows = found.get(keyOf(app.moment, app.sequence));
    drawing.element.classList.toggle("stale", !rows);
    if (rows) {
      shown = { rows, sequence: app.sequence, steps: app.plain.map(({ prediction }) => prediction) };
      const isWhole = rows.length === shown.steps.length && rows[0].length === app.sequence.length;
      const labelled = rows.map((values, row) => ({
        values,
        scale: "share",
        label: isWhole ? app.label(shown.steps[row]) : "",
      }));
      drawing.draw(labelled, {
        cellWidth: 36,
        cellHeight: Math.max(6, Math.min(30, 480 / rows.length)),
        columnLabels: isWhole ? app.sequence.map(app.label) : [],
      });
    }
    small.forEach(({ canvas, button }, moment) => {
      const values = found.get(keyOf(moment, app.sequence));
      button.setAttribute("aria-pressed", moment === app.moment);
      canvas.classList.toggle("stale", !values);
      if (values) drawSmall(canvas, values);
    });
  }

  function drawSmall(canvas, values) {
    const size = Math.max(1, Math.floor(160 / values.length)),
      context = canvas.getContext("2d");
    Object.assign(canvas, { width: size * values[0].length, height: size * values.length });
    values.forEach((row, top) =>
      row.forEach((value, left) => {
        context.fillStyle = css(colorOf("share", value));
        context.fillRect(left * size, top * size, size, size);
      }),
    );
  }

  function update() {
    if (app.steps[0].alignment) {
      const rows = app.steps.map(({ alignment, prediction }) => ({
        values: alignment,
        scale: "share",
        label: app.label(prediction),
      }));
      attention.draw(rows, {
        cellWidth: 36,
        cellHeight: Math.max(6, Math.min(30, 480 / rows.length)),
        columnLabels: app.sequence.map(app.label),
      });
    }
    draw();
    if (asked === app.key) return;
    asked = app.key;
    stop();
    clearTimeout(timer);
    timer = setTimeout(measure, 120);
  }

  whenThemeChanges(draw);
  return update;
}
