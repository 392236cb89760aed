// Computes results with the page's own modules, for test_page.py: answers, maps of dependence, answers after changes.
const {
  data,
  dependence,
  state,
  model: { decode, encode },
} = modules;
const cases = JSON.parse(document.getElementById("cases").textContent);

const shown = (steps) =>
  steps.map(({ prediction, probabilities, alignment }) => ({
    prediction,
    probabilities: [...probabilities],
    alignment: alignment && [...alignment],
  }));

function wholeMap(model, sequence) {
  const work = dependence.dependence(model, sequence);
  let result = work.next();
  while (!result.done) result = work.next();
  return result.value;
}

function changed(model, { sequence, other, marks, fed, keeps }) {
  const encoded = encode(model, sequence),
    startState = state.changedState(encoded.state, encode(model, other).state, marks);
  const before = keeps ? (now) => state.changedState(now, now, marks) : undefined;
  return shown(decode(model, encoded, { state: startState, before, fed: new Map(fed) }));
}

finish(
  cases.map(({ run, sequences, mapped, changes }) => {
    const { model: modelAt } = data.readRun(JSON.stringify(run)),
      model = modelAt(0);
    return {
      right: run.examples.map(({ input }) => data.rightAnswer(input, run)),
      targets: run.examples.map(({ target }) => [...target, 1]),
      answers: sequences.map((sequence) => shown(decode(model, encode(model, sequence)))),
      maps: mapped.map((sequence) => wholeMap(modelAt(1), sequence)),
      changed: changes.map((change) => changed(model, change)),
    };
  }),
);
