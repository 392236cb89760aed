// Questions that the user answers by trying. All results are measured on this model.

import { rightAnswer } from "./data.mjs";
import { spread } from "./dependence.mjs";
import { counted, find, inSlices, listed, make, ordinal, write } from "./dom.mjs";
import { EOS, FIRST_SYMBOL, decode, encode, predictions } from "./model.mjs";
import { OTHER, ZERO, allMarks, noMarks, stateParts } from "./state.mjs";
import { strips } from "./strips.mjs";

const percent = (share) => `${Math.round(100 * share)} %`;

export function questionSection(app) {
  const hasGrown = app.run.moments.length > 1 && groupOfExamples(app).length > 1,
    knowsTask = !app.run.config.longest_answer;
  const first = hasGrown ? [memoryQuestion] : knowsTask ? [lengthQuestion] : [];
  const questions = [...first, unitQuestion, fedQuestion, otherQuestion].map((question) => question(app));
  find("questions-title").textContent = `${questions.length > 3 ? "Four" : "Three"} questions`;
  const parts = questions.map(({ title, text, guesses, place, extra = [] }, index) => {
    const buttons = guesses.map((guess) => make("button", { type: "button", onclick: () => choose(guess) }, guess));
    const choose = (guess) =>
      buttons.forEach((button) => button.setAttribute("aria-pressed", button.textContent === guess));
    choose(null);
    const go = make(
      "button",
      {
        type: "button",
        className: "go",
        onclick: () => {
          const target = find(place);
          target.scrollIntoView({
            block: "center",
            behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
          });
          (target.matches("input, button, canvas") ? target : target.querySelector("button, canvas"))?.focus({
            preventScroll: true,
          });
        },
      },
      "Take me there",
    );
    const result = make("p", { className: "result", role: "status" });
    const heading = make("h3", {}, `${index + 1}. ${title}`);
    const isOpen = index === 0 || matchMedia("(min-width: 66rem)").matches;
    find("questions").append(
      make(
        "details",
        { className: "question", open: isOpen },
        make("summary", {}, heading),
        make("p", {}, text),
        make("div", { className: "segments", role: "group", "aria-label": "Your guess" }, ...buttons),
        go,
        result,
        ...extra,
      ),
    );
    return { heading, result };
  });
  return () =>
    questions.forEach(({ look }, index) => {
      const said = look();
      write(parts[index].result, said || "");
      if (said) parts[index].heading.classList.add("done");
    });
}

/** Returns whether the user feeds back a symbol in a step of the answer. */
const isFed = ({ steps }) => steps.some(({ prediction, next }) => next !== prediction);

/** Returns the examples of the most frequent length. */
function groupOfExamples(app) {
  const groups = new Map();
  for (const example of app.run.examples)
    groups.set(example.input.length, [...(groups.get(example.input.length) ?? []), example]);
  return [...groups.values()].sort((a, b) => b.length - a.length)[0] ?? [];
}

