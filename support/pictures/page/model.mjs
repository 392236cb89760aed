// The model of seq2seq_copy.py in JavaScript: one sequence at a time, and every number of every step is kept to be
// shown. A matrix is {shape: [rows, columns], values: Float32Array}, row by row. A vector is an array of numbers.

export const PAD = 0;
export const EOS = 1;
export const FIRST_SYMBOL = 2;
const EXTRA_DECODER_STEPS = 3;

const sigmoid = (values) => values.map((value) => 1 / (1 + Math.exp(-value)));
const tanh = (values) => values.map(Math.tanh);
const combine = (a, b, f) => a.map((value, index) => f(value, b[index]));
const zeros = (size) => new Float64Array(size);

function concatenate(...vectors) {
  const result = zeros(vectors.reduce((size, vector) => size + vector.length, 0));
  let start = 0;
  for (const vector of vectors) {
    result.set(vector, start);
    start += vector.length;
  }
  return result;
}

/** Returns vector times matrix plus bias. */
function multiply(vector, matrix, bias) {
  const [rows, columns] = matrix.shape,
    { values } = matrix;
  const result = bias ? Float64Array.from(bias.values) : zeros(columns);
  for (let row = 0, place = 0; row < rows; row++) {
    const factor = vector[row];
    for (let column = 0; column < columns; column++) result[column] += factor * values[place++];
  }
  return result;
}

function dot(a, b) {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += a[index] * b[index];
  return sum;
}

/** Returns a vector's part, given its index and the number of parts, all of the same size. */
function split(vector, parts, part) {
  const size = vector.length / parts;
  return vector.slice(part * size, (part + 1) * size);
}

