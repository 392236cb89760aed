"""Cells on top of each other, for --layers."""


class StackedState(tuple):
    """The states of all layers, the lowest first.

    Like the state of a single cell it has an h, the output: that of the top layer. TensorFlow's loops take any subclass
    of tuple apart, and put it together again as type(state)(states).
    """

    @property
    def h(self):
        return self[-1].h  # [batch, units]


class StackedCell:
    """Layers of cells that make a step together, of the form that TensorFlow's loops run.

    The lowest layer reads the input. Each further layer reads the output of the one below.

    Source: Sutskever et al., "Sequence to sequence learning with neural networks", 2014: a deep LSTM (section 2), with
    four layers (section 3.4). There the encoder reads in one direction.
    """

    def __init__(self, cells):
        """cells: the cell of each layer, the lowest first."""
        self.cells = cells
        self.output_size = cells[-1].output_size
        self.state_size = StackedState(cell.state_size for cell in cells)

    def zero_state(self, batch_size, dtype):
        return StackedState(cell.zero_state(batch_size, dtype) for cell in self.cells)

    def __call__(self, inputs, state):
        """Makes one step; inputs [batch, input_size]. Returns the output [batch, units] and the next StackedState."""
        next_states = []
        for cell, cell_state in zip(self.cells, state):
            inputs, next_state = cell(inputs, cell_state)
            next_states.append(next_state)
        return inputs, StackedState(next_states)


def stack(parts, depth):
    """Stacks the cells of the encoder, in each direction, and of the decoder.

    The decoder starts from the encoder's final states: each of its layers from that of the same layer.

    Args:
      parts: a seq2seq_copy.Parts.
      depth: int, how many layers.

    Returns:
      A seq2seq_copy.Parts.
    """

    def cell(name, units, input_size):
        input_sizes = [input_size] + (depth - 1) * [units]
        return StackedCell([parts.cell(f"{name}/layer_{layer}", units, size) for layer, size in enumerate(input_sizes)])

    def concatenate_states(forward_state, backward_state):
        return StackedState(map(parts.concatenate_states, forward_state, backward_state))

    return parts._replace(cell=cell, concatenate_states=concatenate_states)
