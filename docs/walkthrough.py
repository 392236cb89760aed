# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How a sequence-to-sequence model learns to repeat
#
# A model reads `5 7 8` and writes `5 7 8`. This sounds easy, but it reads the symbols one by one, keeps nothing but 80
# numbers, and writes from these numbers alone. So it has to *remember*.
#
# This notebook takes [`seq2seq_copy.py`](../seq2seq_copy.py) apart, in the order in which a live coding session of 2017
# put such a model together. Each part is run by itself, so that you can look at it. Nothing of the script is repeated
# here; keep it open beside the notebook.
#
# `make notebook` opens this page for you to run and change. It takes about a minute from start to end. The figures are
# those of seed 0 on one machine. Yours will differ a little, because training magnifies differences in rounding.

# %%
# %cd -q ..
import functools
import math

import matplotlib.pyplot as plt
import numpy as np

import helpers
import seq2seq_copy
from helpers import EOS, FIRST_SYMBOL, PAD
from seq2seq_copy import LSTMCell, LSTMStateTuple, Parts, build_graph, make_loop_fn, next_feed
from support.graph import tensorflow_v1 as tf
from support.graph import variants
from support.terminal import pictures
from support.terminal.settings import Config

BATCHES = 3001  # to train on; try 300 for a quick look
plt.rcParams.update({"figure.dpi": 100, "figure.constrained_layout.use": True, "axes.titlesize": "medium"})

# %% [markdown]
# ## 1. A batch and its padding
#
# Sequences have different lengths, but a matrix has no ragged edge. So the shorter sequences are filled up with 0, the
# symbol PAD. The matrix is *time-major*: a sequence is a column, read from top to bottom, and a row is one step of time.

# %%
sequences = [[5, 7, 8], [6, 3], [3]]
inputs, lengths = helpers.batch(sequences)
print(inputs)
print("lengths", lengths)

# %% [markdown]
# The targets are what the model should write: the same symbols, then 1, the symbol EOS (end of sequence). The decoder
# makes three steps more than its input has symbols, one for EOS and two more to make mistakes in.

# %%
batch = helpers.task_batch("copy", sequences)
print(batch.targets)

# %% [markdown]
# Training draws such batches at random, with 100 sequences of 3 to 8 symbols. These are the first 16 of one.

# %%
config = Config(max_batches=BATCHES)
training_generator, held_out_generator = np.random.default_rng(config.seed).spawn(2)
batches, held_out = helpers.examples(config, training_generator, held_out_generator)
first_batch = next(batches)


def show_symbols(axes, symbols, title):
    """Draws int [time, batch] with a colour for each symbol. PAD stays white."""
    axes.imshow(np.ma.masked_equal(symbols, PAD), cmap="tab10", vmin=0, vmax=9, alpha=0.6)
    for (time, column), symbol in np.ndenumerate(symbols):
        axes.text(column, time, symbol, ha="center", va="center", color="lightgrey" if symbol == PAD else "black")
    axes.set(title=title, xlabel="sequence", ylabel="time", xticks=[], yticks=range(len(symbols)))


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
show_symbols(left, first_batch.inputs[:, :16], "inputs: PAD (0) fills the shorter sequences up")
show_symbols(right, first_batch.targets[:, :16], "targets: EOS (1) ends each sequence")
plt.show()

# %% [markdown]
# ## 2. The placeholders
#
# `build_graph` describes the whole computation and carries out none of it. Data enters through three placeholders. A
# size of `None` is open until a batch is fed.

# %%
graph = build_graph(config, Parts(tf.nn))
for tensor in (graph.encoder_inputs, graph.encoder_inputs_length, graph.decoder_targets):
    print(tensor)

# %% [markdown]
# These are the variables that training will change. A session holds their values. Here they get their initial ones.

# %%
variables = tf.trainable_variables()
for variable in variables:
    print(f"{variable.op.name:<34}{variable.shape}")

session = tf.Session()
session.run(tf.global_variables_initializer())

# %% [markdown]
# ## 3. One embedding
#
# The symbols are names, not quantities: 8 is not twice 4. So each symbol stands for a row of 20 numbers, drawn from
# -1 to 1 at first and trained like all else. To embed is to look up a row.

# %%
embeddings = variables[0]
table = session.run(embeddings)

figure, axes = plt.subplots(figsize=(8, 4))
picture = axes.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1)
names = ["PAD", "EOS", *range(FIRST_SYMBOL, config.vocab_size)]
axes.set(title="Each symbol is a row of 20 numbers", xlabel="number", ylabel="symbol")
axes.set_yticks(range(config.vocab_size), names)
figure.colorbar(picture, shrink=0.8)
plt.show()