function softmax(scores) {
  const highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = Float64Array.from(scores, (score) => Math.exp(score - highest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

/** Returns the likeliest symbol except PAD, which an answer never holds: support/model/greedy.py. */
function likeliest(logits) {
  return logits.reduce((best, value, symbol) => (symbol !== PAD && value > logits[best] ? symbol : best), EOS);
}

/** LSTMCell.__call__: one step. Returns the gates, as they are used, and the next state. */
function lstmStep(x, before, { kernel, bias }) {
  const gates = multiply(concatenate(x, before.h), kernel, bias);
  const i = sigmoid(split(gates, 4, 0)),
    j = tanh(split(gates, 4, 1));
  const f = sigmoid(split(gates, 4, 2)),
    o = sigmoid(split(gates, 4, 3));
  const c = combine(
    combine(f, before.c, (a, b) => a * b),
    combine(i, j, (a, b) => a * b),
    (a, b) => a + b,
  );
  const h = combine(o, tanh(c), (a, b) => a * b);
  return { x, before, gates: { i, j, f, o }, state: { c, h } };
}

/** GRUCell.__call__. */
function gruStep(x, before, { gateKernel, gateBias, candidateKernel, candidateBias }) {
  const gates = sigmoid(multiply(concatenate(x, before.h), gateKernel, gateBias));
  const r = split(gates, 2, 0),
    u = split(gates, 2, 1);
  const kept = combine(r, before.h, (a, b) => a * b);
  const candidate = tanh(multiply(concatenate(x, kept), candidateKernel, candidateBias));
  const h = combine(
    combine(u, before.h, (a, b) => a * b),
    combine(u, candidate, (a, b) => (1 - a) * b),
    (a, b) => a + b,
  );
  return { x, before, gates: { r, u, candidate }, state: { h } };
}

/** Makes a step of all layers, the lowest first: each reads the output h of the one below. */
function stepLayers(x, states, cell, isGru) {
  const layers = cell.map((weights, layer) => {
    const step = (isGru ? gruStep : lstmStep)(x, states[layer], weights);
    x = step.state.h;
    return step;
  });
  return { layers, output: x };
}

/**
 * Gathers the weights of a model.
 * config: the settings of the run. variables: matrices and vectors in the order in which the script makes them; their
 * names may be others, as with tf.Variable.
 */
export function makeModel(config, variables) {
  const isGru = config.cell === "gru";
  const rest = variables.values();
  const next = () => {
    const { value, done } = rest.next();
    if (done) throw new Error(`it has only ${variables.length} variables`);
    return value;
  };
  const gru = () => ({ gateKernel: next(), gateBias: next(), candidateKernel: next(), candidateBias: next() });
  const cell = () => Array.from({ length: config.layers }, () => (isGru ? gru() : { kernel: next(), bias: next() }));
  const attention = {
    none: () => ({}),
    bahdanau: () => ({ encoderWeights: next(), stateWeights: next(), scoreWeights: next() }),
    luong: () => ({ encoderWeights: next(), combiningWeights: next() }),
  };
  const directions = config.encoder === "forward" ? ["forward"] : ["forward", "backward"];
  return {
    config,
    isGru,
    parts: isGru ? ["h"] : ["c", "h"], // of a state
    directions,
    embeddings: next(),
    encoder: Object.fromEntries(directions.map((direction) => [direction, cell()])),
    outputWeights: next(),
    outputBias: next(),
    ...attention[config.attention](),
    decoder: cell(),
  };
}

/** embed: the row of a symbol. */
function embed(model, symbol) {
  const { shape, values } = model.embeddings;
  const size = shape[1];
  return Float64Array.from(values.subarray(symbol * size, (symbol + 1) * size));
}

/**
 * encode and concatenate_states. Returns
 *   directions: for each direction its steps, in the order in which it reads,
 *   outputs: for each place of the sequence, the outputs of all directions side by side,
 *   state: for each layer {c, h} or {h}, what the decoder starts from.
 */
export function encode(model, sequence) {
  const units = model.config.encoder_hidden_units,
    directions = {};
  for (const direction of model.directions) {
    const order = direction === "forward" ? sequence : [...sequence].reverse();
    let states = model.decoder.map(() => Object.fromEntries(model.parts.map((part) => [part, zeros(units)])));
    directions[direction] = order.map((symbol) => {
      const step = stepLayers(embed(model, symbol), states, model.encoder[direction], model.isGru);
      states = step.layers.map((layer) => layer.state);
      return { symbol, ...step };
    });
  }
  const last = sequence.length - 1;
  // The step at which each direction reads a place.
  const places = sequence.map((_, place) => ({ forward: place, backward: last - place }));
  const outputs = places.map((when) =>
    concatenate(...model.directions.map((name) => directions[name][when[name]].output)),
  );
  const state = model.decoder.map((_, layer) =>
    Object.fromEntries(
      model.parts.map((part) => {
        const ends = model.directions.map((name) => directions[name][last].layers[layer].state[part]);
        return [part, concatenate(...ends)];
      }),
    ),
  );
  return { sequence, directions, outputs, state };
}

/** weighted_mean: the context that the decoder looks at, with weights that sum to 1. */
function attend(scores, outputs) {
  const weights = softmax(scores),
    context = zeros(outputs[0].length);
  outputs.forEach((output, place) =>
    output.forEach((value, unit) => {
      context[unit] += weights[place] * value;
    }),
  );
  return { weights, context };
}

/**
 * decode, and the loop_fn that it runs, by the rules for answers: no PAD, and EOS is the end. Returns a step for each
 * symbol that is written.
 * encoded: the result of encode(); only attention reads its outputs.
 * changes: the user's changes:
 *   state: what the decoder starts from instead,
 *   fed: a Map from a step to the symbol that is fed back after it instead of the prediction, be that EOS,
 *   before: a function that may change the state before each step,
 *   count: how many steps to make, past EOS too.
 */
export function decode(model, encoded, changes = {}) {
  const { config, outputWeights, outputBias } = model,
    { outputs, sequence } = encoded;
  const most = changes.count ?? config.longest_answer ?? sequence.length + EXTRA_DECODER_STEPS;
  const steps = [],
    fed = changes.fed ?? new Map(),
    before = changes.before ?? ((state) => state);
  const keys = model.encoderWeights && outputs.map((output) => multiply(output, model.encoderWeights));
  let state = changes.state ?? encoded.state,
    symbol = EOS; // loop_fn_initial
  let attentional = zeros(outputs[0].length);
  for (let time = 0; time < most; time++) {
    state = before(state);
    let x = embed(model, symbol),
      alignment = null;
    if (config.attention === "bahdanau") {
      const query = multiply(state.at(-1).h, model.stateWeights);
      const scores = keys.map((key) => dot(model.scoreWeights.values, tanh(combine(query, key, (a, b) => a + b))));
      alignment = attend(scores, outputs);
      x = concatenate(x, alignment.context);
    } else if (config.attention === "luong") {
      x = concatenate(x, attentional);
    }
    const step = stepLayers(x, state, model.decoder, model.isGru);
    let projected = step.output;
    if (config.attention === "luong") {
      alignment = attend(
        keys.map((key) => dot(key, projected)),
        outputs,
      );
      projected = attentional = tanh(multiply(concatenate(alignment.context, projected), model.combiningWeights));
    }
    const logits = multiply(projected, outputWeights, outputBias); // loop_fn_transition
    const prediction = likeliest(logits),
      next = fed.get(time) ?? prediction;
    steps.push({
      time,
      symbol,
      ...step,
      logits,
      probabilities: softmax(logits),
      prediction,
      next,
      alignment: alignment && alignment.weights,
    });
    state = step.layers.map((layer) => layer.state);
    symbol = next;
    if (prediction === EOS && next === EOS && !changes.count) break;
  }
  return steps;
}

/** Returns the symbols that steps of decode() predict. */
export const predictions = (steps) => steps.map((step) => step.prediction);
