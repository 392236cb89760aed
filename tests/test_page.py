"""The page for playing with a model, in headless Chromium, against TensorFlow."""

import dataclasses
import html
import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
import reference
from page_browser import needs_chromium, result_of

import helpers
import seq2seq_copy
from helpers import PAD
from seq2seq_copy import LSTMCell, LSTMStateTuple
from support.model import greedy, variants
from support.pictures import occlusion, page
from support.run.run_folder import RunFolder
from support.settings import DataFacts, Settings
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.sharing import reusing
from tests.running import succeed

HERE = Path(__file__).parent
ASKED = 200  # sequences of each kind of model
CONFIG = Settings(vocab_size=9, input_embedding_size=5, encoder_hidden_units=4, length_from=1, length_to=10)
FACTS = DataFacts(buckets=((10, 12),), names=tuple("defghij"))
OWN = {"data": Path("own.tsv"), "facts": FACTS}
KINDS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "layers": {"layers": 2},
    "forward": {"encoder": "forward"},
    "bahdanau": {"attention": "bahdanau"},
    "luong": {"attention": "luong"},
    "own vocabulary": OWN,
    "own vocabulary, all at once": OWN | {"cell": "gru", "layers": 2, "encoder": "forward", "attention": "bahdanau"},
    "all at once": {"cell": "gru", "layers": 3, "attention": "luong", "task": "reverse"},
}
FEW = {  # for which only a few sequences are asked
    "alphabet": {"task": "alphabet", "vocab_size": 28},
    "long": {"vocab_size": 300, "length_to": 100},
    "one symbol": {"vocab_size": 3},
}


def open_model(config, parts=seq2seq_copy.PLAIN):
    """Returns an untrained model whose weights are large enough for answers of all kinds."""
    model = variants.open_model(config, parts)
    generator = np.random.default_rng(0)
    for variable in tf.trainable_variables():
        variable.load(generator.normal(size=variable.shape), model.session)
    return model


def forbid_pad(model):
    """Makes PAD so unlikely that the decoder never writes it, by rule or not."""
    (bias,) = (variable for variable in tf.trainable_variables() if variable.op.name.endswith("output_bias"))
    values = model.session.run(bias)
    values[PAD] = -100
    bias.load(values, model.session)


def examples(config):
    _, generator, _ = helpers.generators(config.seed)
    return next(helpers.task_batches(config, 200, generator))


def sequences_of(batch):
    return [batch.inputs[:length, column].tolist() for column, length in enumerate(batch.lengths)]


def test_an_example_has_one_target_and_stands_there_once():
    """The page would call all but one of several right answers wrong, and the other sequence would be the same."""
    inputs = np.array([[2, 2, 4, 2], [3, 3, 5, 0]], np.int32)
    lengths = np.array([2, 2, 2, 1], np.int32)
    batch = helpers.Batch(inputs, lengths, helpers.decoder_targets(inputs, lengths), lengths)
    assert [example["input"] for example in page.examples_of(batch)] == [[2, 3], [4, 5], [2]]
    assert [example["input"] for example in page.examples_of(batch, unknown=5)] == [[2, 3], [2]]
    batch.targets[0, 0] = 5
    assert [example["input"] for example in page.examples_of(batch)] == [[4, 5], [2]]
    batch = helpers.take(batch, 0, 2)._replace(inputs=np.pad(batch.inputs[:, :2], [[0, 1], [0, 0]]))
    assert list(page.examples_of(batch)) == [{"input": [2, 3], "target": None}], "there is no other, and PAD is none"


def page_of(model, moments=None):
    held_out = examples(model.config)
    return page.render(model, moments or {7: page.weights_of(model)}, held_out)


def run_of(text):
    """Returns the data that the script of a page reads."""
    return json.loads(re.search(r'<script type="application/json" id="run">(.*?)</script>', text, re.DOTALL)[1])


def answers(model, sequences, change=lambda parts: parts):
    """Returns TensorFlow's answers to sequences, as --predict gives them, with the probabilities of all symbols.

    change: a function around the seq2seq_copy.Parts that answer.
    """
    with reusing(model.variables):
        questions = model.placeholders._replace(targets=None)
        results = seq2seq_copy.build_model(questions, model.config, change(greedy.answer(model.parts)))
    batch = greedy.question([np.array(sequence, np.int32) for sequence in sequences], model.config)
    prediction, logits = results["decoder_prediction"], results["decoder_logits"]
    alignment = results.get("alignment", prediction)
    prediction, logits, alignment = model.session.run([prediction, logits, alignment], model.feed(batch))
    found = []
    for column, length in enumerate(batch.lengths):
        symbols = np.trim_zeros(prediction[:, column], "b").tolist()  # zeros follow the end of an answer
        probabilities = reference.softmax(logits[: len(symbols), column].astype(np.float64))
        weights = alignment[: len(symbols), column, :length] if "alignment" in results else None
        found.append((symbols, probabilities, weights))
    return found


