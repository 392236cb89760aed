// The sequence, the answer with its probabilities, and the slider over training.

import { parse, rightAnswer, unparse } from "./data.mjs";
import { colorOf, css, textOn, whenThemeChanges } from "./colors.mjs";
import { counted, find, listed, make, ordinal, probability, resize, setAttributes, write } from "./dom.mjs";
import { EOS, FIRST_SYMBOL, PAD } from "./model.mjs";

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
      if (app.sequence.length < from || app.sequence.length > to) {
        problem = `${counted(app.sequence.length, "symbol")}. The model was trained on ${from === to ? from : `${from} to ${to}`}.`;
      }
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

  function drawKeys() {
    const word = isSpaced ? /\S*$/.exec(input.value)[0] : "",
      names = run.names.slice(FIRST_SYMBOL),
      isKnown = run.symbols.has(word);
    const fitting =
      names.length > MOST_KEYS && word && !isKnown ? names.filter((name) => name.startsWith(word)) : names;
    const shown = fitting.slice(0, MOST_KEYS);
    const children = resize(keys, shown.length + (fitting.length > shown.length ? 1 : 0), () =>
      make("button", { type: "button", className: "key" }),
    );
    children.forEach((key, index) => {
      key.disabled = index === shown.length;
      write(
        key,
        index < shown.length ? shown[index] : `and ${(fitting.length - shown.length).toLocaleString("en")} more: type`,
      );
      key.title = key.textContent;
      key.onclick = () => {
        const before =
          isKnown || names.length <= MOST_KEYS ? input.value.trimEnd() : input.value.replace(/\S*$/, "").trimEnd();
        type(isSpaced ? `${before} ${shown[index]}`.trimStart() : input.value + shown[index]);
      };
    });
  }

  input.addEventListener("input", read);
  find("question").addEventListener("submit", (event) => event.preventDefault());
  find("back").onclick = () =>
    type(isSpaced ? input.value.trimEnd().replace(/\s*\S+$/, "") : [...input.value].slice(0, -1).join(""));
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
      const isWrong = right && (right[time] ?? PAD) !== prediction;
      item.classList.toggle("wrong", Boolean(isWrong));
      const text = `${app.spoken(prediction)}, probability ${small.textContent}`;
      setAttributes(item, { title: isWrong ? `${text}; right: ${app.spoken(right[time] ?? PAD)}` : text });
    });
    write(find("verdict"), verdict(right));
  }

  /** Returns a text about what the model writes, and whether it is right. */
  function verdict(right) {
    const written = app.steps.map(({ prediction }) => prediction),
      end = written.indexOf(EOS);
    const text = `It writes ${app.text(end < 0 ? written : written.slice(0, end)) || "nothing"}${end < 0 ? ", and no EOS" : ", then EOS"}.`;
    if (!right) return text;
    const wrong = right.flatMap((symbol, time) => (symbol === written[time] ? [] : [time]));
    if (!wrong.length && written.length === right.length) return `${text} All of it is right.`;
    if (!wrong.length) return `${text} It should have ended earlier.`;
    const places = wrong.slice(0, 4).map((time) => `the ${ordinal(time + 1)} should be ${app.spoken(right[time])}`);
    return `${text} ${wrong.length} of ${right.length} ${wrong.length === 1 ? "is" : "are"} wrong: ${listed(places)}${wrong.length > 4 ? ", and more" : ""}.`;
  }

  whenThemeChanges(update);
  return update;
}

/** The line that stays in sight: the sequence, the answer, and the user's changes. */
export function barSection(app) {
  find("undo").onclick = () => {
    app.undo();
    app.update();
  };
  return () => {
    const show = (element, symbols, changed = []) =>
      resize(element, symbols.length, () => make("span", { className: "chip small" })).forEach((chip, index) => {
        app.showSymbol(chip, symbols[index]);
        chip.classList.toggle("changed", Boolean(changed[index]));
      });
    show(find("bar-question"), app.sequence);
    const written = app.steps.map(({ prediction }) => prediction),
      before = app.plain.map(({ prediction }) => prediction);
    show(
      find("bar-answer"),
      written,
      written.map((symbol, time) => symbol !== before[time]),
    );
    const longer = written.length > before.length ? written : before;
    const changes = app.changes(),
      count = longer.filter((_, time) => written[time] !== before[time]).length;
    find("undo").hidden = !changes;
    write(
      find("changes"),
      changes
        ? `${changes[0].toUpperCase()}${changes.slice(1)}. ${count ? counted(count, "symbol") : "No symbol"} of the answer ${count > 1 ? "are" : "is"} different.`
        : "",
    );
  };
}
