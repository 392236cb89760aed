// The encoder, symbol by symbol, and the state that it leaves: its parts, and the user's changes to them.

import { cellDrawing, layerChoice, stepper, timeline } from "./cell.mjs";
import { parse, unparse } from "./data.mjs";
import { counted, decimals, find, make, ordinal, write } from "./dom.mjs";
import { predictions } from "./model.mjs";
import { OWN, ZERO, stateParts } from "./state.mjs";
import { legend, limitOf, strips } from "./strips.mjs";

const SIDES = { forward: "from the left", backward: "from the right" };

export function encoderSection(app) {
  const { directions, isGru } = app.model,
    units = app.run.config.encoder_hidden_units,
    cell = isGru ? "a GRU" : "an LSTM";
  const reads =
    directions.length > 1
      ? `Two cells read the sequence, one from each end. Each is ${cell}.`
      : `One cell reads the sequence, from the left. It is ${cell}.`;
  const holds = isGru
    ? `${counted(units, "number")}: h, its memory and its output`
    : `${counted(units, "number")} c, its memory, and ${units.toLocaleString("en")} h, its output`;
  write(
    find("encoder-text"),
    `${reads} After each symbol it holds ${holds}. Each column below shows them: red is above 0, blue is below 0. ` +
      "Choose a step to see its gates.",
  );
  const encode = directions.length > 1 ? "encode" : "encode_forward";
  find("encoder-text").after(app.links({ encode, cell: isGru ? "GRUCell" : "LSTMCell" }));
  layerChoice(app, "encoder-text");
  const maps = new Map(
    directions.map((direction) => {
      const choose = (place) => {
        app.encoderStep = { direction, place };
        app.update();
      };
      const describe = (part, unit, place) => {
        const { state } = stepAt(direction, place).layers[app.layer];
        return `${part}, unit ${unit + 1}, after ${app.label(app.sequence[place])}: ${decimals(state[part][unit])}`;
      };
      return [direction, timeline(app, `${direction}: ${SIDES[direction]}`, choose, describe)];
    }),
  );
  find("encoder-maps").append(...[...maps.values()].map(({ element }) => element));
  const drawing = cellDrawing(app, "The step that was chosen: input, state, gates");
  find("encoder-cell").append(drawing.element);
  stepper(app, "encoder-step", (difference, goes) => {
    const { direction, place } = app.encoderStep,
      next = place + (direction === "forward" ? difference : -difference);
    if (goes) app.encoderStep = { direction, place: next };
    return next >= 0 && next < app.sequence.length;
  });

  function stepAt(direction, place) {
    return app.encoded.directions[direction][direction === "forward" ? place : app.sequence.length - 1 - place];
  }

  return () => {
    const last = app.sequence.length - 1;
    const { direction: chosen, place: chosenPlace } = app.encoderStep;
    for (const [direction, map] of maps) {
      const states = app.sequence.map((_, place) => stepAt(direction, place).layers[app.layer].state);
      const labels = app.sequence.map(
        (symbol, place) => `${app.label(symbol)}, step ${(direction === "forward" ? place : last - place) + 1}`,
      );
      map.draw(app.sequence, states, direction === chosen ? chosenPlace : null, labels);
    }
    const step = chosen === "forward" ? chosenPlace : last - chosenPlace;
    const end = step === last ? " It passes this state on." : step === 0 ? " It starts from zeros." : "";
    const which = `${chosen === "forward" ? "Forward" : "Backward"}, ${ordinal(step + 1)} step`;
    write(find("encoder-step-title"), `${which}: it reads ${app.label(app.sequence[chosenPlace])}.${end}`);
    drawing.draw(stepAt(chosen, chosenPlace).layers[app.layer]);
  };
}

