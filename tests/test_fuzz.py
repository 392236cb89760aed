"""The five readers of untrusted input, on data from Hypothesis.

What they accept can be used; otherwise they raise a UserError. Nothing else is raised, and nothing hangs.
"""

import contextlib
import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import helpers
from support import limits, outside
from support.cluster import tf_config
from support.data import pairs
from support.errors import UserError
from support.pictures import heat_maps, pictures
from support.run.checkpoints import Checkpoint
from support.run.history import History
from support.run.run_folder import RunFolder
from support.settings import Settings, check, from_json, read_file
from support.terminal import command

pytestmark = pytest.mark.long
fuzz = settings(max_examples=3000)
CONFIG = Settings()
HELD_OUT = helpers.task_batch("copy", [[2, 3], [4, 5, 6], [7, 8], [9, 9, 9]])

CHARACTERS = st.one_of(st.characters(), st.sampled_from("\0\x07\t\n\r\x1b\x85\x9b\u2028\u202e\ufeff\ud800$ab"))
TEXTS = st.text(CHARACTERS, max_size=9)
NUMBERS = st.one_of(st.integers(-3, 12), st.integers(), st.floats(), st.sampled_from([10**30, 10**4000, 0.5]))
WORDS = st.sampled_from(["on", "off", "alphabet", "characters", "gru", "luong", "best", "scheduled", "x.png", "1", "a"])
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


def values_like(valid):
    """Returns a strategy of values like a valid one: at some depth one part is replaced or missing."""
    if isinstance(valid, dict):
        one = [values_like(value).map(lambda new, name=name: valid | {name: new}) for name, value in valid.items()]
        gone = [st.just({other: valid[other] for other in valid if other != name}) for name in valid]
        return st.one_of(st.one_of(*one), st.one_of(*gone), st.builds(valid.__or__, st.dictionaries(TEXTS, ANYTHING)))
    if isinstance(valid, list) and valid:
        one = [
            values_like(value).map(lambda new, at=at: [*valid[:at], new, *valid[at + 1 :]])
            for at, value in enumerate(valid)
        ]
        return st.one_of(st.one_of(*one), st.lists(st.sampled_from(valid), max_size=3), ANYTHING)
    if isinstance(valid, str):
        return st.one_of(TEXTS.map(valid.__add__), TEXTS, WORDS, ANYTHING)
    return st.one_of(NUMBERS, WORDS, ANYTHING)


def json_like(valid):
    """Returns a strategy of bytes that are almost, or not at all, a valid JSON object."""
    texts = st.builds(lambda value: json.dumps(value).encode(), st.one_of(st.just(valid), values_like(valid), ANYTHING))
    return st.one_of(texts, st.builds(other_bytes, texts, st.integers(0, 2000), st.binary(max_size=9)))


def other_bytes(content, start, between):
    return content[:start] + between + content[start + len(between) :]


@contextlib.contextmanager
def only_for_the_user():
    """Suppresses a UserError, and checks the line that it becomes."""
    try:
        yield
    except UserError as error:
        line = outside.message(str(error))
        assert line.strip()
        assert not [character for character in line if unicodedata.category(character) == "Cc"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


OF_TASK = CONFIG.to_json()
OF_DATA = OF_TASK | {"data": "pairs", "vocab_size": 4, "names": ["a", "b"], "buckets": [[2, 3]], "sha256": "0"}


WITH_NAMES = st.builds(
    lambda names, path: json.dumps(OF_DATA | {"names": names, "vocab_size": 2 + len(names), "data": path}).encode(),
    st.lists(TEXTS, min_size=1, max_size=4, unique=True),
    TEXTS,
)


@fuzz
@given(content=st.one_of(json_like(OF_TASK), json_like(OF_DATA), WITH_NAMES))
def test_config_json(place, content):
    (place / "config.json").write_bytes(content)
    with only_for_the_user():
        config = RunFolder(place).read_settings()
        assert heat_maps.title(config) and pictures.paths(config) and config.sizes
        assert limits.largest_tensor(config) and limits.evaluation_batch(config)
        assert from_json(json.loads(json.dumps(config.to_json()))) == config
        " ".join(config.vocabulary).encode()
        if config.data:
            command.pairs_of_run(config)


@fuzz
@given(content=json_like({"learning_rate": 0.02, "batch_size": 50, "adam_beta2": 0.9, "task": "copy", "layers": 2}))
def test_a_file_of_settings(place, content):
    (place / "settings.json").write_bytes(content)
    with only_for_the_user():
        check(Settings(**read_file(place / "settings.json")))


def state_of(generator):
    state = {"generator": generator.bit_generator.state, "unseen": "gA==", "memory": {"0": [[0.5, 1.0]]}}
    return json.loads(json.dumps(state | {"settings": CONFIG.fixed}))


@fuzz
@given(content=json_like(state_of(np.random.default_rng(0))))
def test_state_json(place, content):
    (place / "state.json").write_bytes(content)
    checkpoint, generator, history = Checkpoint(place), np.random.default_rng(1), History(HELD_OUT)
    with only_for_the_user():
        checkpoint.read_state(generator, history, CONFIG)
        generator.integers(10, size=9)
        assert all(np.ndim(changes) == 2 for changes in history.maps.values())
        checkpoint.write_state(generator, history, CONFIG)
        again = History(HELD_OUT)
        checkpoint.read_state(generator, again, CONFIG)
        np.testing.assert_equal([again.maps, again.unseen], [history.maps, history.unseen])


TASK = {"type": "worker", "index": 1}
ADDRESSES = st.one_of(
    st.lists(st.one_of(st.just("a:1"), st.builds("{}:{}".format, TEXTS, NUMBERS), ANYTHING)), ANYTHING
)
CLUSTERS = st.one_of(st.dictionaries(st.one_of(st.sampled_from(["worker", "chief"]), TEXTS), ADDRESSES), ANYTHING)
TASKS = values_like(TASK)


@fuzz
@given(
    text=st.one_of(
        st.builds(lambda cluster, task: json.dumps({"cluster": cluster, "task": task}), CLUSTERS, TASKS),
        json_like({"cluster": {"worker": ["a:1", "b:2"]}, "task": TASK}).map(
            lambda content: content.decode(errors="replace")
        ),
        TEXTS,
    )
)
def test_tf_config(text):
    with only_for_the_user():
        addresses, index = tf_config.read(text) or (["alone"], 0)
        assert 0 <= index < len(addresses)
        assert all(address.isprintable() for address in addresses)


LINES = st.lists(
    st.one_of(TEXTS, st.builds("{}\t{}".format, TEXTS, TEXTS), st.sampled_from(["a b\tb", "b\ta", "c\t\x07"]))
)


@fuzz
@given(
    content=st.one_of(LINES.map(lambda lines: "\n".join(lines).encode(errors="surrogatepass")), st.binary()),
    symbols=st.sampled_from(["words", "characters"]),
    min_count=st.integers(1, 3),
)
def test_pairs(place, content, symbols, min_count):
    (place / "pairs").write_bytes(content)
    config = Settings(data=place / "pairs", symbols=symbols, min_count=min_count)
    with only_for_the_user():
        read = pairs.read(config)
        config = command.with_data(config, read)
        pairs.warn_of_untrained(read, config)
        batch = next(pairs.training_batches(read, config, helpers.generators(0)[0]))
        for each in (batch, pairs.batch(read, read.validation_lines)):
            assert each.inputs.max() < config.vocab_size and each.targets.max() < config.vocab_size
        assert from_json(json.loads(json.dumps(config.to_json()))) == config
        " ".join(config.vocabulary).encode()
