"""A run as a SavedModel: loaded by programs that know only TensorFlow, and never half written."""

import ast
import functools
import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import reference
from same_end import variables
from tensorflow.core.protobuf import saved_model_pb2

from helpers import EOS, PAD
from support.model import variants
from support.run.run_folder import RunFolder
from support.run.whole_files import new_folder
from support.tensorflow import tensorflow_v1 as tf
from tests.running import ROOT, SHORT, everything, long, posix, run

TINY = [*SHORT, "--encoder-hidden-units", "8", "--input-embedding-size", "6", "--samples", "0"]
SETTINGS = {
    "plain": [],
    "luong": ["--attention", "luong", "--cell", "gru", "--encoder", "forward", "--task", "reverse"],
    "pairs": ["--attention", "bahdanau", "--feedback", "teacher", "--data", "pairs.tsv", "--keep", "last"],
}
PAIRS = "ä b\tb ä ä b c ä\nc ä b d\td\nd\tb\n" * 5

ASK_IN_TENSORFLOW_2 = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load("served")
asked = json.loads(sys.argv[1])
outputs = model.signatures["serving_default"](**{name: tf.constant(value) for name, value in asked.items()})
answer = {name: tensor.numpy().tolist() for name, tensor in outputs.items()}
dtypes = {name: tensor.dtype.name for name, tensor in outputs.items()}
vocabulary = tf.io.read_file(model.asset_paths[0].asset_path).numpy().decode()
assert not {"seq2seq_copy", "helpers", "support"} & sys.modules.keys()
print(json.dumps([answer, dtypes, vocabulary]))
"""


@pytest.fixture(scope="module", params=[pytest.param("plain", marks=pytest.mark.short), long("luong"), "pairs"])
def exported(request, tmp_path_factory):
    """A folder with a run `run`, the SavedModel `served`, and a file that the export must not treat as its own."""
    where = tmp_path_factory.mktemp(request.param)
    (where / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    (where / "vocabulary.txt").write_text("the user's own\n")
    assert run([*TINY, *SETTINGS[request.param], "--run-dir", "run"], where)[0] == 0
    (where / "pairs.tsv").unlink()
    assert run(["--export", "served", "--run-dir", "run"], where) == (0, "exported run to served\n", "")
    return where


def sequences_for(config):
    """Returns sequences that the model can read, of many lengths; some are longer than in training."""
    generator = np.random.default_rng(0)
    return [generator.integers(2, config.vocab_size, size=length, dtype=np.int32) for length in (3, 1, 12, 5, 4, 8)]


def up_to_eos(symbols):
    ends = np.flatnonzero(symbols == EOS)
    return symbols[: ends[0]] if ends.size else symbols


def ask(sequences, where):
    """Returns predictions [batch, time] and probabilities [batch, time], their dtypes, and the vocabulary file."""
    padded = np.zeros([len(sequences), max(map(len, sequences))], int)
    for row, sequence in zip(padded, sequences):
        row[: len(sequence)] = sequence
    asked = {"sequences": padded.tolist(), "lengths": [len(sequence) for sequence in sequences]}
    answer, dtypes, vocabulary = json.loads(printed_by(json.dumps(asked), where))
    return {name: np.array(values) for name, values in answer.items()}, dtypes, vocabulary


@functools.cache  # two tests read the same answers, and TensorFlow 2 takes seconds to import
def printed_by(asked, where):
    process = subprocess.run(
        [sys.executable, "-c", ASK_IN_TENSORFLOW_2, asked], cwd=where, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1]


@pytest.mark.long
def test_the_code_of_the_docs_reads_the_vocabulary_whatever_spaces_it_holds(tmp_path):
    """U+202F and U+00A0 are symbols of French: Python's split() would drop them, and shift all that follow."""
    (tmp_path / "pairs.tsv").write_text("\u202f a b c\td ! \u00a0 e\nb a\t\u00a0 d\nc\te\n" * 3, encoding="utf-8")
    assert run([*TINY, "--data", "pairs.tsv", "--max-batches", "1", "--run-dir", "run"], tmp_path)[0] == 0
    assert run(["--export", "served/copy/1", "--run-dir", "run"], tmp_path)[0] == 0
    text = (ROOT / "docs/using.md").read_text(encoding="utf-8").split("With TensorFlow 2:\n\n")[1]
    code = re.match(r"(?:(?: {4}.*)?\n)+", text)[0]
    program = f"if True:\n{code}\n    print(ascii(vocabulary))\n"
    process = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    *answers, names = process.stdout.splitlines()
    assert len(answers) >= 2
    vocabulary = RunFolder(tmp_path / "run").read_settings().vocabulary
    assert ast.literal_eval(names)[: len(vocabulary)] == vocabulary


