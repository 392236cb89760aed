"""Edits of the script, one at a time, as text: what is trained is what stands there, with XLA and without.

Each edited copy is trained by the real command, at a gentle rate. With batches of five sequences, most batches are
shorter than the size that XLA knows, so that an edit that looks at the padding shows too.
"""

import ast
import csv
import json
import re
import shutil

import numpy as np
import pytest

from tests.running import ROOT, long, run, succeed

TEXT = (ROOT / "seq2seq_copy.py").read_text()
FLAGS = "--max-batches 20 --batch-size 5 --learning-rate 0.003 --samples 0 --run-dir run"
SUBCLASS = """class HalfCell(LSTMCell):
    def __call__(self, inputs, state):
        return super().__call__(0.5 * inputs, state)


"""
# What is edited: the old text, the new text.
EDITS = {
    # numbers
    "task": ('task: str = "copy"', 'task: str = "reverse"'),
    "vocab_size": ("vocab_size: int = 10", "vocab_size: int = 7"),
    "length_from": ("length_from: int = 3", "length_from: int = 1"),
    "length_to": ("length_to: int = 8", "length_to: int = 6"),
    "input_embedding_size": ("input_embedding_size: int = 20", "input_embedding_size: int = 13"),
    "encoder_hidden_units": ("encoder_hidden_units: int = 20", "encoder_hidden_units: int = 9"),
    "warm_up": ("warm_up: float = 0.1", "warm_up: float = 0.5"),
    "adam_beta2": ("adam_beta2: float = 0.95", "adam_beta2: float = 0.5"),
    "clip_norm": ("clip_norm: float = 1.0", "clip_norm: float = 1e-5"),
    "seed": ("seed: int = 0", "seed: int = 5"),
    "constant EOS": ("PAD\nfrom support", "PAD\n\nEOS = 2\nfrom support"),
    "constant EXTRA_DECODER_STEPS": ("PAD\nfrom support", "PAD\n\nEXTRA_DECODER_STEPS = 2\nfrom support"),
    # embedding
    "embed: scaled": ("return embeddings, encoder_inputs_embedded ", "return embeddings, 3 * encoder_inputs_embedded "),
    "embed: another start": ("tf.random_uniform_initializer(-0.2, 0.2)", "tf.random_uniform_initializer(-1, 1)"),
    "embed: a table for the encoder": (
        "encoder_inputs_embedded = tf.nn.embedding_lookup(embeddings, ",
        'table = tf.get_variable("table", [vocab_size, input_embedding_size], initializer=uniform)\n'
        "        encoder_inputs_embedded = tf.nn.embedding_lookup(table, ",
    ),
    "embed: tf.Variable, as in the talk": (
        'tf.get_variable("embeddings", [vocab_size, input_embedding_size], initializer=uniform)',
        "tf.Variable(tf.random_uniform([vocab_size, input_embedding_size], -1.0, 1.0), dtype=tf.float32)",
    ),
    # cell
    "LSTMStateTuple: fields swapped": ('"LSTMStateTuple", "c h"', '"LSTMStateTuple", "h c"'),
    "LSTMCell.__init__: other bias": ("[0.0, 0.0, 4.0, 0.0]", "[0.0, 0.0, 0.0, 0.0]"),
    "LSTMCell.zero_state": ("zeros = tf.zeros([batch_size", "zeros = tf.ones([batch_size"),
    "LSTMCell.__call__: other gates": ("i, j, f, o = tf.split", "j, i, o, f = tf.split"),
    "LSTMCell.__call__: replaced after the class": (
        "\n\ndef encode(",
        "\n\nLSTMCell.__call__ = lambda cell, x, state: (0.9 * state.h, LSTMStateTuple(state.c, 0.9 * state.h))\n"
        "\n\ndef encode(",
    ),
    # encoder
    "encode: lengths ignored": (
        "encoder_inputs_embedded, encoder_inputs_length, dtype",
        "encoder_inputs_embedded, dtype",
    ),
    "encode: inputs reversed": (
        "backward_cell, encoder_inputs_embedded,",
        "backward_cell, encoder_inputs_embedded[::-1],",
    ),
    "encode: more padding": (
        "    forward_cell = parts.cell(",
        "    encoder_inputs_embedded += tf.reduce_mean(encoder_inputs_embedded, axis=0)\n"
        "    forward_cell = parts.cell(",
    ),
    "encode: another initial state": (
        "encoder_inputs_length, dtype",
        "encoder_inputs_length,\n        initial_state_bw=LSTMStateTuple(*[encoder_inputs_embedded[0]] * 2), dtype",
    ),
    "encode: TensorFlow's own loop, half the inputs": (
        "= parts.loops.bidirectional_dynamic_rnn(\n        forward_cell, backward_cell, encoder",
        "= tf.nn.bidirectional_dynamic_rnn(\n        forward_cell, backward_cell, 0.5 * encoder",
    ),
    "concatenate_states: c twice": (
        "tf.concat([forward_state.h, backward_state.h], axis=1",
        "tf.concat([forward_state.c, backward_state.c], axis=1",
    ),
    "concatenate_states: one direction unused": (
        "    c = tf.concat(",
        "    backward_state = forward_state\n    c = tf.concat(",
    ),
    # decoder
    "make_loop_fn: other output weights": (
        "tf.random_uniform_initializer(-2.5, 2.5)",
        "tf.random_uniform_initializer(-1, 1)",
    ),
    "make_loop_fn: tf.Variable": (
        'tf.get_variable("output_weights", [decoder_hidden_units, vocab_size], initializer=uniform)',
        "tf.Variable(tf.random_uniform([int(decoder_hidden_units), int(vocab_size)], -1, 1), dtype=tf.float32)",
    ),
    "loop_fn_initial: first input PAD": (
        "decoder_lengths, eos_step_embedded, enc",
        "decoder_lengths, pad_step_embedded, enc",
    ),
    "loop_fn_initial: half the state": (
        "encoded.final_state, emit_structure",
        "tf.nest.map_structure(lambda x: x / 2, encoded.final_state), emit_structure",
    ),
    "loop_fn_transition: second best": (
        "prediction = encoded.choose(logits)",
        "prediction = tf.nn.top_k(logits, 2)[1][:, 1]",
    ),
    "most_likely: second best": (
        "return tf.argmax(logits, axis=1, output_type=tf.int32)",
        "return tf.nn.top_k(logits, 2)[1][:, 1]",
    ),
    "loop_fn_transition: logits scaled": ("+ output_bias  # [batch", "* 0.5 + output_bias  # [batch"),
    "loop_fn: emits entropy, which is part of the loss": [
        (
            '"decoder_prediction": tf.zeros([], tf.int32)}',
            '"decoder_prediction": tf.zeros([], tf.int32), "e": tf.zeros([])}',
        ),
        (
            '"decoder_prediction": prediction}',
            '"decoder_prediction": prediction, "e": tf.reduce_logsumexp(logits, axis=1)}',
        ),
        (
            "batch.targets, decoder_lengths)\n    return",
            "batch.targets, decoder_lengths)\n"
            '        results["loss"] += 0.1 * tf.reduce_mean(results["e"])\n    return',
        ),
    ],
    "loop_fn: doubles outputs": (
        "else loop_fn_transition(time, cell_output, cell_state)",
        "else loop_fn_transition(time, 2 * cell_output, cell_state)",
    ),
    "decode: logits shifted": (
        "array.stack(name) for name, array in emitted.items()}",
        'array.stack(name) * (2 if name == "decoder_logits" else 1) for name, array in emitted.items()}',
    ),
    # loss
    "masked_loss: no mask": (
        "tf.reduce_sum(stepwise_cross_entropy * mask), tf.reduce_sum(mask)",
        "tf.reduce_mean(stepwise_cross_entropy), 1.0",
    ),
    "masked_loss: a longer mask": ("tf.sequence_mask(decoder_lengths,", "tf.sequence_mask(decoder_lengths + 1,"),
    "masked_loss: a penalty": (
        "return tf.divide(tf.reduce_sum(step",
        "return tf.reduce_mean(decoder_logits**2) + tf.divide(tf.reduce_sum(step",
    ),
    "masked_loss: a trained scale": (
        "return tf.divide(tf.reduce_sum(step",
        'scale = tf.get_variable("scale", [], initializer=tf.ones_initializer())\n'
        "        return scale**2 * tf.divide(tf.reduce_sum(step",
    ),
    # schedule
    "scheduled_learning_rate: constant": ("min(1, rise) * fall", "0.3"),
    # model
    "Parts: another default": [
        ("\n\nclass Parts(", f"\n\n{SUBCLASS}class Parts("),
        ("cell: Callable = LSTMCell", "cell: Callable = HalfCell"),
    ],
    "Parts: another encoder": (
        "encode: Callable = encode ",
        "encode: Callable = lambda inputs, *others: encode(2 * inputs, *others) ",
    ),
    "Parts: another concatenate_states": (
        "concatenate_states: Callable = concatenate_states",
        "concatenate_states: Callable = lambda forward, backward: concatenate_states(backward, forward)",
    ),
    "Parts: a wrapped make_loop_fn": (
        "make_loop_fn: Callable = make_loop_fn",
        "make_loop_fn: Callable = lambda encoded, *others: make_loop_fn(\n"
        "        encoded._replace(embeddings=2 * encoded.embeddings), *others)",
    ),
    "PLAIN": ("PLAIN = Parts()", f"{SUBCLASS}PLAIN = Parts(cell=HalfCell)"),
    "build_model: a penalty on what is filled up": (
        "batch.targets, decoder_lengths)\n    return",
        "batch.targets, decoder_lengths)\n"
        '        results["loss"] += 0.01 * tf.reduce_mean(results["decoder_logits"] ** 2)\n    return',
    ),
    "build_model: other lengths": ("tf.add(batch.target_lengths, EXTRA", "tf.add(batch.target_lengths - 1, EXTRA"),
    "build_model: reads the padding": (
        "embed(batch.inputs,",
        "embed(tf.where(tf.equal(batch.inputs, 0), 2 + batch.inputs, batch.inputs)[::-1],",
    ),
    # training step
    "loss_and_gradients: scaled": ('parts)["loss"]', 'parts)["loss"] * 3'),
    "loss_and_gradients: noise": (
        "tf.convert_to_tensor(gradient) for gradient",
        "tf.convert_to_tensor(gradient) + 0.1 for gradient",
    ),
    "training_step: weight decay": (
        "    with tf.control_dependencies([train_op]):",
        "    with tf.control_dependencies([train_op]):\n"
        "        decay = [tf.assign(variable, 0.9 * variable.read_value()) for variable in tf.trainable_variables()]\n"
        "    with tf.control_dependencies(decay):",
    ),
    "training_step: half the rate": ("AdamOptimizer(learning_rate,", "AdamOptimizer(learning_rate / 2,"),
    "training_step: plain gradient descent": (
        "tf.train.AdamOptimizer(learning_rate, beta2=config.adam_beta2)",
        "tf.train.GradientDescentOptimizer(100 * learning_rate)",
    ),
    "training_step: a mean of the losses": (
        "    with tf.control_dependencies([train_op]):\n        return tf.identity(loss,",
        '    mean = tf.get_variable("mean", [], initializer=tf.zeros_initializer(), trainable=False)\n'
        "    new_mean = tf.assign(mean, 0.9 * mean + 0.1 * loss)\n"
        "    with tf.control_dependencies([train_op]):\n        return tf.identity(new_mean,",
    ),
    "run_in_session: a tenth of the rate": (
        "step(model.placeholders, model.learning_rate)",
        "step(model.placeholders, model.learning_rate / 10)",
    ),
    "run_in_session: the loss scaled": (
        "(model.session.run(results, feed)",
        "(np.multiply(2, model.session.run(results, feed))",
    ),
    # what is made or collected where TensorFlow 1.x allows it
    "LSTMCell.__call__: makes a variable": [
        (
            "        gates = tf.nn.bias_add(",
            "        uniform = tf.random_uniform_initializer(0.1, 2.0)\n"
            '        scale = tf.get_variable("scale", [4 * self.output_size], initializer=uniform)\n'
            "        gates = tf.nn.bias_add(",
        ),
        ("i, j, f, o = tf.split(gates,", "i, j, f, o = tf.split(gates * scale,"),
    ],
    "loop_fn_transition: makes a variable": (
        "+ output_bias  # [batch",
        '* tf.get_variable("gain", [], initializer=tf.constant_initializer(0.5)) + output_bias  # [batch',
    ),
    "masked_loss: by tf.losses": (
        "return tf.divide(tf.reduce_sum(stepwise",
        "tf.losses.sparse_softmax_cross_entropy(decoder_targets, 2 * decoder_logits, weights=mask)\n"
        "        return tf.losses.get_total_loss() + 0 * tf.divide(tf.reduce_sum(stepwise",
    ),
    "encode: a penalty in a collection": [
        (
            "    return encoder_outputs, parts.concatenate_states(",
            '    tf.add_to_collection("penalty", tf.reduce_mean(forward_state.h**2))\n'
            "    return encoder_outputs, parts.concatenate_states(",
        ),
        (
            "batch.targets, decoder_lengths)\n    return",
            'batch.targets, decoder_lengths) + tf.add_n(tf.get_collection("penalty"))\n    return',
        ),
    ],
    "embed: a regularizer": [
        (
            "[vocab_size, input_embedding_size], initializer=uniform)",
            "[vocab_size, input_embedding_size], initializer=uniform,\n"
            "            regularizer=lambda weights: 10 * tf.reduce_sum(weights**2))",
        ),
        (
            "batch.targets, decoder_lengths)\n    return",
            "batch.targets, decoder_lengths) + tf.losses.get_regularization_loss()\n    return",
        ),
    ],
    "training_step: variables without names": (
        "    with tf.control_dependencies([train_op]):\n        return tf.identity(loss,",
        "    mean, count = tf.Variable(0.0, trainable=False), tf.Variable(0.0, trainable=False)\n"
        "    with tf.control_dependencies([train_op]):\n"
        "        updates = [tf.assign_add(mean, loss), tf.assign_add(count, 1.0)]\n"
        "    with tf.control_dependencies(updates):\n"
        "        return tf.identity(mean.read_value() / count.read_value(),",
    ),
    # model, trainer, loop
    "Model.__init__: other seed": ("tf.set_random_seed(config.seed)", "tf.set_random_seed(config.seed + 1)"),
    "Model.feed: other inputs": (
        "zip(self.placeholders, batch)",
        "zip(self.placeholders, batch._replace(inputs=batch.inputs[::-1]))",
    ),
    "Trainer: other settings": (
        "partial(training_step, config=model.config,",
        "partial(training_step, config=model.config.__class__(adam_beta2=0.5),",
    ),
    "train: a tenth of the rate": ("model.feed(batch, learning_rate) for", "model.feed(batch, learning_rate / 10) for"),
    "train: only some batches": (
        "model.feed(batch, learning_rate) for",
        "model.feed(batch, learning_rate * (batch.lengths.sum() % 2)) for",
    ),
}
# Edits that change nothing that is trained.
NO_CHANGE = {
    "nothing": ("\n", "\n"),
    "a docstring": ("Reads the sequences from left", "Reads sequences from left"),
    "a name": ("prediction_embedded", "embedding_of_the_prediction"),
    "zero_state made otherwise": ("zeros = tf.zeros([batch_size", "zeros = 0 * tf.ones([batch_size"),
    "constant PAD": ("PAD\nfrom support", "PAD\n\nPAD = 3\nfrom support"),
    "Encoded: a default": (
        'lengths choose", defaults=[most_likely])',
        'lengths choose", defaults=[None, most_likely])',
    ),
    "Model.predict": ("self.session.run(self.decoder_prediction,", "0 * self.session.run(self.decoder_prediction,"),
    "evaluate: strict": ("== some.targets  #", "> some.targets  #"),
    "batches_in_epoch": ("batches_in_epoch: int = 1000", "batches_in_epoch: int = 7"),
    "held_out_sequences": ("held_out_sequences: int = 10_000", "held_out_sequences: int = 77"),
    "fit": ("if len(losses) % config", "if 2 * len(losses) % config"),
    "the last lines": ('if __name__ == "__main__":', 'if __name__ == "__main__" and EOS:'),
}
QUICK = ["masked_loss: no mask", "PLAIN", "embed: tf.Variable, as in the talk"]


