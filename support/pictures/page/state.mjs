// What the user has chosen, and everything that follows from it. Nothing here draws.

import { counted, listed } from "./dom.mjs";
import { FIRST_SYMBOL, decode, encode } from "./model.mjs";

// Where a number of the state comes from that the decoder starts from.
export const OWN = 0;
export const ZERO = 1;
export const OTHER = 2;

/** Returns what a measurement belongs to: which of the weights, and a sequence. */
export const keyOf = (moment, sequence) => `${moment}: ${sequence.join()}`;

/** Returns the choices at the start. Sections change them, then call update(). */
export function firstChoices(run) {
  const moment = run.moments.length - 1; // which of the weights
  return {
    moment,
    sequence: run.examples[0].input,
    other: run.examples[1 % run.examples.length].input,
    layer: 0,
    encoderStep: { direction: "forward", place: 2 },
    decoderStep: 0,
    marks: noMarks(run.model(moment)),
    keepsZero: false, // whether what is zero in marks stays zero before each step
    fed: new Map(), // symbols that are fed back instead of the argmax, by step
  };
}

/** Returns marks for the state that the decoder starts from: for each layer and part, OWN for each unit. */
export function noMarks(model) {
  return encode(model, [FIRST_SYMBOL]).state.map((layer) =>
    Object.fromEntries(Object.entries(layer).map(([part, { length }]) => [part, new Uint8Array(length)])),
  );
}

/** Returns what follows from the choices: the model, its answers with and without the changes, and the way to them. */
export function derive(run, choices) {
  const { sequence, other, marks, fed } = choices;
  const model = run.model(choices.moment);
  const encoded = encode(model, sequence);
  const otherEncoded = encode(model, other);
  const plain = decode(model, encoded); // without changes
  const startState = changedState(encoded.state, otherEncoded.state, marks);
  const before = choices.keepsZero ? (state) => changedState(state, state, marks) : undefined; // only zeros change it
  const changes = { state: startState, before };
  const unfed = allMarks(marks).some(Boolean) ? decode(model, encoded, changes) : plain; // the argmax is fed back
  const steps = fed.size ? decode(model, encoded, { ...changes, fed }) : unfed;
  return { model, encoded, otherEncoded, otherSteps: decode(model, otherEncoded), plain, startState, unfed, steps };
}

/** Returns the state with the changes in marks. */
export function changedState(own, other, marks) {
  const change = (value, mark, otherValue) => (mark === ZERO ? 0 : mark === OTHER ? otherValue : value);
  return own.map((layer, index) =>
    Object.fromEntries(
      Object.entries(layer).map(([part, values]) => [
        part,
        values.map((value, unit) => change(value, marks[index][part][unit], other[index][part][unit])),
      ]),
    ),
  );
}

/** Returns all marks in one array. */
export const allMarks = (marks) => marks.flatMap((layer) => Object.values(layer).flatMap((mark) => [...mark]));

/** Returns the user's changes in words; "" if there are none. */
export function changesOf({ marks, steps }) {
  const count = (kind) => allMarks(marks).filter((mark) => mark === kind).length;
  const say = (number, noun, rest) =>
    number ? [`${counted(number, noun)} ${number === 1 ? "is" : "are"} ${rest}`] : [];
  return listed([
    ...say(count(ZERO), "number", "zero"),
    ...say(count(OTHER), "number", "from the other sequence"),
    ...say(steps.filter(({ prediction, next }) => next !== prediction).length, "symbol", "fed back by you"),
  ]);
}

/** Returns the parts of the state: c and h for each layer, each from each direction. */
export function stateParts({ config, parts, directions }) {
  const { layers, encoder_hidden_units: units } = config;
  return Array.from({ length: layers }, (_, layer) =>
    parts.flatMap((part) =>
      directions.map((direction, side) => {
        const title = [layers > 1 ? `layer ${layer + 1}` : "", part, directions.length > 1 ? direction : ""];
        const place = { layer, part, start: side * units, end: (side + 1) * units };
        return { ...place, title: title.filter(Boolean).join(", ") };
      }),
    ),
  ).flat();
}
