"""Beam search and probabilities: against all answers of a tiny vocabulary, greedy decoding, and the real command."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
import reference

from helpers import EOS, PAD
from seq2seq_copy import PLAIN, build_model
from support.model import beam_search, greedy, variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.sharing import reusing
from support.terminal import predict
from support.terminal.predict_flags import PredictFlags
from tests.running import long, run, succeed

CONFIG = Settings(vocab_size=4, input_embedding_size=3, encoder_hidden_units=3, seed=3)
LARGER = dataclasses.replace(CONFIG, vocab_size=9)
MODELS = [("none", "lstm"), ("none", "gru"), ("bahdanau", "lstm"), ("luong", "gru")]  # the last in two layers
LAST_FIRST = [MODELS[-1], *(long(*model) for model in MODELS[:-1])]


@pytest.fixture
def make_ask():
    """Returns a function that builds a model with random weights, and returns its search and the weights."""
    sessions = []

    def make(config, attention="none", cell="lstm", scale=1.5, pad=0.0, parts=PLAIN):
        config = dataclasses.replace(config, attention=attention, cell=cell, layers=1 + (attention == "luong"))
        model = variants.open_model(config, parts)
        sessions.append(model.session)
        generator = np.random.default_rng(0)
        for variable in tf.trainable_variables():
            values = scale * generator.normal(size=variable.shape)
            if variable.op.name == "decoder/output_bias":
                values[PAD] += pad
            variable.load(values, model.session)

        def ask(sequences, *search):
            return beam_search.make_search(model, *search)(greedy.question(sequences, config))

        ask.model = model
        return ask, reference.weights_of(model.session)

    yield make
    for session in sessions:
        session.close()


def all_answers(weights, sequence, vocab_size):
    """Returns the log-probability of every answer, a dict by the symbols up to EOS. Nothing is searched or pruned."""
    answers = {}
    for symbols in itertools.product(range(EOS, vocab_size), repeat=len(sequence) + 3):
        end = symbols.index(EOS) + 1 if EOS in symbols else len(symbols)
        if symbols[:end] not in answers:
            logits = reference.forward(weights, sequence, fed=symbols)["logits"][:end]
            probabilities = [reference.softmax(row)[symbol] for row, symbol in zip(logits, symbols)]
            answers[symbols[:end]] = np.log(probabilities).sum()
    return answers


@pytest.mark.parametrize(
    ("attention", "cell", "length_penalty"),
    [long("none", "lstm", 0.0), long("none", "gru", 1.0), ("bahdanau", "lstm", 1.0), ("luong", "gru", 0.0)],
)
def test_a_wide_beam_finds_what_an_exhaustive_search_finds(attention, cell, length_penalty, make_ask):
    ask, weights = make_ask(CONFIG, attention, cell)
    expected = all_answers(weights, [3], CONFIG.vocab_size)
    assert len(expected) == 1 + 2 + 4 + 8 + 16  # EOS at each of the four steps, or at none; PAD nowhere
    ranked = sorted(expected, key=lambda answer: -expected[answer] / ((5 + len(answer)) / 6) ** length_penalty)
    (hypotheses,) = ask([[3]], 100, 20, length_penalty)
    assert [tuple(hypothesis.symbols) for hypothesis in hypotheses] == ranked[:20]
    for hypothesis, answer in zip(hypotheses, ranked):
        assert hypothesis.log_probability == pytest.approx(expected[answer], abs=1e-4)


def feed_back_more(encoded, decoder_lengths, decoder_targets):
    """A loop_fn that feeds back a part of the state too, and finishes a sequence with its EOS."""
    loop_fn = PLAIN.make_loop_fn(encoded, decoder_lengths, decoder_targets)

    def feeding_loop_fn(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, emit, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
        if cell_output is not None:
            next_input += 3 * cell_output[:, : next_input.shape[1]]
            finished |= tf.equal(emit["decoder_prediction"], EOS)
        return finished, next_input, next_state, emit, loop_state

    return feeding_loop_fn


def read(parts, symbols):
    """Returns Parts whose decoder chooses these symbols, int [steps], one after the other."""

    def make_loop_fn(encoded, *arguments):
        now = {}

        def choose(logits):
            return tf.constant(symbols, tf.int32)[now["time"] - 1 :][:1]

        loop_fn = parts.make_loop_fn(encoded._replace(choose=choose), *arguments)

        def reading_loop_fn(time, *others):
            now["time"] = time
            return loop_fn(time, *others)

        return reading_loop_fn

    return parts._replace(make_loop_fn=make_loop_fn)


@pytest.mark.parametrize("width", [3, long(100)])
def test_a_beam_goes_on_as_the_loop_fn_says(width, make_ask):
    """Each answer has the log-probabilities that its symbols have when the decoder reads them, one by one."""
    parts = PLAIN._replace(make_loop_fn=feed_back_more)
    ask, _ = make_ask(CONFIG, parts=parts)
    model, sequence = ask.model, [3]
    for hypothesis in ask([sequence], width, min(width, 12))[0]:
        steps = hypothesis.symbols.size
        with reusing(model.variables):
            padded = np.pad(hypothesis.symbols, [0, 4 - steps], constant_values=EOS)
            questions = model.placeholders._replace(targets=None)
            logits = build_model(questions, CONFIG, read(parts, padded))["decoder_logits"]
        rows = model.session.run(logits, model.feed(greedy.question([sequence], CONFIG)))[:steps, 0]
        expected = [np.log(reference.softmax(row)[symbol]) for row, symbol in zip(rows, hypothesis.symbols)]
        np.testing.assert_allclose(hypothesis.log_probabilities, expected, atol=1e-4)


def search_by_hand(weights, sequence, vocab_size, width, length_penalty):
    """Beam search over lists. Returns the answers of the beam and the greedy one, the best first."""

    def score(answer):
        symbols, total = answer
        return total / ((5 + len(symbols)) / 6) ** length_penalty

    def continued(symbols):
        fed = [*symbols, *[PAD] * (len(sequence) + 3 - len(symbols))]
        probabilities = reference.softmax(reference.forward(weights, sequence, fed)["logits"][len(symbols)])
        return [(symbols + (symbol,), np.log(probabilities[symbol])) for symbol in range(EOS, vocab_size)]

    def search(width):
        beam = [((), 0.0)]
        for _ in range(len(sequence) + 3):
            longer = [answer for answer in beam if EOS in answer[0]]
            for symbols, total in beam:
                if EOS not in symbols:
                    longer += [(more, total + log_probability) for more, log_probability in continued(symbols)]
            beam = sorted(longer, key=score, reverse=True)[:width]
        return beam

    return sorted(dict(search(width) + search(1)).items(), key=score, reverse=True)


@pytest.mark.parametrize(("attention", "cell"), LAST_FIRST[:2])
@pytest.mark.parametrize("length_penalty", [0.0, 3.0])
def test_a_narrow_beam_keeps_what_a_search_by_hand_keeps(attention, cell, length_penalty, make_ask):
    ask, weights = make_ask(CONFIG, attention, cell)
    sequences = [[3], [2, 3, 3], [3, 2, 2, 2, 3], [2, 2]]
    for sequence, hypotheses in zip(sequences, ask(sequences, 3, 3, length_penalty)):
        expected = search_by_hand(weights, sequence, CONFIG.vocab_size, 3, length_penalty)[:3]
        assert [tuple(hypothesis.symbols) for hypothesis in hypotheses] == [symbols for symbols, _ in expected]
        totals = [hypothesis.log_probability for hypothesis in hypotheses]
        assert totals == pytest.approx([total for _, total in expected], abs=1e-3)


@pytest.mark.parametrize(("attention", "cell"), LAST_FIRST)
def test_pad_is_no_answer_however_likely_it_is(attention, cell, make_ask):
    ask, _ = make_ask(LARGER, attention, cell, pad=50.0)
    for search in ((1,), (6, 6)):
        for hypotheses in ask([[3, 4, 5], [6], [2, 2, 8, 7, 3]], *search):
            for hypothesis in hypotheses:
                assert PAD not in hypothesis.symbols
                assert hypothesis.log_probabilities.max() < -10  # the model's own opinion of it


@pytest.mark.parametrize(("attention", "cell"), LAST_FIRST[:2])
def test_a_beam_is_never_worse_than_greedy_and_often_better(attention, cell, make_ask):
    ask, _ = make_ask(LARGER, attention, cell, scale=0.7)
    generator = np.random.default_rng(1)
    sequences = [generator.integers(2, 9, size=generator.integers(1, 7)) for _ in range(200)]
    greedy, searched = ask(sequences), ask(sequences, 3)
    gains = np.array([found.log_probability - first.log_probability for (first,), (found,) in zip(greedy, searched)])
    assert (gains > -1e-5).all()
    assert (gains > 1e-3).mean() > 0.2


@pytest.mark.parametrize(("attention", "cell"), LAST_FIRST[:2])
def test_the_company_in_a_batch_makes_no_difference(attention, cell, make_ask):
    ask, _ = make_ask(LARGER, attention, cell)
    sequences = [[3, 4, 5], [6], [2, 2, 8, 7, 3]]
    together = ask(sequences, 4, 3)
    for hypotheses, sequence in zip(together, sequences):
        (alone,) = ask([sequence], 4, 3)
        assert len(hypotheses) == 3
        for hypothesis, same in zip(hypotheses, alone):
            np.testing.assert_array_equal(hypothesis.symbols, same.symbols)
            np.testing.assert_allclose(hypothesis.log_probabilities, same.log_probabilities, atol=1e-4)
            if attention != "none":
                assert hypothesis.alignment.shape == (hypothesis.symbols.size, len(sequence))
                np.testing.assert_allclose(hypothesis.alignment, same.alignment, atol=1e-4)
                np.testing.assert_allclose(hypothesis.alignment.sum(axis=1), 1, atol=1e-5)


@pytest.mark.short
@pytest.mark.parametrize(("attention", "cell"), MODELS)
def test_probabilities_and_alignment_of_an_answer_are_those_of_numpy(attention, cell, make_ask):
    ask, weights = make_ask(LARGER, attention, cell)
    sequence = [3, 8, 5, 2]
    for search in ((1,), (5, 5)):
        for hypothesis in ask([sequence], *search)[0]:
            steps = hypothesis.symbols.size
            fed = [*hypothesis.symbols, *[PAD] * (7 - steps)]
            expected = reference.forward(weights, sequence, fed)
            rows = [reference.softmax(row) for row in expected["logits"][:steps]]
            probabilities = [row[symbol] for row, symbol in zip(rows, hypothesis.symbols)]
            np.testing.assert_allclose(hypothesis.log_probabilities, np.log(probabilities), atol=1e-4)
            if attention != "none":
                np.testing.assert_allclose(hypothesis.alignment, expected["alignment"][:steps], atol=1e-4)


def test_tracing_back_by_hand():
    """Three steps, two rows. Row 1 at the end came from row 0, which came from row 1."""
    symbols = np.array([[5, 6], [7, 8], [9, EOS]])
    parents = np.array([[0, 0], [1, 0], [1, 0]])
    log_probabilities = np.array([[-1.0, -2.0], [-3.0, -4.0], [-np.inf, -6.0]])
    (hypothesis,) = beam_search.trace_back(log_probabilities, symbols, parents, length=1)
    assert hypothesis.symbols.tolist() == [6, 7, EOS]
    assert hypothesis.log_probabilities.tolist() == [-2.0, -3.0, -6.0]
    assert hypothesis.log_probability == -11
    assert hypothesis.score(1.0) == -11 / (8 / 6)


HALF_TRAINED = ["--max-batches", "150", "--batch-size", "50", "--samples", "0", "--xla", "off"]
HALF_TRAINED += ["--held-out-sequences", "200"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a plain run, half trained."""
    folder = tmp_path_factory.mktemp("asked")
    assert run([*HALF_TRAINED, "--run-dir", "plain"], folder)[0] == 0
    return folder