# %%
embedded = session.run("embedding/encoder_inputs_embedded:0", next_feed(graph, batch))
print("[time, batch, input_embedding_size] =", embedded.shape)
print("the first symbol of the first sequence is 5, its embedding row 5:", np.array_equal(embedded[0, 0], table[5]))

# %% [markdown]
# ## 4. Two directions, and the state between encoder and decoder
#
# One LSTM reads each sequence from the left, another one from the right. After every symbol each of them puts out 20
# numbers. Side by side they are the encoder's outputs, which the plain model never uses.

# %%
names = [f"encoder/{name}:0" for name in ("encoder_outputs", "encoder_final_state_c", "encoder_final_state_h")]
outputs, state_c, state_h = session.run(names, next_feed(graph, batch))
print("outputs  [time, batch, 2 * units] =", outputs.shape)
print("c, h     [batch, 2 * units]       =", state_c.shape, state_h.shape)

# %% [markdown]
# What counts is where each direction *ends*: the forward one at a sequence's last symbol, the backward one at its first.
# There its output is its part of the final state's `h`. The padding is never read.

# %%
for column, (sequence, length) in enumerate(zip(sequences, batch.lengths)):
    forward_end, backward_end = outputs[length - 1, column, :20], outputs[0, column, 20:]
    print(sequence, np.array_equal(np.concatenate([forward_end, backward_end]), state_h[column]))

# %% [markdown]
# `concatenate_states` joins both directions: 40 numbers `c` and 40 numbers `h`. All that the decoder will ever know about
# a sequence is in one row of each half of this picture.


# %%
def show_state(c, h, sequences, title):
    figure, both = plt.subplots(2, 1, figsize=(9, 0.55 * len(sequences) + 2), sharex=True)
    for axes, values, name in zip(both, (c, h), "ch"):
        limit = np.abs(values).max()
        picture = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_yticks(range(len(sequences)), [" ".join(map(str, sequence)) for sequence in sequences])
        axes.axvline(19.5, color="black", linewidth=1)
        axes.set_ylabel(name, rotation=0, labelpad=12, fontsize=14)
        figure.colorbar(picture)
    both[1].set_xlabel("0 to 19: read from the left        |        20 to 39: read from the right")
    figure.suptitle(title)
    plt.show()


show_state(state_c, state_h, sequences, "The final state of three sequences, before training")

# %% [markdown]
# ## 5. `loop_fn`, called by hand
#
# `tf.nn.raw_rnn` runs the decoder's cell, and asks `loop_fn` between any two steps: who is finished, what does the cell
# read next, what is put out? Here you are `raw_rnn`. First, `loop_fn` and the cell, on the weights that the graph has.

# %%
state = LSTMStateTuple(c=tf.constant(state_c), h=tf.constant(state_h))
decoder_lengths = batch.lengths + config.extra_decoder_steps
with tf.variable_scope("decoder", reuse=True):
    loop_fn = make_loop_fn(embeddings, state, tf.constant(decoder_lengths))
    cell = LSTMCell("cell", 40, config.input_embedding_size)

# %% [markdown]
# The first call comes before the first step, without an output of the cell. It returns what the decoder starts from: the
# embedding of EOS, and the encoder's final state.

# %%
finished, next_input, cell_state, _, _ = loop_fn(tf.constant(0), None, None, None)
print("finished:", session.run(finished))
print("every sequence reads EOS:", np.array_equal(session.run(next_input), table[[EOS] * 3]))
print("the state is that of the encoder:", cell_state is state)

# %% [markdown]
# Now three steps. The cell reads an input and changes its state. `loop_fn` turns the cell's output into a score for each
# symbol (a *logit*), takes the best one as the prediction, and embeds it: this is what the cell reads next.

# %%
for time in (1, 2, 3):
    cell_output, cell_state = cell(next_input, cell_state)
    finished, next_input, cell_state, emit_output, _ = loop_fn(tf.constant(time), cell_output, cell_state, None)
    logits, prediction = session.run(emit_output)
    print(f"step {time}: logits {logits.shape}, predictions {prediction}")

# %% [markdown]
# `raw_rnn` inside the graph does the same, and goes on until every sequence is finished. Its first three rows are yours.
# (The last sequence has one symbol. It is finished after four steps, and PAD from then on.)

# %%
print(session.run(graph.decoder_prediction, next_feed(graph, batch)))

# %% [markdown]
# ## 6. The loss of one batch
#
# For each step the model gives every symbol a probability. The *cross-entropy* of the step is minus the logarithm of the
# probability that the right symbol got: 0 if the model was certain and right, ln 10 = 2.30 if all ten symbols were
# equally likely. Below is one for each step and sequence. Past a sequence's last step there is nothing to judge: nan.