export function stateSection(app) {
  const {
      model: { isGru, directions },
      run: { config },
    } = app,
    size = config.encoder_hidden_units * directions.length;
  const joined = directions.length > 1 ? "The final states of both are joined: " : "What it holds at the end: ";
  const count = size * (isGru ? 1 : 2) * config.layers,
    knows =
      config.attention === "none"
        ? "They are all that the decoder learns about the symbols."
        : "The decoder starts from them. With attention, it looks back at the encoder's outputs too.";
  write(
    find("state-text"),
    `${joined}${counted(count, "number")}. ${knows} ` +
      "Click a number to make it zero, again to take it from the other sequence, a third time to restore it.",
  );
  find("state-text").after(
    app.links({ concatenate_states: directions.length > 1 ? "concatenate_states" : "encode_forward" }),
  );
  const readout = make(
    "p",
    { className: "readout" },
    "Point at a number, or use the arrow keys, to read it. Enter changes it.",
  );
  const rows = stateParts(app.model).map((place) => {
    const { layer, part, start, end, title } = place,
      marks = () => app.marks[layer][part].subarray(start, end);
    const drawing = strips({
      readout,
      hint: readout.textContent,
      name: `${title}: the numbers that the decoder starts from`,
      describe: (_, unit) => {
        const own = app.encoded.state[layer][part][start + unit],
          other = app.otherEncoded.state[layer][part][start + unit];
        const says = ["its own", "now zero", "now from the other sequence"][marks()[unit]];
        return `${title}, unit ${unit + 1}: ${decimals(own)}; in the other sequence ${decimals(other)}. It is ${says}.`;
      },
      activate: (_, unit) => {
        marks()[unit] = (marks()[unit] + 1) % 3;
        app.update();
      },
    });
    const buttons = ["own", "zero", "other"].map((text, mark) =>
      make(
        "button",
        {
          type: "button",
          title: `all ${counted(end - start, "number")}`,
          onclick: () => {
            marks().fill(mark);
            app.update();
          },
        },
        text,
      ),
    );
    const choice = make(
      "div",
      { className: "segments", role: "group", "aria-label": `${title}, all numbers` },
      ...buttons,
    );
    find("state-rows").append(make("div", { className: "state-row" }, make("b", {}, title), choice, drawing.element));
    return { ...place, drawing, buttons, marks };
  });
  const keys = app.model.parts.map((part) => legend("signed", part));
  find("state-rows").after(readout, make("div", { className: "legends" }, ...keys.map((key) => key.element)));

  const fill = (mark) => () => {
    rows.forEach(({ marks }) => marks().fill(mark));
    app.update();
  };
  find("all-zero").onclick = fill(ZERO);
  find("all-own").onclick = fill(OWN);
  find("keep").onchange = () => {
    app.keepsZero = find("keep").checked;
    app.update();
  };
  const input = find("other");
  input.value = unparse(app.other, app.run);
  find("other-question").addEventListener("submit", (event) => event.preventDefault());
  let problem = "";
  input.addEventListener("input", () => {
    problem = "";
    try {
      app.other = parse(input.value, app.run);
      input.removeAttribute("aria-invalid");
    } catch (error) {
      problem = error.message;
      input.setAttribute("aria-invalid", "true");
    }
    app.update();
  });

  return () => {
    find("keep").checked = app.keepsZero;
    write(find("other-answer"), problem || `On its own, its answer is ${app.text(predictions(app.otherSteps))}.`);
    const limits = { c: limitOf(app.startState.map((layer) => layer.c ?? [])), h: 1 };
    keys.forEach((key, index) => key.draw(limits[app.model.parts[index]]));
    for (const { layer, part, start, end, drawing, buttons, marks } of rows) {
      const values = app.startState[layer][part].subarray(start, end),
        mark = marks();
      drawing.draw([{ values, scale: "signed", limit: limits[part] }], {
        cellWidth: 24,
        cellHeight: 24,
        mark: (_, unit) => [null, "zero", "other"][mark[unit]],
      });
      buttons.forEach((button, kind) =>
        button.setAttribute(
          "aria-pressed",
          mark.every((value) => value === kind),
        ),
      );
    }
  };
}