def assert_same_answer(steps, expected):
    symbols, probabilities, weights = expected
    assert [step["prediction"] for step in steps] == symbols
    np.testing.assert_allclose([step["probabilities"] for step in steps], probabilities, atol=1e-4)
    if weights is not None:
        np.testing.assert_allclose([step["alignment"] for step in steps], weights, atol=1e-4)


# A person's changes, and parts of the model that have the same effect.
UNIT, CHANGED_STEP, FED = 5, 2, 6


def zero_a_unit(parts):
    def concatenate_states(forward, backward):
        state = seq2seq_copy.concatenate_states(forward, backward)
        mask = np.ones(state.c.shape[1], np.float32)
        mask[UNIT] = 0
        return LSTMStateTuple(state.c * mask, state.h)

    return parts._replace(concatenate_states=concatenate_states)


def take_the_forward_part_of_the_neighbour(parts):
    """Takes the part of the state that was read from the left from the next sequence of the batch."""

    def concatenate_states(forward, backward):
        neighbour = LSTMStateTuple(*(tf.roll(part, -1, axis=0) for part in forward))
        return seq2seq_copy.concatenate_states(neighbour, backward)

    return parts._replace(concatenate_states=concatenate_states)


class ForgetfulCell(LSTMCell):
    """Sets a unit of c to zero before each step of the decoder."""

    def __call__(self, inputs, state):
        mask = np.ones(self.output_size, np.float32)
        if self.output_size > CONFIG.encoder_hidden_units:
            mask[UNIT] = 0
        return super().__call__(inputs, LSTMStateTuple(state.c * mask, state.h))


def feed_another_symbol(parts):
    """Feeds another symbol after a step, which then does not end the answer."""

    def make_loop_fn(encoded, decoder_lengths, decoder_targets):
        loop_fn = parts.make_loop_fn(encoded, decoder_lengths, decoder_targets)

        def changed_loop_fn(time, cell_output, cell_state, loop_state):
            finished, next_input, *rest = loop_fn(time, cell_output, cell_state, loop_state)
            is_meant = tf.fill(tf.shape(finished), tf.equal(time, CHANGED_STEP + 1))  # after the step
            other = tf.nn.embedding_lookup(encoded.embeddings, tf.fill(tf.shape(finished), FED))
            return tf.where(is_meant, time >= decoder_lengths, finished), tf.where(is_meant, other, next_input), *rest

        return changed_loop_fn

    return parts._replace(make_loop_fn=make_loop_fn)


CHANGES = {
    "a zero": (zero_a_unit, {"c": {UNIT: 1}}, [], False),
    "a zero that stays": (lambda parts: parts._replace(cell=ForgetfulCell), {"c": {UNIT: 1}}, [], True),
    "the forward part of another": (
        take_the_forward_part_of_the_neighbour,
        {part: dict.fromkeys(range(4), 2) for part in "ch"},
        [],
        False,
    ),
    "another symbol": (feed_another_symbol, {}, [[CHANGED_STEP, FED]], False),
}


