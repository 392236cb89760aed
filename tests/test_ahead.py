"""Batches drawn by a thread are the same batches."""

import numpy as np

from helpers import random_sequences
from support.data.ahead import drawn_ahead


def test_drawn_ahead_yields_the_same_batches_and_the_state_after_each():
    def batches(generator):
        return random_sequences(3, 8, 2, 10, 4, generator)

    generator, other = np.random.default_rng(5), np.random.default_rng(5)
    expected, sizes = batches(other), [1, 3, 2]
    drawn = list(drawn_ahead(batches(generator), iter(sizes), generator))
    assert [len(batches_of_call) for batches_of_call, _ in drawn] == sizes
    for batches_of_call, state in drawn:
        for sequences in batches_of_call:
            for sequence, same in zip(sequences, next(expected)):
                np.testing.assert_array_equal(sequence, same)
        assert state == other.bit_generator.state
    assert list(drawn_ahead(batches(generator), [], generator)) == []