# %%
logits = session.run(graph.decoder_logits, next_feed(graph, batch))
probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
of_targets = np.take_along_axis(probabilities, batch.targets[:, :, np.newaxis], axis=2)[:, :, 0]
is_real = np.arange(len(batch.targets))[:, np.newaxis] < decoder_lengths
cross_entropy = np.where(is_real, -np.log(of_targets), np.nan)
print(cross_entropy.round(2))

# %% [markdown]
# The loss is their mean, and training makes it smaller.

# %%
print(f"by hand    {np.nanmean(cross_entropy):.4f}")
print(f"the graph  {session.run(graph.loss, next_feed(graph, batch)):.4f}")

# %% [markdown]
# ## 7. Training
#
# `take_steps` feeds a batch and runs `train_op`, once for each batch. At some batches we ask for one of the held-out
# sequences, and keep the weights for later.

# %%
long_ones = np.flatnonzero(held_out.lengths == config.length_to)
different = [len(set(held_out.inputs[:, column])) for column in long_ones]
column = long_ones[np.argmax(different)]  # of the longest sequences, the first with the most different symbols
watched = helpers.columns(held_out, column, column + 1)


def train(session, graph, batches, shown):
    """Trains on batches. Returns their losses, and the weights after those whose numbers are in shown."""
    losses, kept = [], {}
    print(f" batch    loss   what becomes of  {watched.inputs[:, 0]}")
    for number, batch in enumerate(batches):
        (loss,), _, _ = seq2seq_copy.take_steps(session, graph, [batch])
        losses.append(loss)
        if number in shown:
            kept[number] = session.run(tf.trainable_variables())
            prediction = seq2seq_copy.predicted(session, graph, watched)[:, 0]
            print(f"{number:6}  {loss:.4f}                    {prediction}")
    return np.array(losses), kept


shown = [0, 10, 30, 100, 200, 300, 500, 1000, 2000, BATCHES - 1]
initial_weights = session.run(variables)
losses, kept = train(session, graph, [first_batch, *(next(batches) for _ in range(BATCHES - 1))], shown)

# %% [markdown]
# First it writes one symbol over and over. Then it finds out how long the answer is, and which symbols occur. The first
# and last symbols fall into place, and what is in the middle comes last.

# %% [markdown]
# ## 8. The loss curve
#
# The line is a mean of 50 batches. The scale is logarithmic: each line of the grid is ten times less than the one above.

# %%
figure, axes = plt.subplots(figsize=(8, 4))
window = min(50, BATCHES)
axes.semilogy(losses, color="tab:blue", alpha=0.25, linewidth=0.8)
axes.semilogy(*pictures.moving_average(losses, window), color="tab:blue")
axes.axhline(math.log(config.vocab_size), color="grey", linestyle=":")
axes.text(BATCHES, math.log(config.vocab_size), "ten symbols, equally likely", ha="right", va="bottom", color="grey")
axes.set(title="The loss falls until the last batch", xlabel="batch", ylabel="cross-entropy [nats per step]")
axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# A loss says little to a person. So we count: a sequence is *exact* if all its symbols, EOS and both PADs are right.

# %%
decode = functools.partial(seq2seq_copy.predicted, session, graph)
exact, _ = seq2seq_copy.evaluate(decode, held_out, config.evaluation_batch)
print(f"{exact.sum()} of {exact.size} held-out sequences are exact")
for length in np.unique(held_out.lengths):
    print(f"{(~exact)[held_out.lengths == length].sum():4} errors among those of length {length}")

# %% [markdown]
# ## 9. Memory
#
# The decoder never looks at its inputs again. Whatever it writes, it remembers. To see what, replace one input symbol by
# each of the others, and watch the probability of every symbol of the answer. Where it changes, that step depends on
# that input. (Zeiler and Fergus, 2014, ask a network for images in this way.)


# %%
def with_replacements(sequence):
    """Returns a Batch: the sequence, then its copies with the first symbol replaced by each other one, and so on."""
    copies = [sequence]
    for position, symbol in enumerate(sequence):
        for other in set(range(FIRST_SYMBOL, config.vocab_size)) - {symbol}:
            copies.append([*sequence[:position], other, *sequence[position + 1 :]])
    return helpers.task_batch("copy", copies)


def mean_change(values, length):
    """Averages how much values [..., copies] of with_replacements() differ from the first; returns [..., length]."""
    changes = np.abs(values[..., 1:] - values[..., :1])
    return changes.reshape(*values.shape[:-1], length, -1).mean(axis=-1)