def change(sequence, other, marks, fed, keeps):
    marked = {part: [marks.get(part, {}).get(unit, 0) for unit in range(8)] for part in "ch"}
    return {"sequence": sequence, "other": other, "marks": [marked], "fed": fed, "keeps": keeps}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The results of TensorFlow and of the page's modules, by the kind of model."""
    expected, cases = {}, []
    for kind, settings in (KINDS | FEW).items():
        model = open_model(dataclasses.replace(CONFIG, **settings))
        with model.session:
            sequences = sequences_of(examples(model.config))[: 3 if kind in FEW else ASKED]
            expected[kind] = {"answers": answers(model, sequences)}
            if kind == "lstm":
                few = sequences[:20]
                expected[kind]["changed"] = {name: answers(model, few, each) for name, (each, *_) in CHANGES.items()}
            weights = page.weights_of(model)
            forbid_pad(model)  # the decoder of a map may write PAD, an answer may not
            mapped = sequences[:2] if kind != "long" else [sorted(sequences, key=len)[-1]]
            steps = [len(symbols) for symbols, _, _ in answers(model, mapped)]
            arrays = [np.array(sequence, np.int32) for sequence in mapped]
            expected[kind]["maps"] = [occlusion.occlusion_map(model, *each)[1] for each in zip(arrays, steps)]
            data = run_of(page_of(model, {0: weights, 1: page.weights_of(model)}))
        cases.append({"run": data, "sequences": sequences, "mapped": mapped, "changes": []})
    others = [*few[1:], few[0]]
    for _, *changes in CHANGES.values():
        cases[0]["changes"] += [change(sequence, other, *changes) for sequence, other in zip(few, others)]
    script = page.bundle([name for name in page.MODULES if name != "main"])
    script += (HERE / "page_numbers.js").read_text()
    blank = f'<!doctype html><body><script type="application/json" id="cases">{page.as_json(cases)}</script></body>'
    results, console = result_of(blank, script, tmp_path_factory.mktemp("numbers"))
    assert console == []
    return expected, dict(zip(expected, results))


@needs_chromium
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_answers_as_predict_does(kind, found):
    expected, results = found
    assert len(results[kind]["answers"]) == ASKED
    for steps, answer in zip(results[kind]["answers"], expected[kind]["answers"]):
        assert_same_answer(steps, answer)
    symbols = {symbol for answer, _, _ in expected[kind]["answers"] for symbol in answer}
    assert len(symbols) > 2, "the model says the same to all"


@needs_chromium
@pytest.mark.parametrize("kind", [*KINDS, *FEW])
def test_the_map_of_dependence_is_that_of_a_run(kind, found):
    expected, results = found
    for values, map_of_run in zip(results[kind]["maps"], expected[kind]["maps"]):
        np.testing.assert_allclose(values, map_of_run, atol=1e-4)
    if kind == "long":
        assert map_of_run.shape == (60, 60)


@needs_chromium
@pytest.mark.parametrize("kind", [*KINDS, *FEW])
def test_the_page_knows_what_is_right(kind, found):
    _, results = found
    assert results[kind]["right"] == results[kind]["targets"]
    assert len(results[kind]["right"]) > (5 if kind == "one symbol" else 10)


@needs_chromium
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_does_what_it_says(name, found):
    expected, results = found
    start = 20 * list(CHANGES).index(name)
    is_other = []
    for index, answer in enumerate(expected["lstm"]["changed"][name]):
        assert_same_answer(results["lstm"]["changed"][start + index], answer)
        is_other.append(answer[0] != expected["lstm"]["answers"][index][0])
    assert any(is_other), "the change changes nothing"


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """The texts of the page while somebody uses it, and the console."""
    config = dataclasses.replace(CONFIG, vocab_size=9, length_from=3)
    with (model := open_model(config)).session:
        weights = page.weights_of(model)
        text = page_of(model, {0: weights / 2, 1000: weights})
    script = (HERE / "page_walk.js").read_text()
    said, console = result_of(text, script, tmp_path_factory.mktemp("walk"), flags=["--window-size=390,800"])
    assert "error" not in said, said["error"]
    return said, console


@needs_chromium
def test_nobody_complains_on_the_console(walk):
    said, console = walk
    assert console == []
    assert said["warning"] is True  # is hidden
    assert said["check"] == "Checked just now: it answers 4 held-out sequences as TensorFlow did."


@needs_chromium
def test_one_asks_by_typing_and_clicking(walk):
    said, _ = walk
    symbols, probabilities, verdict, problem = said["typed"]
    assert len(symbols.split()) == len(probabilities) == 6
    assert re.fullmatch(r"It writes .*\. \d of 4 (is|are) wrong: the .*\.", verdict), verdict
    assert problem == ""
    assert said["wrong"] == [symbols, "\N{LEFT DOUBLE QUOTATION MARK}x\N{RIGHT DOUBLE QUOTATION MARK} is not a symbol "
                             "from 2 to 8.", "true", "stale"]  # fmt: skip
    assert said["unspaced"].endswith("is not a symbol from 2 to 8. Put spaces between symbols: 3 4 5")
    assert said["empty"] == "No symbols yet. Type some, or click them."
    assert (said["clicked"], said["back"], said["example"]) == (["3 4 5", True], "3 4", True)
    assert said["longer"] == "12 symbols. The model was trained on 3 to 10."