def test_scores_and_json_say_the_same(folder):
    asked = ["--predict", "4 8 5", "--predict", "2 3 4 5 6 7", "--run-dir", "plain", "--beam", "4", "--n-best", "2"]
    text = succeed([*asked, "--scores"], folder)
    lines = succeed([*asked, "--json"], folder)
    pattern = r"input     > \[(.*)\]\n" + 2 * r"predicted > \[(.*)\]\nscores    > (\S+) (.*)\n"
    shown = re.findall(pattern, text)
    assert len(shown) == len(lines.splitlines()) == 2
    for (given, *answers), line in zip(shown, lines.splitlines()):
        answer = json.loads(line)
        assert answer["input"] == given.split()
        assert len(answer["predictions"]) == 2
        for prediction, symbols, total, pairs in zip(answer["predictions"], answers[::3], answers[1::3], answers[2::3]):
            assert prediction["symbols"] == symbols.split()
            assert prediction["log_probability"] == pytest.approx(float(total), abs=1e-4)
            written = [pair.rpartition(":")[::2] for pair in pairs.split()]
            assert [name for name, _ in written] == prediction["symbols"] + ["<EOS>"] * prediction["ended"]
            assert prediction["probabilities"] == pytest.approx([float(share) for _, share in written], abs=1e-4)
            assert np.log(prediction["probabilities"]).sum() == pytest.approx(prediction["log_probability"], abs=1e-5)


