"""The page for playing with a trained model: one HTML file that holds the weights and runs the model.

    python -m support.pictures.page

opens the page of the newest run. Its parts are in the folder page/: a template, a style, and JavaScript modules, where
model.mjs is a second implementation of the model. Nothing is loaded from elsewhere.
"""

import ast
import base64
import collections
import contextlib
import hashlib
import html
import io
import json
import re
import string
import sys
from pathlib import Path

import numpy as np

import helpers
import seq2seq_copy
from helpers import EOS, PAD
from support.data import pairs
from support.model import attention, beam_search, cells, greedy, variants
from support.outside import printable
from support.pictures.heat_maps import label_names, reported, title
from support.run.history import EARLY_BATCHES
from support.run.run_folder import RunFolder
from support.run.whole_files import write_whole
from support.settings import UNKNOWN_NAME
from support.tensorflow import tensorflow_v1 as tf

PAGE = "model.html"
PARTS = Path(__file__).with_name("page")
MODULES = ("model", "dependence", "data", "colors", "dom", "state", "source", "strips", "cell", "ask", "encoder")
MODULES += ("decoder", "maps", "questions", "main")  # each imports only from those before it
MOST_BYTES = 10_000_000
LARGEST_REST = 250_000  # bytes of a page besides weights and vocabulary
LONGEST = 200  # symbols of a sequence or an answer on the page
EXAMPLES = (20, 10)  # held-out sequences of the longest length, and others, that the page knows
MOST_EARLY_WEIGHTS = 160_000  # after one batch
CHECKED = 4  # of them; the page compares its answers to these with TensorFlow's


def of_run(run, metrics):
    """Returns the page of a run that may have one, UTF-8, with its weights after some early batches."""
    final_batch, final = run.final_batch, weights_of(run.model)
    early = early_weights(run.folder.path, final_batch)
    if size(run.config, moments=1 + len(early)) > MOST_BYTES:
        early = {}
    exact = metrics["exact_match"]
    result = f"{exact['exact']:,} of {exact['sequences']:,} {reported(metrics, run.config)} are exact"
    return render(run.model, early | {final_batch: final}, run.held_out.validation, result).encode()


def why_none(config):
    """Returns the reason why a run has no page, or None if it has one."""
    needed = size(config, moments=1)
    if needed <= MOST_BYTES:
        return None
    return f"no page to look inside: it would need {needed / 1e6:.1f} MB, and may have {MOST_BYTES / 1e6:.0f}"


