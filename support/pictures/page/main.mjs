// The page: its sections, drawn anew from the user's choices and what follows from them.

import { askSection, barSection } from "./ask.mjs";
import { readRun } from "./data.mjs";
import { decoderSection } from "./decoder.mjs";
import { counted, find } from "./dom.mjs";
import { encoderSection, stateSection } from "./encoder.mjs";
import { mapSection } from "./maps.mjs";
import { FIRST_SYMBOL, decode, encode, predictions } from "./model.mjs";
import { questionSection } from "./questions.mjs";
import { sourceLinks } from "./source.mjs";
import { derive, firstChoices, keyOf } from "./state.mjs";

const SECTIONS = [askSection, barSection, encoderSection, stateSection, decoderSection, mapSection, questionSection];
const HAS_CHANGED = "Was the script changed? The page does not follow such changes";

function start(run) {
  const listeners = [];
  let asked = "";
  const app = {
    run,
    ...sourceLinks(run),
    ...firstChoices(run),

    /** How a symbol is shown: a very long one is cut, and one that nobody can see has a name. */
    label: (symbol) => run.labels[symbol] ?? run.names[symbol],
    text: (symbols) => symbols.map(app.label).join(" "),
    showSymbol(element, symbol) {
      element.textContent = app.label(symbol);
      element.classList.toggle("special", symbol < FIRST_SYMBOL);
      element.title = symbol in run.labels && symbol >= FIRST_SYMBOL ? run.names[symbol] : "";
    },

    whenUpdated: (listener) => listeners.push(listener),
    update() {
      const question = app.sequence.join();
      if (question !== asked) app.fed.clear(); // they were chosen for another answer
      asked = question;
      Object.assign(app, derive(run, app));
      app.encoderStep.place = Math.min(app.encoderStep.place, app.sequence.length - 1);
      app.decoderStep = Math.min(app.decoderStep, app.steps.length - 1);
      app.key = keyOf(app.moment, app.sequence);
      listeners.forEach((listener) => listener());
    },
  };
  app.update();
  SECTIONS.forEach((section) => app.whenUpdated(section(app)));
  app.update();
  globalThis.lookInside = app; // for the console
}

/** Compares the page's answers with those of --predict when the page was made. */
function check(run) {
  const model = run.model(run.moments.length - 1);
  const answer = (sequence) => predictions(decode(model, encode(model, sequence))).join();
  if (run.checked.some(({ input, prediction }) => answer(input) !== prediction.join())) {
    warn(`This page's answers differ from TensorFlow's. ${HAS_CHANGED}; it shows the original model.`);
    return;
  }
  const sequences = counted(run.checked.length, "held-out sequence");
  find("check").textContent = `Checked just now: it answers ${sequences} as TensorFlow did.`;
}

function warn(text) {
  Object.assign(find("warning"), { textContent: text, hidden: false });
}

const run = readRun(find("run").textContent);
find("about").textContent = run.about;
try {
  start(run);
  setTimeout(() => check(run));
} catch (error) {
  document.querySelector("main").hidden = true;
  warn(`This page cannot show this model: ${error.message}. ${HAS_CHANGED}.`);
}
