"""The answers of a trained model, by greedy decoding or beam search.

Greedy decoding takes the likeliest symbol at each step and cannot take it back. Beam search keeps the N likeliest
beginnings of an answer (hypotheses) at each step. Here it is one more loop_fn around the decoder's, so tf.nn.raw_rnn
runs it: each sequence of a batch becomes N rows, and between two steps the rows change places.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from helpers import EOS, EXTRA_DECODER_STEPS, PAD
from seq2seq_copy import build_model
from support.errors import UserError
from support.model import greedy
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.sharing import reusing


class Hypothesis(NamedTuple):
    """An answer of the model to one sequence."""

    symbols: np.ndarray  # int [steps], up to and including the first EOS; all steps if there is none
    log_probabilities: np.ndarray  # float [steps], of each symbol, given those before it
    alignment: np.ndarray | None  # with attention its weights, float [steps, length]

    @property
    def log_probability(self):
        """The log-probability of the whole answer, in nats."""
        return float(self.log_probabilities.sum())

    def score(self, length_penalty):
        """The log-probability over the penalty for the length: Wu et al. 2016, equation 14, without coverage."""
        return self.log_probability / penalty(self.symbols.size, length_penalty)


def penalty(length, length_penalty):
    """The divisor of a log-probability: 1 for every length if length_penalty is 0.

    Source: Wu et al., "Google's neural machine translation system", 2016, equation 14.
    """
    return ((5 + length) / 6) ** length_penalty


def make_search(model, beam=1, n_best=1, length_penalty=0.0):
    """Returns the function that answers with a model.

    Args:
      model: a seq2seq_copy.Model.
      beam: int >= 1, how many hypotheses beam search keeps; 1 for greedy decoding.
      n_best: int in 1 ... beam, how many answers to return for each sequence.
      length_penalty: float >= 0; the larger, the better long answers do.

    Returns:
      A function from a helpers.Batch, made by greedy.question(), to a list of Hypothesis for each sequence, the best
      first. The greedy answer is a candidate, so the best never scores lower.
    """
    questions = model.placeholders._replace(targets=None)

    def connect(parts, *names):
        with reusing(model.variables):
            results = build_model(questions, model.config, parts)
        return {name: results[name] for name in (*names, "alignment") if name in results}

    fetches = connect(greedy.answer(model.parts), "decoder_logits", "decoder_prediction")
    found_by_beam = ("log_probabilities", "symbols", "parents")
    searched = connect(search(model.parts, beam, length_penalty), *found_by_beam) if beam > 1 else {}

    def answer(batch):
        first, found = model.session.run([fetches, searched], model.feed(batch))
        answers = []
        for index, (length, steps) in enumerate(zip(batch.lengths, batch.target_lengths + EXTRA_DECODER_STEPS)):
            hypotheses = [greedy_hypothesis(**first, index=index, steps=steps, length=length)]
            if beam > 1:
                rows = slice(index * beam, (index + 1) * beam)
                traces = {name: array[:steps, rows] for name, array in found.items()}
                hypotheses += trace_back(**traces, length=length)
            answers.append(best(hypotheses, n_best, length_penalty))
        return answers

    return answer


def greedy_hypothesis(decoder_logits, decoder_prediction, index, steps, length, alignment=None):
    """Returns the greedy Hypothesis for one sequence of a batch, from the tensors of a Model."""
    symbols, logits = decoder_prediction[:steps, index], decoder_logits[:steps, index].astype(np.float64)
    steps = len(symbols)  # fewer, if all sequences have ended
    largest = logits.max(axis=1, keepdims=True)
    log_probabilities = logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))
    weights = None if alignment is None else alignment[:steps, index, :length]
    return up_to_eos(symbols, log_probabilities[np.arange(steps), symbols], weights)


def up_to_eos(symbols, log_probabilities, alignment):
    """Returns a Hypothesis that ends with its first EOS."""
    ends = np.flatnonzero(symbols == EOS)
    steps = ends[0] + 1 if ends.size else symbols.size
    return Hypothesis(symbols[:steps], log_probabilities[:steps], None if alignment is None else alignment[:steps])


def best(hypotheses, n_best, length_penalty):
    """Returns the best of some hypotheses, without duplicates."""
    distinct = {hypothesis.symbols.tobytes(): hypothesis for hypothesis in hypotheses}
    return sorted(distinct.values(), key=lambda hypothesis: -hypothesis.score(length_penalty))[:n_best]


def trace_back(log_probabilities, symbols, parents, length, alignment=None):
    """Follows each row of the last step back to its beginning.

    Args:
      log_probabilities, symbols, parents: [steps, beam], what the search emitted for one sequence; parents are rows of
        the step before, counted within the sequence.
      length: int, of the input.
      alignment: with attention its weights, [steps, beam, time].

    Returns:
      list of Hypothesis. Rows that no beginning leads to are left out.
    """
    steps = np.flatnonzero(symbols.any(axis=1))[-1] + 1  # the search ends when all have ended, after the last EOS
    beam = symbols.shape[1]
    rows = np.empty([steps, beam], np.int64)
    rows[-1] = np.arange(beam)
    for step in range(steps - 1, 0, -1):
        rows[step - 1] = parents[step, rows[step]]
    hypotheses = []
    for path in rows.T:
        chosen = (np.arange(steps), path)
        if np.isfinite(log_probabilities[chosen]).all():
            weights = None if alignment is None else alignment[chosen][:, :length]
            hypotheses.append(up_to_eos(symbols[chosen], log_probabilities[chosen].astype(np.float64), weights))
    return hypotheses


def search(parts, beam, length_penalty):
    """Puts beam search around the decoder's loop_fn, which then keeps beam hypotheses of each sequence.

    It emits log_probabilities float32, symbols int32 and parents int32, each [batch * beam], and with attention its
    alignment [batch * beam, time].
    """

    def make_loop_fn(encoded, decoder_lengths, decoder_targets):
        batch_size, vocab_size = tf.size(decoder_lengths), int(encoded.embeddings.shape[0])
        of_step = {}  # what the search and the wrapped loop_fn tell each other, while the graph of a step is built

        def choose_once(logits):
            if "kept" in of_step:
                log_probabilities = tf.reshape(tf.nn.log_softmax(logits), [batch_size, beam, vocab_size])
                of_step["chosen"] = choose(log_probabilities, of_step.pop("kept"), length_penalty)
            return tf.reshape(of_step["chosen"].symbols, [-1])

        rows = encoded._replace(
            final_state=tf.nest.map_structure(lambda part: tf.repeat(part, beam, axis=0), encoded.final_state),
            outputs=tf.repeat(encoded.outputs, beam, axis=1),
            lengths=tf.repeat(encoded.lengths, beam),
            choose=choose_once,
        )
        loop_fn = parts.make_loop_fn(rows, tf.repeat(decoder_lengths, beam), decoder_targets)
        return keep_the_likeliest(loop_fn, of_step, batch_size, beam)

    return parts._replace(make_loop_fn=make_loop_fn)


class Kept(NamedTuple):
    """The hypotheses between two steps: the loop_state of the search."""

    totals: tf.Tensor  # float32 [batch, beam], their log-probabilities; -inf for a row without a hypothesis
    lengths: tf.Tensor  # int32 [batch, beam], the number of their symbols, including EOS
    has_ended: tf.Tensor  # bool [batch, beam], whether they hold an EOS
    inner: tf.Tensor | tuple  # the loop_state of the wrapped loop_fn, () for None


class Chosen(NamedTuple):
    """How the hypotheses go on after a step."""

    symbols: tf.Tensor  # int32 [batch, beam], the last symbol of each chosen hypothesis
    parents: tf.Tensor  # int32 [batch, beam], the hypothesis it continues
    log_probabilities: tf.Tensor  # float32 [batch, beam], of these symbols; -inf for a row without a hypothesis
    kept: Kept  # the chosen hypotheses


def keep_the_likeliest(loop_fn, of_step, batch_size, beam):
    """Wraps a loop_fn, for batch * beam rows, in one that keeps the likeliest hypotheses of each sequence.

    A hypothesis that has ended continues with PAD, at no cost. Before its end it holds no PAD. A sequence is finished
    when all its hypotheses have ended. The wrapped loop_fn is called twice for a step. The first call chooses by a
    Kept, of_step["kept"], and leaves a Chosen, of_step["chosen"]. The second goes on from the hypotheses that were
    chosen, with their last symbols.
    """
    # At first each sequence has one hypothesis, the empty one.
    no_totals = tf.tile([[0.0] + [-np.inf] * (beam - 1)], [batch_size, 1])

    def call(time, cell_output, cell_state, inner):
        # A loop carries () in place of a loop_state that is None.
        *results, inner = loop_fn(time, cell_output, cell_state, None if isinstance(inner, tuple) else inner)
        return *results, () if inner is None else inner

    def initial(time):
        finished, next_input, state, emit, inner = call(time, None, None, ())
        symbol = tf.zeros([], tf.int32)
        traces = {"log_probabilities": tf.zeros([]), "symbols": symbol, "parents": symbol}
        emit_structure = traces | {name: emit[name] for name in emit if name == "alignment"}
        kept = Kept(
            no_totals,
            tf.zeros([batch_size, beam], tf.int32),
            tf.zeros([batch_size, beam], tf.bool),
            inner,
        )
        return finished, next_input, state, emit_structure, kept

    def transition(time, cell_output, cell_state, kept):
        of_step["kept"] = kept
        call(time, cell_output, cell_state, kept.inner)
        if "kept" in of_step:
            raise UserError("--beam: the loop_fn of this model does not choose symbols by encoded.choose()")
        symbols, parents, log_probabilities, kept = of_step["chosen"]

        first_rows = beam * tf.range(batch_size)[:, tf.newaxis]  # [batch, 1]
        rows = tf.reshape(first_rows + parents, [-1])  # [batch * beam], where each hypothesis was before
        cell_output, cell_state, inner = tf.nest.map_structure(
            lambda tensor: tf.gather(tensor, rows), (cell_output, cell_state, kept.inner)
        )
        finished, next_input, state, emit, inner = call(time, cell_output, cell_state, inner)
        has_ended = tf.reshape(finished, [batch_size, beam]) | kept.has_ended
        finished = tf.repeat(tf.reduce_all(has_ended, axis=1), beam)
        traces = {"log_probabilities": log_probabilities, "symbols": symbols, "parents": parents}
        traces = {name: tf.reshape(trace, [-1]) for name, trace in traces.items()}
        alignment = {name: emit[name] for name in emit if name == "alignment"}
        return finished, next_input, state, traces | alignment, kept._replace(inner=inner)

    def searching_loop_fn(time, cell_output, cell_state, loop_state):
        return initial(time) if cell_output is None else transition(time, cell_output, cell_state, loop_state)

    return searching_loop_fn


def choose(log_probabilities, kept, length_penalty):
    """Returns the likeliest continuations of the hypotheses of each sequence, as Chosen.

    log_probabilities, float32 [batch, beam, vocab_size], are those of each symbol after each hypothesis in kept.
    """
    _, beam, vocab_size = log_probabilities.shape.as_list()
    is_pad = tf.equal(tf.range(vocab_size), PAD)
    before_end, after_end = greedy.without_pad(log_probabilities), tf.where_v2(is_pad, 0.0, -np.inf)
    log_probabilities = tf.where_v2(kept.has_ended[:, :, tf.newaxis], after_end, before_end)
    totals = kept.totals[:, :, tf.newaxis] + log_probabilities  # [batch, beam, vocab_size]
    lengths = kept.lengths + tf.cast(~kept.has_ended, tf.int32)  # [batch, beam], with the next symbol
    scores = totals / penalty(tf.cast(lengths, tf.float32), length_penalty)[:, :, tf.newaxis]
    _, chosen = tf.nn.top_k(tf.reshape(scores, [-1, beam * vocab_size]), beam)
    parents, symbols = chosen // vocab_size, chosen % vocab_size

    def of_chosen(tensor):
        return tf.gather(tf.reshape(tensor, [-1, beam * vocab_size]), chosen, batch_dims=1)

    totals, log_probabilities = of_chosen(totals), of_chosen(log_probabilities)
    lengths, has_ended = (tf.gather(tensor, parents, batch_dims=1) for tensor in (lengths, kept.has_ended))
    log_probabilities = tf.where(tf.is_finite(totals), log_probabilities, totals)
    kept = Kept(totals, lengths, has_ended | tf.equal(symbols, EOS), kept.inner)
    return Chosen(symbols, parents, log_probabilities, kept)