def size(config, moments):
    """Returns the most bytes that a page of the model in the graph needs, with its weights at a number of moments."""
    weights = moments * 4 * -(-4 * weight_count() // 3)  # in base64
    return weights + len(as_json([*config.vocabulary, labels(config)])) + LARGEST_REST


def weight_count():
    """Returns how many weights the model in the default graph has."""
    return sum(variable.shape.num_elements() for variable in tf.trainable_variables())


def weights_of(model):
    """Returns all weights of a seq2seq_copy.Model in one vector, float32."""
    return np.concatenate([value.ravel() for value in model.session.run(tf.trainable_variables())])


def save_weights(run):
    """Saves the weights after the last batch of a run for its page, unless there are too many.

    A run that is resumed from an older checkpoint makes the same steps again, and so the same file.
    """
    if weight_count() <= MOST_EARLY_WEIGHTS:
        array = io.BytesIO()
        np.save(array, weights_of(run.model))
        write_whole(run.folder.path / f"early/{run.history.rows[-1].batch}.npy", array.getvalue())


def early_weights(folder, final_batch):
    """Returns a dict from each early batch before the final one to its weights, float32 [count].

    Files that are missing or do not fit the model are left out.
    """
    found = {}
    for batch in EARLY_BATCHES:
        with contextlib.suppress(OSError, ValueError, EOFError):
            weights = np.load(folder / f"early/{batch}.npy", mmap_mode="r")  # looks at the size first
            if batch < final_batch and (weights.dtype, weights.shape) == (np.float32, (weight_count(),)):
                found[batch] = weights
    return found


def render(model, moments, held_out, result=""):
    """Returns the page of a model, a str of HTML.

    Args:
      model: the seq2seq_copy.Model.
      moments: dict from a batch to all weights after it, float32 [count], in the order of tf.trainable_variables().
        The last are the current ones.
      held_out: a helpers.Batch, from which the page gets examples.
      result: str, what the run has achieved.
    """
    data = as_json(describe(model, moments, held_out, result))
    style = (PARTS / "style.css").read_text(encoding="utf-8")
    script = bundle()
    policy = {"default-src": "'none'", "script-src": sha256(script), "style-src": sha256(style), "img-src": "data:"}
    policy |= {"base-uri": "'none'", "form-action": "'none'"}
    return string.Template((PARTS / "template.html").read_text(encoding="utf-8")).substitute(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        title=html.escape(title(model.config)),
        style=style,
        run=data,
        script=script,
    )


def describe(model, moments, held_out, result):
    """Returns what the page knows of a run, ready for JSON (see page/data.mjs)."""
    config = model.config
    vocabulary = list(config.vocabulary)
    names = ("task", "vocab_size", "length_from", "length_to", "cell", "layers", "encoder", "attention")
    names += ("encoder_hidden_units", "input_embedding_size")
    longest = config.longest_answer and min(config.longest_answer, LONGEST)
    computed = {"longest_answer": longest, "symbols": pairs.by_side(config.symbols)[0]}
    unknown = vocabulary.index(UNKNOWN_NAME) if UNKNOWN_NAME in vocabulary else None
    examples = list(examples_of(held_out, unknown))
    checked = [np.array(example["input"], np.int32) for example in examples[:CHECKED]]
    answers = beam_search.make_search(model)(greedy.question(checked, config, longest))
    variables = tf.trainable_variables()
    about = [title(config), f"{weight_count():,} weights", f"after batch {max(moments):,}", result]
    return {
        "about": "; ".join(filter(None, about)),
        "config": {name: getattr(config, name) for name in names} | computed,
        "names": vocabulary,
        "labels": labels(config),
        "known": config.known,
        "examples": examples,
        "checked": [
            {"input": sequence.tolist(), "prediction": best.symbols.tolist()}
            for sequence, (best, *_) in zip(checked, answers)
        ],
        "variables": [[variable.op.name, variable.shape.as_list()] for variable in variables],
        "moments": [
            {"batch": batch, "weights": base64.b64encode(np.asarray(moments[batch], "<f4").tobytes()).decode()}
            for batch in sorted(moments)
        ],
        **sources(config),
    }


def labels(config):
    """Returns a dict from each symbol that is not shown as it is written to how it is shown."""
    shown = {**dict(enumerate(label_names(config))), PAD: "PAD", EOS: "EOS"}
    return {symbol: label for symbol, label in shown.items() if label != config.vocabulary[symbol]}


def examples_of(held_out, unknown=None):
    """Yields {input, target} of some held-out sequences: of the longest, the most varied first, then of others.

    unknown: the symbol, if there is one, that stands for others; no answer with it is right.
    """
    inputs = helpers.fingerprints(held_out)
    targets = helpers.fingerprints(held_out._replace(inputs=held_out.targets, lengths=held_out.target_lengths))
    pairs_of_input = collections.Counter(pair[0] for pair in set(zip(inputs, targets)))
    first = {each: column for column, each in reversed(list(enumerate(inputs)))}
    is_first = np.array([first[each] == column for column, each in enumerate(inputs)])
    has_one_target = np.array([pairs_of_input[each] == 1 for each in inputs])  # else the page would not know all
    is_known = (held_out.targets != unknown).all(axis=0) if unknown else True
    fitting = np.flatnonzero((held_out.lengths <= LONGEST) & is_first & has_one_target & is_known)
    if not fitting.size:
        yield {"input": held_out.inputs[: min(LONGEST, held_out.lengths[0]), 0].tolist(), "target": None}
        return
    lengths = held_out.lengths[fitting]
    longest = fitting[lengths == lengths.max()][: EXAMPLES[0]]
    longest = sorted(longest, key=lambda column: -np.unique(held_out.inputs[:, column]).size)
    for column in [*longest, *np.setdiff1d(fitting, longest)[: EXAMPLES[1]]]:
        inputs = held_out.inputs[: held_out.lengths[column], column]
        target = held_out.targets[: held_out.target_lengths[column], column]
        yield {"input": inputs.tolist(), "target": target.tolist()}


def sources(config):
    """Returns the source files that the page shows, and the places in them that it links to."""
    is_gru, is_forward = config.cell == "gru", config.encoder == "forward"
    loop_fn = "make_loop_fn.loop_fn_transition"
    wanted = {
        "encode": (variants, "encode_forward") if is_forward else (seq2seq_copy, "encode"),
        "cell": (cells, "GRUCell") if is_gru else (seq2seq_copy, "LSTMCell"),
        "concatenate_states": (cells if is_gru else seq2seq_copy, "concatenate_states"),
        "loop_fn_transition": (seq2seq_copy, loop_fn),
        "decode": (seq2seq_copy, "decode"),
        **{name: (seq2seq_copy, f"{loop_fn}.{name}") for name in ("logits", "prediction", "next_input")},
    }
    if is_forward:
        wanted["concatenate_states"] = wanted["encode"]
    if config.attention != "none":
        wanted["attention"] = (attention, config.attention)
    root = Path(seq2seq_copy.__file__).parent
    paths = {Path(module.__file__).relative_to(root).as_posix(): module.__file__ for module, _ in wanted.values()}
    texts = {file: Path(path).read_text(encoding="utf-8") for file, path in paths.items()}
    trees = {paths[file]: (file, ast.parse(text)) for file, text in texts.items()}
    places = {}
    for key, (module, names) in wanted.items():
        file, tree = trees[module.__file__]
        places[key] = dict(zip(("file", "first", "last"), (file, *lines_of(tree, names.split(".")))))
    return {"sources": texts, "places": places}


def lines_of(node, names):
    """Returns the first and last line of a function, class or variable, given its name after the names around it.

    If the source no longer holds it, returns the lines of the innermost definition around it.
    """
    lines = 1, 1
    for name in names:
        found = [child for child in ast.walk(node) if name in names_of(child)]
        if not found:
            break
        node = found[0]
        lines = node.lineno, node.end_lineno
    return lines


def names_of(node):
    """Returns the names that a node of a syntax tree defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    return [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]


def bundle(names=MODULES):
    """Returns JavaScript modules as one script: each becomes a function that returns its exports."""
    scripts = []
    for name in names:
        text = (PARTS / f"{name}.mjs").read_text(encoding="utf-8")
        exports = re.findall(r"(?m)^export (?:const|function\*?) (\w+)", text)
        text = re.sub(r'(?m)^import (\{[^}]*\}) from "\./(\w+)\.mjs";$', r"const \1 = modules.\2;", text)
        text = re.sub(r"(?m)^export ", "", text)
        scripts.append(f"modules.{name} = (() => {{\n{text}\nreturn {{ {', '.join(exports)} }};\n}})();\n")
    return '"use strict";\nconst modules = {};\n' + "".join(scripts)


def as_json(value):
    """Returns a value as JSON that is safe inside an HTML script, whatever the user's symbols are."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def sha256(text):
    """Returns the name of a script or style in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def main():
    """Opens the page of the newest run in a browser."""
    import webbrowser

    run = RunFolder.newest()
    path = run and run.path / PAGE
    if path is None or not path.exists():
        sys.exit("no run has saved a page here yet" if run is None else f"{str(run.path)!r} has no page")
    print(printable(f"opening {path}"))
    webbrowser.open(path.absolute().as_uri())


if __name__ == "__main__":
    main()