def test_json_carries_the_attention_weights_where_they_are_asked_for():
    weights = np.array([[0.25, 0.75], [1.0, 0.0]])
    hypothesis = beam_search.Hypothesis(np.array([3, EOS]), np.log([0.5, 0.5]), weights)
    for flags, expected in (({}, None), ({"alignment": True}, weights.tolist())):
        line = predict.as_json([2, 3], [hypothesis], list("_-ab"), PredictFlags(json=True, **flags))
        assert json.loads(line)["predictions"][0].get("alignment") == expected


def test_the_first_answer_of_a_beam_is_the_only_one_without_n_best(folder):
    asked = ["--predict", "4 8 5", "--run-dir", "plain", "--beam", "4"]
    few, more = (run([*asked, *n_best], folder)[1].splitlines() for n_best in ([], ["--n-best", "4"]))
    assert few == more[:2]
    assert len(more) == 5
    assert len(set(more)) == 5


def test_thousands_of_lines_through_a_beam(folder):
    generator = np.random.default_rng(0)
    lines = [" ".join(map(str, generator.integers(2, 10, size=generator.integers(3, 9)))) for _ in range(3000)]
    status, stdout, _ = run(["--predict", "-", "--run-dir", "plain", "--beam", "8", "--json"], folder, "\n".join(lines))
    assert status == 0
    assert [" ".join(json.loads(line)["input"]) for line in stdout.splitlines()] == lines


@pytest.mark.long
def test_memory_and_attention_of_asked_sequences_are_drawn(folder):
    attentive = ["--attention", "luong", "--task", "alphabet", "--run-dir", "attentive"]
    assert run([*HALF_TRAINED, *attentive], folder)[0] == 0
    asked = ["--predict", "x y z", "--predict", "a b c d", "--run-dir", "attentive", "--plot", "drawn/seen.svg"]
    stdout = succeed([*asked, "--beam", "3"], folder)
    assert stdout.endswith("\nmemory and attention in drawn/seen.svg\n")
    assert (folder / "drawn/seen.svg").read_text().startswith("<?xml")
    assert run([*asked, "--json"], folder)[1].count("\n") == 2
    plain = ["--predict", "4 8 5", "--run-dir", "plain", "--plot", "drawn/plain.png"]
    assert run(plain, folder)[1].endswith("\nmemory in drawn/plain.png\n")
    assert (folder / "drawn/plain.png").read_bytes().startswith(b"\x89PNG")
