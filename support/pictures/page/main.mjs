// The page: the question, the weights that answer, the user's changes, and everything that follows from these.

import { askSection, barSection } from "./ask.mjs";
import { readRun } from "./data.mjs";
import { decoderSection } from "./decoder.mjs";
import { counted, find, listed, make } from "./dom.mjs";
import { OTHER, ZERO, changedState, encoderSection, stateSection } from "./encoder.mjs";
import { mapSection } from "./maps.mjs";
import { EOS, FIRST_SYMBOL, PAD, decode, encode, predictions } from "./model.mjs";
import { questionSection } from "./questions.mjs";

const LONGEST_LABEL = 20; // characters

const run = readRun(find("run").textContent),
  listeners = [];
const app = {
  run,
  layer: 0,
  keepsZero: false,
  moment: run.moments.length - 1, // which of the weights
  sequence: run.examples[0].input,
  other: run.examples[1 % run.examples.length].input,
  fed: new Map(), // symbols that are fed back instead of the argmax, by step
  get model() {
    return run.model(app.moment);
  },

  spoken: (symbol) => (symbol === EOS ? "EOS" : symbol === PAD ? "PAD" : run.names[symbol]),
  label(symbol) {
    const characters = [...app.spoken(symbol)];
    return characters.length <= LONGEST_LABEL
      ? characters.join("")
      : `${characters.slice(0, LONGEST_LABEL - 1).join("")}…`;
  },
  text: (symbols) => symbols.map(app.label).join(" "),
  showSymbol(element, symbol) {
    element.textContent = app.label(symbol);
    element.classList.toggle("special", symbol < FIRST_SYMBOL);
    if (app.label(symbol) !== app.spoken(symbol)) element.title = app.spoken(symbol);
  },

  /** The first line of a part of the source, without its indentation. */
  codeLine(key) {
    const { file, first } = run.places[key];
    return run.sources[file].split("\n")[first - 1].trim();
  },
  link(key) {
    const { file, first, last } = run.places[key],
      text = `${file.split("/").at(-1)}:${first}`;
    return make(
      "button",
      {
        type: "button",
        className: "link",
        title: `Show ${key} in ${file}`,
        onclick: () => showSource(file, first, last),
      },
      text,
    );
  },

  /** Returns a line that names functions of the script, each with a link to its source. */
  links(functions) {
    const parts = Object.entries(functions).map(([key, name]) =>
      make("span", {}, make("code", {}, name), " ", app.link(key)),
    );
    return make("p", { className: "in-script" }, "In the script: ", ...parts);
  },

  clearMarks() {
    app.marks = app.model.decoder.map((_, layer) =>
      Object.fromEntries(
        Object.entries(encode(app.model, [FIRST_SYMBOL]).state[layer]).map(([part, { length }]) => [
          part,
          new Uint8Array(length),
        ]),
      ),
    );
  },
  undo() {
    app.clearMarks();
    app.fed.clear();
  },
  /** The user's changes, in words. */
  changes() {
    const marks = app.marks.flatMap((layer) => Object.values(layer).flatMap((mark) => [...mark]));
    const count = (kind) => marks.filter((mark) => mark === kind).length,
      said = [];
    const say = (number, noun, rest) =>
      number && said.push(`${counted(number, noun)} ${number === 1 ? "is" : "are"} ${rest}`);
    say(count(ZERO), "number", "zero");
    say(count(OTHER), "number", "from the other sequence");
    say(app.fed.size, "symbol", "fed back by you");
    return listed(said);
  },

  whenUpdated: (listener) => listeners.push(listener),
  update() {
    const { model, marks, fed } = app,
      key = app.sequence.join();
    if (key !== app.lastKey) fed.clear(); // they were chosen for another answer
    app.lastKey = key;
    app.encoded = encode(model, app.sequence);
    app.otherEncoded = encode(model, app.other);
    app.otherSteps = decode(model, app.otherEncoded);
    app.plain = decode(model, app.encoded);
    app.startState = changedState(app.encoded.state, app.otherEncoded.state, marks);
    const before = (state) => changedState(state, state, marks); // only zeros change it
    const changes = { state: app.startState, before: app.keepsZero ? before : undefined };
    app.unfed = app.changes() ? decode(model, app.encoded, changes) : app.plain; // the argmax is fed back
    app.steps = fed.size ? decode(model, app.encoded, { ...changes, fed }) : app.unfed;
    listeners.forEach((listener) => listener());
  },
};

function showSource(file, first, last) {
  const dialog = find("source"),
    text = find("source-text");
  find("source-title").textContent = `${file}, lines ${first} to ${last}`;
  text.replaceChildren(
    ...run.sources[file].split("\n").map((line, index) => {
      const isMeant = index + 1 >= first && index + 1 <= last;
      return make(
        "span",
        { className: isMeant ? "line meant" : "line" },
        make("span", { className: "line-number" }, `${index + 1}`),
        `${line}\n`,
      );
    }),
  );
  dialog.showModal();
  text.querySelector(".meant")?.scrollIntoView({ block: "start" });
}

/** Compares the page's answers with TensorFlow's when the page was made. */
function check() {
  const model = run.model(run.moments.length - 1);
  const wrong = run.checked.filter(
    ({ input, prediction }) => predictions(decode(model, encode(model, input))).join() !== prediction.join(),
  );
  if (wrong.length) {
    const text =
      "This page does not answer as TensorFlow did. Has the script been changed? The page cannot know the changes, and shows the original model.";
    Object.assign(find("warning"), { textContent: text, hidden: false });
  } else
    find("check").textContent =
      `Checked just now: it answers ${counted(run.checked.length, "held-out sequence")} as TensorFlow did.`;
}

find("about").textContent = run.about;
find("source").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});
app.clearMarks();
app.encoded = encode(app.model, app.sequence);
[askSection, barSection, encoderSection, stateSection, decoderSection, mapSection, questionSection].forEach((section) =>
  app.whenUpdated(section(app)),
);
app.update();
setTimeout(check);
globalThis.lookInside = app; // for the console
