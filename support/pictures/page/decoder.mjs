// The decoder, step by step: the work of loop_fn between two steps, and the symbols that the user feeds back instead.

import { arrowKeys, cellDrawing, layerChoice, stepper, timeline } from "./cell.mjs";
import { colorOf, css, whenThemeChanges } from "./colors.mjs";
import { join, split } from "./data.mjs";
import { decimals, find, listed, make, ordinal, probability, resize, setAttributes, write } from "./dom.mjs";
import { EOS, PAD } from "./model.mjs";
import { strips } from "./strips.mjs";

const MOST_BARS = 32; // symbols whose probability is shown; with a larger vocabulary, the likeliest

export function decoderSection(app) {
  const { config } = app.run,
    isLarge = config.vocab_size > MOST_BARS;
  find("decoder-text").after(
    app.links({
      decode: "decode",
      loop_fn_transition: "loop_fn_transition",
      ...(config.attention === "none" ? {} : { attention: config.attention }),
    }),
  );
  layerChoice(app, "decoder-text");
  const choose = (time) => {
    app.decoderStep = time;
    app.update();
  };
  const cards = find("steps"),
    logits = find("logits"),
    code = find("code");
  arrowKeys(cards);
  const cell = cellDrawing(app, "The step of the decoder that was chosen: input, state, gates");
  find("decoder-cell").append(cell.element);
  const describe = (part, unit, time) => {
    const { state } = app.steps[time].layers[app.layer];
    return `${part}, unit ${unit + 1}, after step ${time + 1}: ${decimals(state[part][unit])}`;
  };
  const titles = app.model.isGru ? { h: "h, its memory and its output" } : { c: "c, its memory", h: "h, its output" };
  const states = app.model.parts.map((part) => timeline(app, titles[part], choose, describe, [part]));
  find("decoder-maps").append(...states.map(({ element }) => element));
  stepper(app, "decoder-step", (difference, goes) => {
    const next = app.decoderStep + difference;
    if (goes) {
      app.decoderStep = next;
      const { offsetLeft, offsetWidth } = cards.children[next]; // of the card, to be scrolled into view
      cards.scrollLeft = Math.min(offsetLeft, Math.max(cards.scrollLeft, offsetLeft + offsetWidth - cards.clientWidth));
    }
    return next >= 0 && next < app.steps.length;
  });

  const values = ["logits", "prediction", "next_input"].map((name) => {
    const value = make("p", { className: "value" });
    const line = app.codeLine(name);
    code.append(make("div", { className: "code-line" }, make("code", {}, line), app.link(name)), value);
    return value;
  });

  const anySymbol = make("input", { id: "any-symbol", spellcheck: false, autocomplete: "off", autocapitalize: "off" });
  const anyForm = make(
    "form",
    { className: "field" },
    make("label", { htmlFor: "any-symbol" }, "another symbol"),
    anySymbol,
    make("button", {}, "Feed back"),
  );
  anyForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const symbol = app.run.symbols.get(join(split(anySymbol.value, app.run), app.run));
    anySymbol.setCustomValidity(symbol === undefined ? `There is no such symbol ${app.run.known}.` : "");
    if (!anyForm.reportValidity()) return;
    feed(symbol);
  });
  anySymbol.addEventListener("input", () => anySymbol.setCustomValidity(""));
  if (isLarge) logits.after(anyForm);

  function feed(symbol) {
    const { time, prediction } = app.steps[app.decoderStep];
    if (symbol === prediction) app.fed.delete(time);
    else app.fed.set(time, symbol);
    app.update();
  }

  const attention = strips({
    name: "Where the decoder looks in this step",
    describe: (_, place) => {
      const weight = app.steps[app.decoderStep].alignment[place];
      return `${app.label(app.sequence[place])}, the ${ordinal(place + 1)} symbol: ${probability(weight)}`;
    },
  });
  if (config.attention !== "none")
    find("step-attention").append(make("h4", {}, "Where it looks in this step"), attention.element);

  function drawCards() {
    const makeCard = () =>
      make(
        "li",
        {},
        make(
          "button",
          { type: "button", className: "card" },
          make("span", { className: "card-step" }),
          make("span", { className: "reads" }, "reads ", make("span", { className: "chip small" })),
          make("span", { className: "writes" }, make("span", { className: "chip" }), make("small")),
          make("span", { className: "fed" }),
        ),
      );
    resize(cards, app.steps.length, makeCard).forEach((item, time) => {
      const [card] = item.children,
        { symbol, prediction, next, probabilities } = app.steps[time],
        was = app.plain[time]?.prediction;
      const [step, reads, writes, fed] = card.children,
        isFed = next !== prediction;
      write(step, String(time + 1));
      app.showSymbol(reads.lastElementChild, symbol);
      reads.lastElementChild.classList.toggle(
        "overruled",
        time > 0 && app.steps[time - 1].next !== app.steps[time - 1].prediction,
      );
      app.showSymbol(writes.firstElementChild, prediction);
      writes.firstElementChild.classList.toggle("changed", was !== prediction);
      card.style.borderTopColor = css(colorOf("share", probabilities[prediction]));
      const share = probability(probabilities[prediction]);
      write(writes.lastElementChild, share);
      write(
        fed,
        isFed ? `feeds ${app.label(next)}` : was !== undefined && was !== prediction ? `was ${app.label(was)}` : "",
      );
      card.tabIndex = time === app.decoderStep ? 0 : -1;
      card.onclick = () => choose(time);
      const said = [`step ${time + 1}: reads ${app.label(symbol)}`, `writes ${app.label(prediction)}`];
      said.push(`probability ${share}`, ...(fed.textContent ? [fed.textContent] : []));
      setAttributes(card, { "aria-pressed": time === app.decoderStep, "aria-label": said.join(", ") });
    });
  }

  function drawLogits(step, isLast) {
    const { logits: scores, probabilities, prediction, next } = step;
    let symbols = [...scores.keys()];
    if (isLarge) symbols = symbols.sort((a, b) => scores[b] - scores[a]).slice(0, 12);
    if (!symbols.includes(next)) symbols[11] = next;
    const longest = Math.max(3, ...symbols.map((symbol) => app.label(symbol).length));
    logits.style.setProperty("--widest", `${0.6 * Math.min(9, longest) + 0.8}rem`);
    resize(logits, symbols.length, () =>
      make(
        "button",
        { type: "button", className: "logit" },
        make("span", { className: "chip small" }),
        make("span", { className: "track" }, make("span", { className: "fill" })),
        make("span", { className: "number" }),
        make("span", { className: "tag" }),
      ),
    ).forEach((button, index) => {
      const symbol = symbols[index],
        [chip, track, number, tag] = button.children;
      app.showSymbol(chip, symbol);
      Object.assign(track.firstElementChild.style, {
        width: `${100 * probabilities[symbol]}%`,
        background: css(colorOf("share", 0.35 + 0.5 * probabilities[symbol])),
      });
      write(number, probability(probabilities[symbol]));
      write(
        tag,
        symbol === next && next !== prediction
          ? "fed back"
          : symbol === prediction
            ? next === prediction
              ? "argmax, fed back"
              : "argmax"
            : "",
      );
      button.disabled = isLast;
      button.onclick = () => feed(symbol);
      const title = `logit ${decimals(scores[symbol])}`;
      const said = `feed back ${app.label(symbol)}: probability ${number.textContent}, ${title} ${tag.textContent}`;
      setAttributes(button, { "aria-pressed": symbol === next, "aria-label": said, title });
    });
    anyForm.hidden = isLast;
  }

  function update() {
    const time = app.decoderStep,
      step = app.steps[time],
      isLast = time === app.steps.length - 1;
    drawCards();
    const because =
      time === 0
        ? "the first input"
        : app.steps[time - 1].next === app.steps[time - 1].prediction
          ? "what it wrote before"
          : "what you fed back";
    write(find("step-title"), `${ordinal(time + 1)} step: the cell reads ${app.label(step.symbol)}, ${because}`);
    const best = [...step.logits.keys()].sort((a, b) => step.logits[b] - step.logits[a]).slice(0, 3);
    const highest = best.map((symbol) => `${decimals(step.logits[symbol])} for ${app.label(symbol)}`);
    const ends = step.prediction === EOS ? ", the end of the answer" : "";
    const isOverruled = step.next !== step.prediction;
    const reads = `the embedding of ${app.label(step.next)}${isOverruled ? ", because you overruled the argmax" : ""}`;
    write(values[0], `the highest: ${listed(highest)}`);
    write(values[1], `${app.label(step.prediction)}${best[0] === PAD ? ", because an answer never holds PAD" : ends}`);
    write(values[2], isLast ? "PAD: this was the last step" : reads);
    write(find("logits-title"), isLast ? "Probabilities" : "Feed back another symbol");
    drawLogits(step, isLast);
    if (step.alignment)
      attention.draw([{ values: step.alignment, scale: "share" }], {
        cellWidth: 44,
        cellHeight: 26,
        columnLabels: app.sequence.map(app.label),
      });
    cell.draw(step.layers[app.layer]);
    states.forEach((map) =>
      map.draw(
        app.steps.map(({ prediction }) => prediction),
        app.steps.map(({ layers }) => layers[app.layer].state),
        time,
        app.steps.map(({ prediction }, index) => `step ${index + 1}, writes ${app.label(prediction)}`),
      ),
    );
  }

  whenThemeChanges(update);
  return update;
}