def test_it_answers_like_predict(exported):
    config = RunFolder(exported / "run").read_settings()
    names, sequences = config.vocabulary, sequences_for(config)
    asked = [argument for sequence in sequences for argument in ("--predict", " ".join(names[s] for s in sequence))]
    status, stdout, _ = run([*asked, "--run-dir", "run"], exported)
    assert status == 0

    answer, dtypes, vocabulary = ask(sequences, exported)
    assert dtypes == {"predictions": "int32", "probabilities": "float32"}
    assert vocabulary == "".join(f"{name}\n" for name in names)
    predicted = []
    for sequence, symbols in zip(sequences, answer["predictions"]):
        answer = up_to_eos(symbols[: config.answer_steps(len(sequence))])
        assert (symbols[len(answer) + 1 :] == PAD).all()
        predicted.append(f"[{' '.join(names[symbol] for symbol in answer)}]")
    assert re.findall(r"predicted > (.*\])", stdout) == predicted
    assert len(set(predicted)) > 1


def test_the_probabilities_are_those_of_numpy(exported):
    config = RunFolder(exported / "run").read_settings()
    sequences = sequences_for(config)
    answer, *_ = ask(sequences, exported)
    with variants.open_model(config).session as session:
        RunFolder(exported / "run").restore_final(session, tf.train.Saver())
        weights = reference.weights_of(session)
    rows = zip(sequences, answer["predictions"], answer["probabilities"])
    for sequence, predictions, probabilities in rows:
        steps = min(len(up_to_eos(predictions)) + 1, config.answer_steps(len(sequence)))
        known_steps = min(steps, len(sequence) + 3)  # the steps that the reference makes
        fed = [*predictions, *[PAD] * (len(sequence) + 3)]
        logits = reference.forward(weights, sequence, fed)["logits"][:known_steps]
        np.testing.assert_array_equal(predictions[:known_steps], PAD + 1 + logits[:, PAD + 1 :].argmax(axis=1))
        of_predicted = [reference.softmax(row)[symbol] for row, symbol in zip(logits, predictions)]
        np.testing.assert_allclose(probabilities[:known_steps], of_predicted, atol=1e-4)
        assert (probabilities[:steps] > 0).all()
        assert (probabilities[steps:] == 0).all()


def test_it_holds_the_model_and_nothing_of_its_training(exported):
    files = {str(path.relative_to(exported / "served")) for path in (exported / "served").rglob("*") if path.is_file()}
    files.discard("fingerprint.pb")  # which some versions of TensorFlow write
    variable_files = {"variables/variables.index", "variables/variables.data-00000-of-00001"}
    assert files == {"saved_model.pb", "assets/vocabulary.txt"} | variable_files

    trained = variables(exported / "run")
    reader = tf.train.load_checkpoint(str(exported / "served/variables/variables"))
    weights = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    assert "global_step" in trained
    assert set(weights) == {name for name in trained if not name.startswith("train/") and name != "global_step"}
    assert all((value == trained[name]).all() for name, value in weights.items())

    saved_model = saved_model_pb2.SavedModel.FromString((exported / "served/saved_model.pb").read_bytes())
    (meta_graph,) = saved_model.meta_graphs
    assert meta_graph.meta_info_def.tags == ["serve"]
    ((name, signature),) = meta_graph.signature_def.items()
    inputs, outputs = (
        {name: (tf.as_dtype(info.dtype).name, [size.size for size in info.tensor_shape.dim]) for name, info in side}
        for side in (signature.inputs.items(), signature.outputs.items())
    )
    assert name == "serving_default"
    assert inputs == {"sequences": ("int32", [-1, -1]), "lengths": ("int32", [-1])}
    assert outputs == {"predictions": ("int32", [-1, -1]), "probabilities": ("float32", [-1, -1])}
    scopes = {node.name.split("/")[0] for node in meta_graph.graph_def.node}
    named = {"sequences", "lengths", "encoder_inputs", "decoder_lengths", "vocabulary"}
    named |= {"decoder_targets_length"} if RunFolder(exported / "run").read_settings().data else set()
    assert scopes == named | {"embedding", "encoder", "decoder", "outputs", "save"}
    assert not [node.name for node in meta_graph.graph_def.node if "Adam" in node.name or "gradient" in node.name]
    assert str(exported).encode() not in (exported / "served/saved_model.pb").read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("exported", ["plain"], indirect=True)