function memoryQuestion(app) {
  const examples = groupOfExamples(app),
    seen = new Map();
  const drawing = strips({
    name: "How often each symbol of the answer is right: a row for each set of weights, a column for each place",
    describe: (row, place) => {
      const { label, values } = rows[row];
      return `after batch ${label}, the ${ordinal(place + 1)} symbol: right in ${percent(values[place])}`;
    },
  });
  let rows = [];

  /** Returns, for each place of an answer, the share of the examples in which its symbol is right. */
  function shares(moment) {
    const right = [],
      all = [],
      model = app.run.model(moment);
    for (const { input } of examples) {
      const answer = predictions(decode(model, encode(model, input)));
      rightAnswer(input, app.run).forEach((symbol, place) => {
        if (symbol < FIRST_SYMBOL) return;
        all[place] = (all[place] ?? 0) + 1;
        right[place] = (right[place] ?? 0) + (answer[place] === symbol);
      });
    }
    return all.map((count, place) => right[place] / count);
  }

  return {
    title: "When does it learn to remember?",
    place: "moment",
    extra: [drawing.element],
    text: "Move the slider through training. Which symbols of the answer does it get right first?",
    guesses: ["the first", "the last", "both ends", "all at once"],
    look() {
      const { moment } = app;
      if (!seen.size && moment === app.run.moments.length - 1) return "";
      if (!seen.has(moment)) seen.set(moment, shares(moment));
      const order = [...seen.keys()].sort((a, b) => a - b);
      rows = order.map((key) => ({
        label: app.run.moments[key].batch.toLocaleString("en"),
        values: seen.get(key),
        scale: "share",
      }));
      drawing.draw(rows, {
        cellWidth: 30,
        cellHeight: 18,
        columnLabels: rows[0].values.map((_, place) => String(place + 1)),
      });
      const places = seen.get(moment),
        best = Math.max(...places),
        worst = Math.min(...places);
      const placesOf = (share) => places.flatMap((value, place) => (value === share ? [ordinal(place + 1)] : []));
      const inWords = (found) =>
        found.length > 4 ? `${found.slice(0, 4).join(", ")} and ${found.length - 4} more` : listed(found);
      const bestPlaces = placesOf(best);
      const batch = app.run.moments[moment].batch.toLocaleString("en");
      const intro = `After batch ${batch}, of ${examples.length} held-out sequences: `;
      return (
        intro +
        (best === worst
          ? `each symbol is right in ${percent(best)}.`
          : `the ${inWords(bestPlaces)} ${bestPlaces.length > 1 ? "symbols are" : "symbol is"} right in ` +
            `${percent(best)}, the ${inWords(placesOf(worst))} in ${percent(worst)}.`)
      );
    },
  };
}

function lengthQuestion(app) {
  const { config } = app.run,
    tried = new Map();
  return {
    title: "How long a sequence can it remember?",
    place: "sequence",
    text: `It was trained on up to ${counted(config.length_to, "symbol")}. Give it longer ones.`,
    guesses: ["exactly as long", "a little longer", "any length"],
    look() {
      const { length } = app.sequence,
        right = rightAnswer(app.sequence, app.run);
      if (length > config.length_to && right)
        tried.set(
          length,
          right.filter((symbol, time) => symbol >= FIRST_SYMBOL && app.plain[time]?.prediction === symbol).length,
        );
      return [...tried]
        .sort(([a], [b]) => a - b)
        .map(([size, count]) => `Of ${size} symbols, ${count} are right.`)
        .join(" ");
    },
  };
}

/** Returns a state in which one number is zero. */
function withoutUnit(state, { layer, part, unit }) {
  return state.map((vectors, index) =>
    index === layer
      ? { ...vectors, [part]: vectors[part].map((value, place) => (place === unit ? 0 : value)) }
      : vectors,
  );
}