@needs_chromium
def test_one_steps_through_the_encoder(walk):
    said, _ = walk
    assert said["encoder"] == ["Forward, 1st step: it reads 3. It starts from zeros.", "forward"]
    assert said["next"] == ["Forward, 2nd step: it reads 4.", True]
    assert said["backward"] == "Backward, 5th step: it reads 3. It passes this state on."
    assert said["before"] == "Backward, 4th step: it reads 4."
    assert said["shorter"] == [[False, True], [False, True]]
    assert re.fullmatch(r"unit 1: c′ = f c \+ i j = .* × .* \+ .* × .* = .*", said["cell"]), said["cell"]


@needs_chromium
def test_one_changes_the_state(walk):
    said, _ = walk
    marks, value, readout, changes = said["zero"]
    assert (marks, value) == ([0, 1] + [0] * 6, 0)
    assert re.fullmatch(r"c, forward, unit 2: \S+; in the other sequence \S+\. It is now zero\.", readout), readout
    assert re.match(r"1 number is zero\. (No|\d) symbols? of the answer (is|are) different\.", changes), changes
    assert said["unit"].startswith("c, forward, unit 2 changes ")
    assert said["pointer"] == [0, 1, 0, 0, 1, 0, 0, 0]
    assert said["undone"] == [[0] * 8, True, True]
    result, changes, pressed = said["other"]
    assert result.startswith("With 8 numbers from the other sequence, of 8 symbols: ")
    assert changes.startswith("8 numbers are from the other sequence. ")
    assert pressed == "true"
    assert said["zeros"] is True


@needs_chromium
def test_one_overrules_what_is_fed_back(walk):
    said, _ = walk
    title, values, code = said["step"]
    assert re.fullmatch(r"2nd step: the cell reads \w+, what it wrote before", title)
    assert [line.split(" = ")[0] for line in code] == ["logits", "prediction", "next_input"]
    assert values[0].startswith("the highest: ")
    is_read, pressed, result, value = said["fed"]
    assert (is_read, pressed) == (True, "true")
    assert re.match(r"After step 2 it read \w+\. Of 6 symbols after it, ", result), result
    assert value.endswith(", because you overruled the argmax")
    assert said["unfed"] == 0


@needs_chromium
def test_one_sees_memory_grow_and_what_depends_on_what(walk):
    said, _ = walk
    text, result = said["moment"]
    assert text == "after batch 0"
    assert re.match(r"After batch 0, of \d+ held-out sequences: ", result), result
    assert said["map"] > 100
    assert said["growth"] == [True, True]
    assert said["chosen"] == 1
    assert re.search(r"of 16 numbers change a symbol|None of 16 numbers changes", said["tried"][0])
    assert re.search(r"Of all later symbols, \d+ % change; of those right after the step, \d+ %", said["tried"][1])
    pattern = r"the 1st symbol written, \w+, depends on the 1st read, \w+: "
    assert re.match(pattern, said["cellOfMap"]), said["cellOfMap"]


@needs_chromium
def test_links_lead_into_the_script(walk):
    said, _ = walk
    text, is_open, title, line = said["source"]
    lines, first = inspect.getsourcelines(seq2seq_copy.encode)
    last = first + len(lines) - 1
    assert (text, is_open) == (f"seq2seq_copy.py:{first}", True)
    assert title == f"seq2seq_copy.py, lines {first} to {last}"
    assert line.endswith("def encode(encoder_inputs_embedded, encoder_inputs_length, config, parts):\n")


@needs_chromium
def test_everybody_can_use_it(walk):
    """Each control has a name, and on a phone nothing is wider than the screen."""
    said, _ = walk
    assert (said["nameless"], said["twice"], said["wide"], said["images"]) == ([], [], 0, 0)


EVIL = (
    "</script><script>evil=1</script>",
    "<!--<script>",
    "<img/src=x/onerror=evil=1>",
    "\"&quot;'",
    "\u2028\\",
    "a" * 300,
)
ATTACK = """
const symbols = [...document.querySelectorAll("#keys button")].map((key) => key.title || key.textContent);
document.querySelectorAll("#keys button").forEach((key) => key.click());
const script = document.createElement("script");
script.textContent = "evil = 1";
document.body.append(script);
fetch("page.html").then(() => "loaded", () => "refused").then((fetched) => finish({
  symbols, fetched, evil: typeof evil, images: document.querySelectorAll("img").length, title: document.title,
  about: document.getElementById("about").textContent, asked: document.querySelectorAll("#bar-question .chip").length,
  right: document.getElementById("verdict").textContent, length: lookInside.sequence.length,
}));
"""