def dependence(session, graph, sequence):
    """Returns the answer [steps], and how much the probability of each of its symbols changes, [steps, length]."""
    logits = session.run(graph.decoder_logits, next_feed(graph, with_replacements(sequence)))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    answer = logits[:, 0].argmax(axis=1)
    return answer, mean_change(probabilities[np.arange(len(answer)), :, answer], len(sequence))


def show_map(axes, values, sequence, answer, title):
    """Draws values in 0 ... 1, [steps, length]."""
    picture = axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="input")
    axes.set_xticks(range(len(sequence)), sequence)
    axes.set_yticks(range(len(answer)), ["PAD" if symbol == PAD else symbol for symbol in answer])
    return picture


sequence = watched.inputs[:, 0]
figure, panels = plt.subplots(1, 4, figsize=(11, 4.4))
for axes, number in zip(panels, [0, 100, 300, BATCHES - 1]):
    for variable, value in zip(variables, kept[number]):
        variable.load(value, session)
    answer, changes = dependence(session, graph, sequence)
    picture = show_map(axes, changes, sequence, answer, f"after batch {number}")
panels[0].set_ylabel("written")
figure.colorbar(picture, ax=panels, label="change of probability", shrink=0.7)
figure.suptitle("Memory grows: each written symbol comes to depend on one input symbol, the one in its place")
plt.show()

# %% [markdown]
# After the last batch there is little but the diagonal: what is written at a step depends on the input at that place,
# and on no other. The eight symbols are held apart in 80 numbers.
#
# Where are they? Replace symbols again, and watch the encoder's final `c` instead of the answer.


# %%
def left_in_c(weights):
    """Returns the mean change of c by the symbol at each position, for the forward and the backward half, [2, 8]."""
    for variable, value in zip(variables, weights):
        variable.load(value, session)
    changes = []
    for column in long_ones[:100]:
        feed = next_feed(graph, with_replacements(held_out.inputs[:, column]))
        state_c = session.run("encoder/encoder_final_state_c:0", feed)  # [copies, 40]
        changes.append(mean_change(state_c.T, config.length_to).reshape(2, 20, -1).mean(axis=1))
    return np.mean(changes, axis=0)


figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
positions = np.arange(1, config.length_to + 1)
for weights, style, label in ((initial_weights, ":", "before training"), (kept[BATCHES - 1], "-", "after training")):
    for axes, change in zip(panels, left_in_c(weights)):
        axes.plot(positions, 100 * change / change.max(), style, marker=".", color="tab:blue", label=label)
panels[0].set(title="read from the left", xlabel="position of the symbol", ylabel="change of c [%]", ylim=(0, 105))
panels[1].set(title="read from the right", xlabel="position of the symbol")
panels[0].legend()
figure.suptitle("Training teaches c to keep what was read long ago (100 %: the position that changes c most)")
plt.show()

# %% [markdown]
# The cell forgets at first: a symbol read eight steps ago hardly leaves a trace. Training opens its forget gates. Each
# direction still remembers best what it read last, and the two directions read last at opposite ends.
#
# ## 10. Attention
#
# Attention frees the decoder from remembering. At each step it weighs the encoder's outputs anew, all of them, and reads
# their weighted mean (Bahdanau et al., 2015). Here it is a function around `loop_fn`, and the rest of the model stays.

# %%
attentive_config = Config(max_batches=min(1000, BATCHES), attention="bahdanau")
attentive_graph = build_graph(attentive_config, variants.replace_parts(Parts(tf.nn), attentive_config))
attentive_session = tf.Session()
attentive_session.run(tf.global_variables_initializer())
attentive_batches = [next(batches) for _ in range(attentive_config.max_batches)]
shown = [0, 30, 100, 300, attentive_config.max_batches - 1]
train(attentive_session, attentive_graph, attentive_batches, shown)

decode = functools.partial(seq2seq_copy.predicted, attentive_session, attentive_graph)
exact, _ = seq2seq_copy.evaluate(decode, held_out, config.evaluation_batch)
print(f"{exact.sum()} of {exact.size} held-out sequences are exact")

# %% [markdown]
# The weights of a step say where the decoder looked. They are not the same as what the answer depends on: an output of
# the encoder also holds what was read before it. So we draw both.

# %%
answer, changes = dependence(attentive_session, attentive_graph, sequence)
weights = attentive_session.run(attentive_graph.alignment[0], next_feed(attentive_graph, watched))[:, 0]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4))
show_map(left, weights, sequence, answer, "where it looks: weights of attention")
left.set_ylabel("written")
picture = show_map(right, changes, sequence, answer, "what it depends on: change of probability")
figure.colorbar(picture, ax=[left, right], shrink=0.7)
plt.show()
