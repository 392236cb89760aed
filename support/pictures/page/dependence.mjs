// What each predicted symbol depends on: support/pictures/occlusion.py in JavaScript.

import { FIRST_SYMBOL, decode, encode } from "./model.mjs";

const MOST_PATCHES = 60; // rows and columns of a map
const MOST_COPIES = 250; // of a sequence

/** Cuts an array into at most so many parts of nearly the same size, like np.array_split. */
function arraySplit(array, most) {
  const parts = Math.min(array.length, most),
    size = Math.floor(array.length / parts),
    larger = array.length % parts;
  const start = (part) => part * size + Math.min(part, larger);
  return Array.from({ length: parts }, (_, part) => array.slice(start(part), start(part + 1)));
}

/** Returns the shifts that turn a symbol into each of the others, or at most `most` of them, evenly spread. */
export function spread(symbols, most) {
  const count = Math.min(Math.max(1, symbols - 1), most),
    first = Math.min(1, symbols - 1);
  const step = count > 1 ? (symbols - 1 - first) / (count - 1) : 0;
  return Array.from({ length: count }, (_, index) => {
    return index > 0 && index === count - 1 ? symbols - 1 : Math.trunc(index * step + first);
  });
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/**
 * Measures how much each predicted symbol depends on each input symbol.
 * Yields the share of the work that is done, so that the caller can pause. Returns rows of a map, 0 ... 1.
 */
export function* dependence(model, sequence) {
  const symbols = model.config.vocab_size - FIRST_SYMBOL,
    answer = decode(model, encode(model, sequence));
  const ofAnswer = (steps) => answer.map((step, time) => steps[time].probabilities[step.prediction]);
  const before = ofAnswer(answer);
  const patches = arraySplit([...sequence.keys()], MOST_PATCHES);
  const shifts = spread(symbols, Math.floor(MOST_COPIES / patches.length)),
    columns = [];
  for (const patch of patches) {
    const changes = before.map(() => 0);
    for (const shift of shifts) {
      const copy = [...sequence];
      for (const place of patch) copy[place] = FIRST_SYMBOL + ((copy[place] - FIRST_SYMBOL + shift) % symbols);
      const after = ofAnswer(decode(model, encode(model, copy), { count: answer.length }));
      after.forEach((probability, time) => {
        changes[time] += Math.abs(probability - before[time]) / shifts.length;
      });
      yield (columns.length + 0.5) / patches.length;
    }
    columns.push(changes);
  }
  const rows = before.map((_, time) => columns.map((column) => column[time]));
  return arraySplit(rows, MOST_PATCHES).map((group) =>
    patches.map((_, column) => mean(group.map((row) => row[column]))),
  );
}