@needs_chromium
def test_what_users_bring_stays_text_and_the_page_loads_nothing(tmp_path):
    name = "<img src=x onerror=evil=1>.tsv"
    config = dataclasses.replace(CONFIG, vocab_size=8, data=Path(name), facts=FACTS._replace(names=EVIL))
    with (model := open_model(config)).session:
        text = page_of(model)
    assert text.lower().count("<script") == 2
    assert "<!--" not in text
    assert html.escape(name) in text
    said, console = result_of(text, ATTACK, tmp_path)
    assert said["symbols"] == list(EVIL)
    assert (said["evil"], said["images"], said["fetched"]) == ("undefined", 0, "refused")
    assert said["title"] == f"Look inside: {name}, seed 0"
    assert said["about"].startswith(f"{name}, seed 0; ")
    assert said["asked"] == said["length"] > len(EVIL)
    assert console, "the policy refused nothing"
    assert all("Content Security Policy" in line for line in console), console


CHARACTERS = """
const get = (id) => document.getElementById(id), said = [get("sequence").value];
const type = (text) => {
  get("sequence").value = text;
  get("sequence").dispatchEvent(new Event("input"));
  said.push([get("problem").textContent, lookInside.text(lookInside.sequence), get("sequence").value]);
};
type("de f");
type("\\u{1F600}d");
get("back").click();
[...document.querySelectorAll("#keys button")].find((key) => key.textContent === "\\u2423").click();
said.push(get("sequence").value);
const keys = [...document.querySelectorAll("#keys button")];
type("d");
keys.find((key) => key.textContent === "<UNK>").click();
said.push(lookInside.text(lookInside.sequence), keys.some((key) => key.textContent === "of a target"));
finish(said);
"""


@needs_chromium
def test_characters_are_typed_without_spaces(tmp_path):
    facts = FACTS._replace(names=("d", "e", "f", "\u2423", "\U0001f600", "<UNK>", "of a target"))
    own = OWN | {"facts": facts, "symbols": "characters:words", "min_count": 2}
    with (model := open_model(dataclasses.replace(CONFIG, **own))).session:
        text = page_of(model)
    said, console = result_of(text, CHARACTERS, tmp_path)
    assert console == []
    first = [facts.names[symbol - 2] for symbol in run_of(text)["examples"][0]["input"]]
    first = "".join(name if len(name) == 1 else "\ufffd" for name in first)  # the others are no characters
    assert said[:4] == [first, ["", "d e \u2423 f", "de f"], ["", "\U0001f600 d", "\U0001f600d"], "\U0001f600\u2423"]
    assert said[5:] == ["d <UNK>", False]


HIDDEN = {"\u00a0": "U+00A0", "\u202f": "U+202F", "\u3000": "U+3000", "\ufeff": "U+FEFF", "\u200d": "U+200D"}
LONG = "x" * 9_000
SYMBOLS = """
const keys = () => [...document.querySelectorAll("#keys button")], texts = (selector) =>
  [...document.querySelectorAll(selector)].map((element) => element.textContent);
const input = document.getElementById("sequence");
const type = (text) => {
  input.value = text;
  input.dispatchEvent(new Event("input"));
};
const said = { keys: keys().map(({ textContent, title }) => [textContent, title]) };
type("");
keys().forEach((key) => key.click());
Object.assign(said, { value: input.value, clicked: texts("#bar-question .chip") });
said.whole = document.querySelector("#bar-question .chip:last-child").title;
document.getElementById("back").click();
said.back = input.value;
type("a\\u202f nobody\\t\\u202f");
said.unknown = [document.getElementById("problem").textContent, texts("#bar-question .chip")];
type(keys().map((key) => key.title || key.textContent).join(" "));
document.querySelectorAll("#steps button")[1].click();
document.querySelectorAll("#logits button")[8].click();
said.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
said.answer = texts("#answer .chip").concat(texts("#logits .chip"));
finish(said);
"""