function unitQuestion(app) {
  const places = stateParts(app.model).flatMap((place) =>
    Array.from({ length: place.end - place.start }, (_, index) => ({
      ...place,
      unit: place.start + index,
      number: index + 1,
    })),
  );
  const titleOf = ({ title, number }) => `${title}, unit ${number}`,
    tried = new Map();
  let columns = [],
    asked = "",
    said = "",
    triedFor = "",
    stop = () => {};
  const drawing = strips({
    name: "What each number of the state changes: a row for each symbol of the answer, a column for each number",
    describe: (row, column) =>
      `${titleOf(places[column])} changes the probability of the ${ordinal(row + 1)} symbol by ` +
      percent(columns[column][row]),
    activate: (_, column) => {
      app.marks = noMarks(app.model);
      const { layer, part, unit } = places[column];
      app.marks[layer][part][unit] = ZERO;
      app.update();
    },
  });
  const button = make(
    "button",
    { type: "button", hidden: true, onclick: measure },
    `Try all ${places.length.toLocaleString("en")} numbers`,
  );
  const summary = make("p", { role: "status" });
  const end = (steps) => [...predictions(steps), EOS].indexOf(EOS);

  function* everyUnit() {
    const { model, encoded, plain } = app;
    const found = [];
    for (const place of places) {
      const steps = decode(model, encoded, { state: withoutUnit(encoded.state, place), count: plain.length });
      found.push({
        changes: plain.map(({ prediction, probabilities }, time) =>
          Math.abs(steps[time].probabilities[prediction] - probabilities[prediction]),
        ),
        lost: plain.map(({ prediction }, time) => time > end(steps) || steps[time].prediction !== prediction),
      });
      yield found.length / places.length;
    }
    return found;
  }

  function measure() {
    const { key } = app;
    stop();
    stop = inSlices(
      everyUnit(),
      (share) => write(summary, `trying: ${percent(share)}`),
      (found) => {
        asked = key;
        columns = found.map(({ changes }) => changes);
        const counts = found.map(({ lost }) => lost.filter(Boolean).length),
          harmful = counts.filter(Boolean).length,
          most = counts.indexOf(Math.max(...counts));
        const bySymbol = columns[0].map((_, time) => found.filter(({ lost }) => lost[time]).length),
          first = bySymbol.indexOf(Math.max(...bySymbol));
        const safe = bySymbol.filter((count) => !count).length;
        const sentences = [
          `${harmful} of ${places.length} numbers change${harmful === 1 ? "s" : ""} a symbol, zeroed one at a time.`,
          `${titleOf(places[most])} changes most: ${counted(counts[most], "symbol")}.`,
          `The ${ordinal(first + 1)} symbol is lost most easily: ${counted(bySymbol[first], "number")} can do it.`,
          ...(safe ? [`${safe} of ${bySymbol.length} are never lost.`] : []),
        ];
        said = harmful ? sentences.join(" ") : `None of ${places.length} numbers changes a symbol when it is zero.`;
        show();
      },
    );
  }

  function show() {
    const isFresh = asked === app.key;
    write(summary, isFresh ? `${said} Below, a column is a number of the state, a row a symbol of the answer.` : "");
    if (!isFresh) return drawing.draw([]);
    const rows = columns[0].map((_, time) => ({
      label: app.label(app.plain[time].prediction),
      values: columns.map((changes) => changes[time]),
      scale: "share",
    }));
    drawing.draw(rows, { cellWidth: 12, cellHeight: 13 });
  }

  return {
    title: "What does one number hold?",
    place: "state-rows",
    extra: [button, summary, drawing.element],
    text: "Make one number of the state zero. Which symbols are lost? Then try another one.",
    guesses: ["none", "one symbol", "several", "all"],
    look() {
      if (triedFor !== app.key) {
        stop();
        tried.clear();
      }
      triedFor = app.key;
      const marked = places.filter(({ layer, part, unit }) => app.marks[layer][part][unit]);
      if (marked.length === 1 && app.marks[marked[0].layer][marked[0].part][marked[0].unit] === ZERO && !isFed(app)) {
        const { plain, steps } = app,
          longer = steps.length > plain.length ? steps : plain,
          nameOf = (step) => (step ? app.label(step.prediction) : "nothing");
        const lost = [...longer.keys()].filter((time) => steps[time]?.prediction !== plain[time]?.prediction);
        const some = lost
          .slice(0, 4)
          .map((time) => `the ${ordinal(time + 1)} from ${nameOf(plain[time])} to ${nameOf(steps[time])}`);
        const said = `changes ${lost.length ? listed(some) : "no symbol"}${lost.length > 4 ? ", and more" : ""}`;
        const title = titleOf(marked[0]);
        tried.delete(title);
        tried.set(title, `${title} ${said}.`);
      }
      button.hidden &&= !tried.size;
      show();
      return [...tried.values()].slice(-3).join(" ");
    },
  };
}

