// The data that page.py wrote into the page: settings, symbols, weights after some batches, examples and sources.

import { EOS, FIRST_SYMBOL, makeModel } from "./model.mjs";

const MOST_SYMBOLS = 200; // of a sequence on this page
const SPACE = "\u2423"; // how a space is written where each character is a symbol

/** Returns the float32 numbers of a base64 text, little-endian. */
function decodeFloats(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0)),
    view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
}

/** Returns the run, and adds model(moment), which makes each model once. */
export function readRun(text) {
  const run = JSON.parse(text),
    models = [];
  run.model = (moment) => {
    if (!models[moment]) {
      const weights = decodeFloats(run.moments[moment].weights);
      let start = 0;
      const variables = run.variables.map(([, shape]) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return { shape, values: weights.subarray(start, (start += size)) };
      });
      models[moment] = makeModel(run.config, variables);
    }
    return models[moment];
  };
  run.symbols = new Map(run.names.map((name, symbol) => [name, symbol]).slice(FIRST_SYMBOL));
  return run;
}

/** Returns the words of a text, between ASCII white space, or its characters if each of them is a symbol. */
export function split(text, run) {
  if (run.config.symbols === "characters") return [...text].map((character) => (character === " " ? SPACE : character));
  return text.split(/[ \t\r\n\v\f]+/).filter((word) => word);
}

/** Returns the text that split() splits into these words. Among characters, one that is no symbol stands for <UNK>. */
export function join(words, run) {
  if (run.config.symbols !== "characters") return words.join(" ");
  return words.map((word) => ([...word].length > 1 ? "\ufffd" : word)).join("");
}

/** Returns the text that parse() reads as these symbols. */
export function unparse(symbols, run) {
  return join(
    symbols.map((symbol) => run.names[symbol]),
    run,
  );
}

/** Returns the symbols of a text; throws an Error whose message says what is wrong, as --predict does. */
export function parse(text, run) {
  const words = split(text, run);
  if (!words.length) throw new Error("No symbols yet. Type some, or click them.");
  if (words.length > MOST_SYMBOLS) throw new Error(`${words.length} symbols; this page allows ${MOST_SYMBOLS}.`);
  const unknown = run.symbols.get("<UNK>"); // with --min-count
  for (const word of words) {
    if (!run.symbols.has(word) && !unknown) {
      const isRun = [...word].length > 1 && [...word].every((character) => run.symbols.has(character));
      const hint = isRun ? ` Put spaces between symbols: ${[...word].slice(0, 9).join(" ")}` : "";
      throw new Error(`“${[...word].slice(0, 20).join("")}” is not a symbol ${run.known}.${hint}`);
    }
  }
  return words.map((word) => run.symbols.get(word) ?? unknown);
}

/** Returns the right answer, if it is known: symbols and EOS. */
export function rightAnswer(sequence, run) {
  const { task, longest_answer: hasOwnData, vocab_size: size } = run.config;
  const letters = size - FIRST_SYMBOL,
    key = sequence.join();
  const example = run.examples.find(({ input }) => input.join() === key);
  let symbols = null;
  if (hasOwnData) symbols = example ? example.target : null;
  else if (task === "copy") symbols = sequence;
  else if (task === "reverse") symbols = [...sequence].reverse();
  else if (sequence.every((symbol, place) => (symbol - sequence[0] - place) % letters === 0)) {
    symbols = sequence.map((symbol) => FIRST_SYMBOL + ((symbol - FIRST_SYMBOL + sequence.length) % letters));
  }
  return symbols && [...symbols, EOS];
}