@needs_chromium
def test_symbols_that_are_hidden_long_or_unknown(tmp_path):
    """Only ASCII white space separates symbols, as in support/data/pairs.py; others have names that can be seen."""
    facts = DataFacts(buckets=((10, 12),), names=(*HIDDEN, "<UNK>", "a\u202f", LONG))
    config = dataclasses.replace(CONFIG, vocab_size=10, length_from=1, data=Path("own.tsv"), min_count=2, facts=facts)
    with (model := open_model(config)).session:
        text = page_of(model)
    said, console = result_of(text, SYMBOLS, tmp_path, flags=["--window-size=390,800"])
    assert console == []
    cut = "x" * 19 + "\N{HORIZONTAL ELLIPSIS}"
    assert [text for text, _ in said["keys"]] == [*HIDDEN.values(), "<UNK>", "aU+202F", cut]
    assert said["keys"][-1] == [cut, LONG]
    assert said["value"] == " ".join(facts.names)
    assert said["clicked"] == [*HIDDEN.values(), "<UNK>", "aU+202F", cut]
    assert said["whole"] == LONG
    assert said["back"] == " ".join(facts.names[:-1])
    assert said["unknown"] == ["", ["aU+202F", "<UNK>", "U+202F"]]
    assert said["wide"] == 0
    assert set(said["answer"]) <= {"PAD", "EOS", *HIDDEN.values(), "<UNK>", "aU+202F", cut}


class VariableCell(LSTMCell):
    """Makes its weights with tf.Variable, as the talk does, so that they have other names."""

    def __init__(self, name, units, input_size):
        shapes = [input_size + units, 4 * units], [4 * units]
        self.kernel, self.bias = (tf.Variable(tf.random_normal(shape)) for shape in shapes)
        self.output_size, self.state_size = units, LSTMStateTuple(c=units, h=units)


@needs_chromium
def test_variables_may_have_other_names(tmp_path):
    with (model := open_model(CONFIG, seq2seq_copy.PLAIN._replace(cell=VariableCell))).session:
        names = [variable.op.name for variable in tf.trainable_variables()]
        text = page_of(model)
    assert "decoder/cell/lstm_cell/kernel" not in names
    said, console = result_of(text, SAID, tmp_path)
    assert (said, console) == (["", "Checked just now: it answers 4 held-out sequences as TensorFlow did.", False], [])


@needs_chromium
def test_a_page_whose_variables_are_too_few_says_so(tmp_path):
    with (model := open_model(CONFIG)).session:
        text = page_of(model)
    without_last = re.sub(r',\["decoder/cell/lstm_cell/bias",\[\d+\]\]', "", text)
    assert without_last != text
    said, console = result_of(without_last, SAID, tmp_path)
    assert said[0].startswith("This page cannot show this model: it has only 8 variables. Was the script changed?")
    assert (said[1:], console) == (["", True], [])


SAID = """
setTimeout(() => {
  const texts = ["warning", "check"].map((id) => document.getElementById(id).textContent);
  finish([...texts, document.querySelector("main").hidden]);
}, 50);
"""


@needs_chromium
def test_a_page_of_another_model_says_so(tmp_path):
    """As after a change to seq2seq_copy.py: TensorFlow has given other answers."""
    with (model := open_model(CONFIG)).session:
        weights = page.weights_of(model)
        text = page_of(model, {0: -weights})
    (said, *_), _ = result_of(text, SAID, tmp_path)
    assert said.startswith("This page's answers differ from TensorFlow's.")


def test_each_module_imports_only_from_those_before_it():
    assert {f"{name}.mjs" for name in page.MODULES} == {path.name for path in page.PARTS.glob("*.mjs")}
    for index, name in enumerate(page.MODULES):
        text = (page.PARTS / f"{name}.mjs").read_text()
        imported = re.findall(r'^import .* from "\./(\w+)\.mjs";$', text, re.MULTILINE)
        assert len(imported) == len(re.findall(r"^import ", text, re.MULTILINE)), f"{name}: an import in another form"
        assert set(imported) <= set(page.MODULES[:index]), name
        assert "innerHTML" not in text, name


@pytest.mark.parametrize("kind", KINDS)
def test_places_are_where_the_source_says(kind):
    config = dataclasses.replace(CONFIG, **KINDS[kind])
    sources = page.sources(config)

    def line(key):
        place = sources["places"][key]
        return sources["sources"][place["file"]].splitlines()[place["first"] - 1].strip()

    cell = "GRUCell" if config.cell == "gru" else "LSTMCell"
    assert line("cell").startswith(f"class {cell}")
    assert line("encode").startswith("def encode_forward(" if config.encoder == "forward" else "def encode(")
    joins = "encode_forward" if config.encoder == "forward" else "concatenate_states"
    assert line("concatenate_states").startswith(f"def {joins}(")
    assert line("loop_fn_transition").startswith("def loop_fn_transition(")
    for name in ("logits", "prediction", "next_input"):
        assert line(name).startswith(f"{name} = ")
    if config.attention != "none":
        assert line("attention").startswith(f"def {config.attention}(")


