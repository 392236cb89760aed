// The sequence, the answer with its probabilities, and the slider over training.

import { join, parse, rightAnswer, split, unparse } from "./data.mjs";
import { colorOf, css, textOn, whenThemeChanges } from "./colors.mjs";
import { counted, find, listed, make, ordinal, probability, resize, write } from "./dom.mjs";
import { EOS, FIRST_SYMBOL, predictions } from "./model.mjs";
import { changesOf, noMarks } from "./state.mjs";

const MOST_KEYS = 40; // symbols with a key to click

export function askSection(app) {
  const { run } = app,
    input = find("sequence"),
    keys = find("keys"),
    { length_from: from, length_to: to } = run.config;
  write(find("sequence-label"), `A sequence of symbols ${run.known}`);
  const isSpaced = run.config.symbols !== "characters";
  input.value = unparse(app.sequence, run);

  function read() {
    let problem = "";
    try {
      app.sequence = parse(input.value, run);
      const { length } = app.sequence;
      const trainedOn = from === to ? from : `${from} to ${to}`;
      if (length < from || length > to)
        problem = `${counted(length, "symbol")}. The model was trained on ${trainedOn}.`;
      input.removeAttribute("aria-invalid");
    } catch (error) {
      problem = error.message;
      input.setAttribute("aria-invalid", "true");
    }
    write(find("problem"), problem);
    drawKeys();
    app.update();
  }

  function type(text) {
    input.value = text;
    read();
  }

  /** Draws a key for each symbol; if there are many, for those that begin like a last word that is no symbol yet. */
  function drawKeys() {
    const words = split(input.value, run);
    const last = words.at(-1);
    // A symbol of more than one character is one of the targets, where the inputs are characters.
    const isTypable = (symbol) => isSpaced || [...run.names[symbol]].length === 1 || run.names[symbol] === "<UNK>";
    const all = [...run.names.keys()].slice(FIRST_SYMBOL).filter(isTypable);
    const isBegun = isSpaced && all.length > MOST_KEYS && input.value.endsWith(last) && !run.symbols.has(last);
    const fitting = isBegun ? all.filter((symbol) => run.names[symbol].startsWith(last)) : all;
    const more = fitting.length - MOST_KEYS;
    const makeKey = () => make("button", { type: "button", className: "key" });
    resize(keys, Math.min(fitting.length, MOST_KEYS + 1), makeKey).forEach((key, index) => {
      key.disabled = index === MOST_KEYS;
      if (key.disabled)
        return write(key, `and ${more.toLocaleString("en")} more: type ${isSpaced ? "to find them" : "them"}`);
      app.showSymbol(key, fitting[index]);
      key.onclick = () => type(join([...(isBegun ? words.slice(0, -1) : words), run.names[fitting[index]]], run));
    });
  }

  input.addEventListener("input", read);
  find("question").addEventListener("submit", (event) => event.preventDefault());
  find("back").onclick = () => type(join(split(input.value, run).slice(0, -1), run));
  let example = 0;
  find("next-example").onclick = () => {
    example = (example + 1) % run.examples.length;
    type(unparse(run.examples[example].input, run));
  };
  find("next-example").hidden = run.examples.length < 2;
  drawKeys();

  const slider = find("moment"),
    names = run.moments.map(({ batch }) => `after batch ${batch.toLocaleString("en")}`);
  slider.max = run.moments.length - 1;
  slider.value = app.moment;
  find("ticks").append(...run.moments.map(({ batch }) => make("span", {}, batch.toLocaleString("en"))));
  slider.hidden = find("ticks").hidden = run.moments.length < 2;
  slider.addEventListener("input", () => {
    app.moment = Number(slider.value);
    app.update();
  });

  function update() {
    slider.value = app.moment;
    slider.setAttribute("aria-valuetext", names[app.moment]);
    write(find("moment-name"), names[app.moment]);
    find("answer-box").classList.toggle("stale", input.hasAttribute("aria-invalid"));
    const right = rightAnswer(app.sequence, run);
    resize(find("answer"), app.steps.length, () =>
      make("li", {}, make("span", { className: "chip" }), make("small")),
    ).forEach((item, time) => {
      const [chip, small] = item.children,
        { prediction, probabilities } = app.steps[time];
      app.showSymbol(chip, prediction);
      const color = colorOf("share", probabilities[prediction]);
      Object.assign(chip.style, { background: css(color), color: textOn(color) });
      write(small, probability(probabilities[prediction]));
      const isWrong = right && right[time] !== prediction;
      item.classList.toggle("wrong", Boolean(isWrong));
      const text = `${chip.title || chip.textContent}, probability ${small.textContent}`;
      item.title = isWrong && time < right.length ? `${text}; right: ${app.label(right[time])}` : text;
    });
    write(find("verdict"), verdict(right));
  }

  /** Returns a text about what the model writes, and whether it is right. */
  function verdict(right) {
    const written = predictions(app.steps);
    const end = written.indexOf(EOS);
    const symbols = app.text(end < 0 ? written : written.slice(0, end)) || "nothing";
    const text = `It writes ${symbols}${end < 0 ? ", and no EOS" : ", then EOS"}.`;
    if (!right) return text;
    const wrong = right.flatMap((symbol, time) => (symbol === written[time] ? [] : [time]));
    if (!wrong.length) return `${text} All of it is right.`;
    const places = wrong.slice(0, 4).map((time) => `the ${ordinal(time + 1)} should be ${app.label(right[time])}`);
    const count = `${wrong.length} of ${right.length} ${wrong.length === 1 ? "is" : "are"} wrong`;
    return `${text} ${count}: ${listed(places)}${wrong.length > 4 ? ", and more" : ""}.`;
  }

  whenThemeChanges(update);
  return update;
}

/** The line that stays in sight: the sequence, the answer, and the user's changes. */
export function barSection(app) {
  find("undo").onclick = () => {
    app.marks = noMarks(app.model);
    app.fed.clear();
    app.update();
  };
  return () => {
    const show = (element, symbols, changed = []) =>
      resize(element, symbols.length, () => make("span", { className: "chip small" })).forEach((chip, index) => {
        app.showSymbol(chip, symbols[index]);
        chip.classList.toggle("changed", Boolean(changed[index]));
      });
    show(find("bar-question"), app.sequence);
    const written = predictions(app.steps);
    const before = predictions(app.plain);
    const isChanged = (_, time) => written[time] !== before[time];
    show(find("bar-answer"), written, written.map(isChanged));
    const longer = written.length > before.length ? written : before;
    const changes = changesOf(app);
    const count = longer.filter(isChanged).length;
    const differ = `${count ? counted(count, "symbol") : "No symbol"} of the answer ${count > 1 ? "are" : "is"}`;
    find("undo").hidden = !changes;
    write(find("changes"), changes && `${changes}. ${differ} different.`);
  };
}