def test_sequences_asked_together_and_alone_get_the_same(exported):
    """A server joins requests along the first axis."""
    sequences = sequences_for(RunFolder(exported / "run").read_settings())
    together, *_ = ask(sequences, exported)
    for row in (0, 2):
        alone, *_ = ask([sequences[row]], exported)
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][row, : values.shape[1]], values[0], atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("exported", ["plain"], indirect=True)
def test_the_programs_in_the_documentation_work(exported, tmp_path):
    """Each prints what --predict prints for its two sequences."""
    section = (ROOT / "docs/using.md").read_text().split("\n## Export\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", section, re.MULTILINE)
    programs = [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in blocks if "import tensorflow" in block]
    assert len(programs) == 2
    assert run(["--export", "served/copy/1", "--run-dir", str(exported / "run")], tmp_path)[0] == 0
    arguments = ["--predict", "4 8 5", "--predict", "7 2 9 6", "--run-dir", str(exported / "run")]
    expected = re.findall(r"predicted > \[(.*)\]", run(arguments, tmp_path)[1])
    assert len(expected) == 2 and all(expected)
    for program in programs:
        command = [sys.executable, "-c", program]
        stdout = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for symbols in expected:
            assert symbols in stdout


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """The folder of a run."""
    where = tmp_path_factory.mktemp("tiny")
    assert run([*TINY, "--run-dir", "tiny"], where)[0] == 0
    return where / "tiny"


@pytest.fixture
def trained(tiny_run, tmp_path):
    """A folder with a run."""
    shutil.copytree(tiny_run, tmp_path / "runs/tiny")
    (tmp_path / "model").mkdir()
    return tmp_path


def test_missing_folders_are_made(trained):
    assert run(["--export", "models/copy/1"], trained) == (0, "exported runs/tiny to models/copy/1\n", "")
    assert (trained / "models/copy/1/saved_model.pb").exists()
    assert not list(trained.rglob("*.partial"))
    made = [trained / "models", trained / "models/copy", trained / "models/copy/1"]
    assert {path.stat().st_mode for path in made} == {(trained / "model").stat().st_mode}


@posix
@pytest.mark.parametrize(("file", "largest_file"), [("variables", 1000), ("saved_model.pb", 30_000)])
def test_a_full_disk_leaves_nothing(file, largest_file, trained):
    before = everything(trained)
    status, stdout, stderr = run(["--export", "models/copy"], trained, largest_file=largest_file)
    assert (status, stdout) == (1, "")
    assert re.fullmatch(rf"seq2seq_copy.py: cannot write into 'models/copy': .*/{file}.*; File too large\n", stderr)
    assert everything(trained) == before


@posix
@pytest.mark.parametrize(("written", "number"), [("nothing", signal.SIGINT), ("all", signal.SIGTERM)])
def test_an_interrupted_export_leaves_nothing_or_all(written, number, trained):
    """Two signals come before TensorFlow writes its last file, or when all files are written and are being flushed."""
    program = f"""if True:
        import os
        from support.tensorflow import tensorflow_v1 as tf
        from support.run import whole_files
        from support.terminal import main

        def interrupted(function):
            def interrupt(*arguments):
                for _ in range(2):
                    os.kill(os.getpid(), {int(number)})
                return function(*arguments)
            return interrupt

        if {written == "nothing"}:
            tf.saved_model.Builder.save = interrupted(tf.saved_model.Builder.save)
        else:
            whole_files.flush = interrupted(whole_files.flush)
        main.run()
    """
    before = everything(trained)
    status, stdout, stderr = run(["--export", "models/copy"], trained, program=program)
    assert stderr == ""
    if written == "nothing":
        assert (status, stdout) == (128 + number, "")
        assert everything(trained) == before
    else:
        assert (status, stdout) == (0, "exported runs/tiny to models/copy\n")
        assert len(list((trained / "models/copy").rglob("*"))) >= 6
        assert not list(trained.rglob("*.partial"))


def test_what_comes_into_being_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a/b"
    with pytest.raises(OSError, match="not empty"), new_folder(path) as partial:
        (partial / "file").write_text("new")
        path.mkdir(parents=True)
        (path / "file").write_text("of someone else")
    assert everything(tmp_path) == {tmp_path / "a": None, path: None, path / "file": b"of someone else"}