def copy_script(edits, folder):
    """Copies the script and what it needs into a new folder, after edits; returns its path there, a str."""
    shutil.copytree(ROOT / "support", folder / "support")
    texts = {name: (ROOT / name).read_text() for name in ("seq2seq_copy.py", "helpers.py")}
    for old, new in [edits] if isinstance(edits, tuple) else edits:
        (name, *_) = [name for name, text in texts.items() if old in text]
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return str(folder / "seq2seq_copy.py")


def trained(edits, xla, folder, *flags):
    """Trains an edited script; returns its losses, and which shares of sequences and symbols it gets right."""
    succeed([*FLAGS.split(), "--xla", xla, *flags], folder, script=copy_script(edits, folder))
    with open(folder / "run/history.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    metrics = json.loads((folder / "run/metrics.json").read_text())
    return np.array(losses), [metrics["exact_match"]["share"], metrics["token_accuracy"]]


@pytest.fixture(scope="module")
def unedited(tmp_path_factory):
    return trained([], "off", tmp_path_factory.mktemp("unedited") / "off")[0]


@pytest.mark.parametrize("name", [name if name in QUICK else long(name) for name in EDITS])
def test_an_edit_is_what_trains_with_xla_and_without(name, tmp_path, unedited):
    (on, right_on), (off, right_off) = (trained(EDITS[name], xla, tmp_path / xla) for xla in ("on", "off"))
    np.testing.assert_allclose(on, off, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(right_on, right_off, atol=2e-3)  # rounding decides between equally likely symbols
    assert on.size == 20 and np.abs(off - unedited).max() > 2e-3, "the edit changes nothing"


@pytest.mark.long
@pytest.mark.parametrize("name", NO_CHANGE)
def test_an_edit_that_changes_nothing_in_training_changes_nothing(name, tmp_path, unedited):
    for xla in ("on", "off"):
        losses, _ = trained(NO_CHANGE[name], xla, tmp_path / xla)
        np.testing.assert_allclose(losses, unedited, rtol=1e-5)


FEEDBACK = "next_input = tf.where(elements_finished, pad_step_embedded, prediction_embedded)"


@pytest.mark.parametrize("attention", ["none", long("luong")])
def test_an_edit_of_what_is_fed_back_holds_for_answers(tmp_path, attention):
    """The weights of one run, asked by the script as it is and by edited ones, greedily and with a beam."""
    scripts = {
        "as it is": [],
        "the same, otherwise": (FEEDBACK, "next_input = prediction_embedded"),
        "PAD": (FEEDBACK, "next_input = pad_step_embedded"),
        "twice": (FEEDBACK, "next_input = 2 * prediction_embedded"),
        "second best": EDITS["most_likely: second best"],
    }
    answers = {}
    for name, edits in scripts.items():
        folder = tmp_path / name
        if not answers:
            trained(edits, "off", folder, "--attention", attention)
        else:
            copy_script(edits, folder)
            shutil.copytree(tmp_path / "as it is/run", folder / "run")
        script = str(folder / "seq2seq_copy.py")
        for flags in ("--predict", "--beam 3 --predict"):
            arguments = ["--json", "--run-dir", "run", *flags.split(), "4 8 5 2 7"]
            status, stdout, stderr = run(arguments, folder, script=script)
            changed = "seq2seq_copy.py: the script has changed since 'run' began; the changed script uses its weights\n"
            assert (status, stderr) == (0, "" if name == "as it is" else changed)
            (answer,) = json.loads(stdout)["predictions"]
            answers[name, flags] = answer["log_probability"]
    for flags in ("--predict", "--beam 3 --predict"):
        as_it_is, same, pad, twice, second = (answers[name, flags] for name in scripts)
        assert same == pytest.approx(as_it_is, abs=1e-5)
        assert len({round(number, 4) for number in (as_it_is, pad, twice)}) == 3, "the edit is lost"
        assert "beam" in flags or abs(second - as_it_is) > 0.01, "the edit is lost"  # a beam chooses by itself
    itself = copy_script(EDITS["loop_fn_transition: second best"], tmp_path / "itself")
    status, _, stderr = run(["--run-dir", "run", "--beam", "2", "--predict", "4 8"], folder, script=itself)
    message = "seq2seq_copy.py: --beam: the loop_fn of this model does not choose symbols by encoded.choose()\n"
    assert (status, stderr) == (2, changed + message)


def test_each_function_class_and_constant_is_edited():
    """By the lines that the edits touch."""
    touched = set()
    for edits in [*EDITS.values(), *NO_CHANGE.values()]:
        for old, _ in [edits] if isinstance(edits, tuple) else edits:
            start = TEXT.index(old) if old != "\n" else 0
            touched.update(range(TEXT[:start].count("\n") + 1, TEXT[: start + len(old)].count("\n") + 2))
    for node in ast.parse(TEXT).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Assign)):
            assert touched & set(range(node.lineno, node.end_lineno + 1)), ast.unparse(node)[:60]


SECTION = (ROOT / "docs/variants.md").read_text().split("\n## Change it\n")[1].split("\n## ")[0]
OF_THE_PAGE = re.findall(r"```diff\n(.*?)```", SECTION, re.DOTALL)


@pytest.mark.parametrize("number", [long(0), 1, long(2)], ids=["task", "cell", "loop_fn"])
def test_an_edit_does_what_docs_variants_says(tmp_path, number):
    """With the compiled step, which must follow the edit. On another processor the figure may differ."""
    lines = OF_THE_PAGE[number].splitlines(keepends=True)
    edits = [tuple("".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")]
    script = copy_script(edits, tmp_path / "edited")
    arguments = ["--max-batches", "301", "--samples", "0", "--run-dir", "run"]
    assert run(arguments, tmp_path, script=script)[::2] == (0, "")
    exact = json.loads((tmp_path / "run/metrics.json").read_text())["exact_match"]["share"]
    said = re.findall(r"([\d.]+) % after 301 batches", SECTION)
    assert len(said) == len(OF_THE_PAGE) == 3
    assert 100 * exact == pytest.approx(float(said[number]), abs=10)