function fedQuestion(app) {
  const summary = make("p", { role: "status" }),
    button = make("button", { type: "button", hidden: true, onclick: measure }, "Try every step");

  /** Feeds back other symbols after each step; returns how many later symbols there are and how many change. */
  function* everyStep() {
    const { model, encoded, plain } = app,
      symbols = app.run.config.vocab_size - FIRST_SYMBOL;
    let later = 0,
      changed = 0,
      next = 0;
    for (let time = 0; time < plain.length - 1; time++) {
      for (const shift of spread(symbols, 8)) {
        const symbol = FIRST_SYMBOL + ((Math.max(0, plain[time].prediction - FIRST_SYMBOL) + shift) % symbols);
        const steps = decode(model, encoded, { fed: new Map([[time, symbol]]), count: plain.length });
        const differs = steps.map(({ prediction }, index) => index > time && prediction !== plain[index].prediction);
        later += steps.length - time - 1;
        changed += differs.filter(Boolean).length;
        next += differs[time + 1] ? 1 / spread(symbols, 8).length : 0;
        yield time / plain.length;
      }
    }
    return { share: changed / later, next: next / (plain.length - 1) };
  }

  let key = "",
    said = "",
    stop = () => {};

  function measure() {
    if (app.plain.length < 2) return write(summary, "Its answer has only one step.");
    stop();
    stop = inSlices(
      everyStep(),
      (share) => write(summary, `trying: ${percent(share)}`),
      ({ share, next }) => {
        const meaning =
          share < 0.25
            ? "So the state carries the sequence, and what is fed back says little more."
            : "So what it writes depends a lot on what it has just read.";
        write(
          summary,
          `Of all later symbols, ${percent(share)} change; of those right after the step, ${percent(next)}. ${meaning}`,
        );
      },
    );
  }

  return {
    title: "What if it reads another symbol?",
    place: "logits",
    extra: [button, summary],
    text: "In a step of the decoder, feed back a symbol other than the argmax. What happens to the rest?",
    guesses: ["nothing changes", "one symbol", "the rest is lost"],
    look() {
      if (key !== app.key) {
        stop();
        write(summary, "");
        said = "";
      }
      key = app.key;
      const fed = [...app.fed].filter(([time]) => time < app.steps.length - 1).sort(([a], [b]) => a - b);
      button.hidden &&= !fed.length;
      if (!fed.length) return said;
      const [[time, symbol]] = fed,
        later = app.steps.slice(time + 1);
      const changed = later.flatMap(({ prediction }, index) =>
        prediction === app.unfed[time + 1 + index]?.prediction ? [] : [ordinal(time + 2 + index)],
      );
      const some = changed.length > 6 ? `${changed.slice(0, 5).join(", ")} and others` : listed(changed);
      const count = changed.length === 1 ? "one changes" : `${changed.length} change`;
      const what = changed.length ? `${count}: the ${some}` : "none changes";
      const after = `${counted(later.length, "symbol")} after it`;
      return (said = `After step ${time + 1} it read ${app.label(symbol)}. Of ${after}, ${what}.`);
    },
  };
}

function otherQuestion(app) {
  const part = app.model.directions.length > 1 ? "what one direction has read" : "some of its numbers";
  let last = "",
    key = "";
  return {
    title: "Whose symbols does it write?",
    place: "state-rows",
    text: `Take a part of the state from the other sequence: ${part}${app.model.isGru ? "" : ", or c alone"}.`,
    guesses: ["its own", "the other's", "some of both"],
    look() {
      const now = `${app.key}: ${app.other.join()}`;
      if (key !== now) last = "";
      key = now;
      const marks = allMarks(app.marks),
        taken = marks.filter((mark) => mark === OTHER).length;
      if (!taken || marks.includes(ZERO) || isFed(app)) return last;
      const own = app.plain.map(({ prediction }) => prediction),
        other = predictions(app.otherSteps),
        counts = { own: 0, other: 0, both: 0, neither: 0 };
      app.steps.forEach(({ prediction }, time) => {
        const [isOwn, isOther] = [prediction === own[time], prediction === other[time]];
        counts[isOwn && isOther ? "both" : isOwn ? "own" : isOther ? "other" : "neither"] += 1;
      });
      const said = [
        [counts.own, "its own"],
        [counts.other, "the other's"],
        [counts.both, "in both answers"],
        [counts.neither, "in neither"],
      ]
        .filter(([count]) => count)
        .map(([count, words]) => `${count} ${count === 1 ? "is" : "are"} ${words}`);
      const source = `${counted(taken, "number")} from the other sequence`;
      return (last = `With ${source}, of ${app.steps.length} symbols: ${listed(said)}.`);
    },
  };
}
