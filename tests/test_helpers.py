"""The data: a batch computed by hand, and properties that hold for every batch."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import (
    EOS,
    PAD,
    TASKS,
    batch,
    decoder_targets,
    fingerprints,
    random_sequences,
    take,
    task_batch,
    task_batches,
)
from seq2seq_copy import Config

sequence_lists = st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=12), min_size=1, max_size=8)


def test_a_batch_by_hand():
    inputs, lengths = batch([[5, 7, 8], [6, 3], [3]])
    np.testing.assert_array_equal(inputs, [[5, 6, 3], [7, 3, 0], [8, 0, 0]])
    np.testing.assert_array_equal(lengths, [3, 2, 1])
    expected = [[5, 6, 3], [7, 3, 1], [8, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(decoder_targets(inputs, lengths), expected)


@given(sequence_lists, st.one_of(st.none(), st.integers(0, 5)))
def test_a_batch_holds_its_sequences_and_else_only_pad(sequences, extra):
    longest = max(map(len, sequences))
    inputs, lengths = batch(sequences, None if extra is None else longest + extra)
    assert inputs.dtype == lengths.dtype == np.int32
    assert inputs.shape == (longest + (extra or 0), len(sequences))
    for column, sequence in enumerate(sequences):
        assert lengths[column] == len(sequence)
        assert inputs[:, column].tolist() == sequence + [PAD] * (len(inputs) - len(sequence))


@given(sequence_lists)
def test_targets_are_the_sequence_then_eos_then_pad(sequences):
    inputs, lengths = batch(sequences)
    targets = decoder_targets(inputs, lengths)
    assert targets.dtype == np.int32
    assert targets.shape == (len(inputs) + 3, len(sequences))
    for column, sequence in enumerate(sequences):
        assert targets[:, column].tolist() == sequence + [EOS] + [PAD] * (len(targets) - len(sequence) - 1)


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, lambda s: np.array(s, np.uint8), lambda s: np.array(s, np.int64)]
)
def test_a_batch_takes_lists_tuples_and_integer_arrays(kind):
    inputs, _ = batch([kind([2, 3]), kind([4])])
    np.testing.assert_array_equal(inputs, [[2, 4], [3, 0]])


@pytest.mark.parametrize(("wrong", "found"), [([], "0 to 2"), ([3, 3, 3, 3], "1 to 4")])
def test_a_sequence_that_is_empty_or_too_long_is_refused(wrong, found):
    with pytest.raises(ValueError, match=f"must have 1 to 3 symbols; these have {found}"):
        batch([[2, 3], [4], wrong, [2]], max_sequence_length=3)


@given(
    st.integers(1, 9), st.integers(0, 9), st.integers(2, 9), st.integers(1, 9), st.integers(1, 20), st.integers(0, 99)
)
def test_random_sequences_stay_in_their_ranges(length_from, longer, vocab_lower, symbols, batch_size, seed):
    arguments = (length_from, length_from + longer, vocab_lower, vocab_lower + symbols, batch_size, seed)
    for sequences in itertools.islice(random_sequences(*arguments), 3):
        assert len(sequences) == batch_size
        for sequence in sequences:
            assert sequence.dtype == np.int32
            assert length_from <= sequence.size <= length_from + longer
            assert vocab_lower <= sequence.min() <= sequence.max() < vocab_lower + symbols


def test_lengths_and_symbols_are_uniform():
    (sequences,) = itertools.islice(random_sequences(3, 8, 2, 10, 60_000, seed=0), 1)
    lengths = np.bincount([sequence.size for sequence in sequences], minlength=9)[3:]
    symbols = np.bincount(np.concatenate(sequences), minlength=10)[2:]
    for counts in (lengths, symbols):
        expected = counts.sum() / counts.size
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def first_batches(seed):
    return [
        sequence.tolist()
        for sequences in itertools.islice(random_sequences(1, 5, 2, 10, 9, seed), 4)
        for sequence in sequences
    ]


def test_the_seed_decides_the_sequences_and_global_state_does_not():
    before = first_batches(seed=5)
    np.random.seed(1)
    assert first_batches(seed=5) == before != first_batches(seed=6)


def test_a_generator_is_drawn_from_where_it_stands():
    generator = np.random.default_rng(5)
    batches = random_sequences(1, 5, 2, 10, 9, generator)
    next(batches)
    copy = np.random.default_rng(0)
    copy.bit_generator.state = generator.bit_generator.state
    expected = [sequence.tolist() for sequence in next(batches)]
    assert [sequence.tolist() for sequence in next(random_sequences(1, 5, 2, 10, 9, copy))] == expected


def test_tasks_on_batches_worked_out_by_hand():
    sequences = [[2, 3, 4], [27], [26, 5]]
    copy, reverse, alphabet = (task_batch(task, sequences) for task in TASKS)
    padded = [[2, 27, 26], [3, 0, 5], [4, 0, 0]]
    assert copy.inputs.tolist() == reverse.inputs.tolist() == padded
    assert copy.targets.tolist() == [[2, 27, 26], [3, 1, 5], [4, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert reverse.targets.tolist() == [[4, 27, 5], [3, 1, 26], [2, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    # a b c -> d e f; z -> a; y z -> a b
    assert alphabet.inputs.tolist() == [[2, 27, 26], [3, 0, 27], [4, 0, 0]]
    assert alphabet.targets.tolist() == [[5, 2, 2], [6, 1, 3], [7, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    for made in (copy, reverse, alphabet):
        assert made.lengths.tolist() == [3, 1, 2]
        assert {array.dtype for array in made} == {np.dtype(np.int32)}


def test_all_batches_of_a_task_have_the_shape_that_xla_knows():
    for task in TASKS:
        config = Config(task=task, vocab_size=28, length_from=1, length_to=7, batch_size=3)
        for made in itertools.islice(task_batches(config, config.batch_size, 0), 5):
            assert (made.inputs.shape, made.targets.shape) == ((7, 3), (10, 3))
            assert fingerprints(made) == fingerprints(take(made, 0, 3))


def test_take_and_fingerprints_know_sequences_without_their_padding():
    made = task_batch("copy", [[2, 3, 4], [2, 3], [7]])
    assert fingerprints(made) == [np.array(sequence, np.int32).tobytes() for sequence in ([2, 3, 4], [2, 3], [7])]
    assert fingerprints(take(made, 1, 3)) == fingerprints(made)[1:]
    assert take(made, 1, 3).inputs.tolist() == [[2, 7], [3, 0]]
    assert take(made, 1, 3).targets.tolist() == [[2, 7], [3, 1], [1, 0], [0, 0], [0, 0]]
    assert fingerprints(task_batch("copy", [[2, 3]])) == fingerprints(made)[1:2]