def test_a_source_that_was_changed_is_no_error():
    tree = page.ast.parse("def make_loop_fn():\n    return 1\n\n\ndef decode():\n    pass\n")
    assert page.lines_of(tree, ["make_loop_fn", "loop_fn_transition", "logits"]) == (1, 2)
    assert page.lines_of(tree, ["LSTMCell"]) == (1, 1)


def test_a_page_that_would_be_too_large_is_not_made():
    for units, reason in [(250, None), (800, r"no page to look inside: it would need \d\d\.\d MB, and may have 10")]:
        config = dataclasses.replace(CONFIG, encoder_hidden_units=units, encoder="forward")
        variants.open_model(config).session.close()
        why = page.why_none(config)
        assert re.fullmatch(reason, why) if reason else why is None
        assert page.size(config, moments=5) > page.MOST_BYTES  # so the page has the weights of the end only


def test_a_page_is_no_larger_than_was_said():
    for settings in (KINDS["all at once"], OWN | {"facts": FACTS._replace(names=tuple("<" * n for n in range(1, 8)))}):
        with (model := open_model(dataclasses.replace(CONFIG, **settings))).session:
            weights = page.weights_of(model)
            text = page_of(model, {0: weights, 100: weights, 7: weights})
            assert len(text.encode()) <= page.size(model.config, moments=3)
        assert [moment["batch"] for moment in run_of(text)["moments"]] == [0, 7, 100]


ARGUMENTS = ["--max-batches", "320", "--batch-size", "10", "--samples", "0", "--xla", "off"]
ARGUMENTS += ["--encoder-hidden-units", "6", "--held-out-sequences", "200"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    stdout = succeed([*ARGUMENTS, "--run-dir", "whole"], folder)
    assert stdout.endswith("\nlook inside: plots/model.html\n")
    return folder / "whole"


def test_a_run_saves_its_page_with_the_weights_of_early_batches(whole):
    text = (whole / "model.html").read_bytes()
    assert text == (whole.parent / "plots/model.html").read_bytes()
    data = run_of(text.decode())
    assert [moment["batch"] for moment in data["moments"]] == [0, 100, 300, 319]
    assert sorted(path.name for path in (whole / "early").iterdir()) == ["0.npy", "100.npy", "300.npy"]
    reader = tf.train.load_checkpoint(str(RunFolder(whole).checkpoints()[-1].path / "model"))
    weights = np.concatenate([reader.get_tensor(name).ravel() for name, _ in data["variables"]])
    assert data["moments"][-1]["weights"] == page.base64.b64encode(weights.tobytes()).decode()
    assert re.search(r"; \d+ of 200 held-out sequences are exact$", data["about"])


def test_early_weights_of_later_batches_or_of_no_model_do_not_count(tmp_path):
    """A run that is resumed from an older checkpoint may find weights of a batch that it has not reached."""
    with open_model(CONFIG).session:
        weights = np.zeros(page.weight_count(), np.float32)
    (tmp_path / "early").mkdir()
    (tmp_path / "early/0.npy").write_bytes(b"\x93NUMPY of something else")
    for batch, saved in ((100, weights), (300, weights[1:]), (1000, weights)):
        np.save(tmp_path / f"early/{batch}.npy", saved)
    assert list(page.early_weights(tmp_path, 319)) == [100]


def test_make_page_opens_the_page_of_the_newest_run(tmp_path, monkeypatch, capsys):
    import webbrowser

    opened = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with pytest.raises(SystemExit, match="no run has saved a page here yet"):
        page.main()
    run_folder = tmp_path / "runs/1"
    run_folder.mkdir(parents=True)
    (run_folder / "config.json").touch()
    with pytest.raises(SystemExit, match="'runs/1' has no page"):
        page.main()
    (run_folder / "model.html").touch()
    page.main()
    assert opened == [(run_folder / "model.html").as_uri()]
    assert capsys.readouterr().out == "opening runs/1/model.html\n"
