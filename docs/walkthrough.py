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
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
from support.terminal.settings import Config

import helpers
import seq2seq_copy
from helpers import EOS, FIRST_SYMBOL, PAD
from seq2seq_copy import LSTMCell, LSTMStateTuple, Parts, build_graph, make_loop_fn, next_feed
from support.graph import memory, variants
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import maps, pictures

BATCHES = 3001  # to train on; try 300 for a quick look
plt.rcParams.update({"figure.dpi": 100, "figure.constrained_layout.use": True, "axes.titlesize": "medium"})

# %% [markdown]
# ## 1. A batch and its padding
#
# Sequences have different lengths, but a matrix has no ragged edge. So the shorter sequences are filled up with 0, the
# symbol PAD. The matrix is *time-major*: a sequence is a column, read from top to bottom, and a row is one step of
# time.

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
        color = "lightgrey" if symbol == PAD else "black"
        axes.text(column, time, symbol, ha="center", va="center", color=color)
    axes.set(title=title, xlabel="a column is a sequence", ylabel="time")
    axes.set(xticks=[], yticks=range(len(symbols)))


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
names = maps.label_names(config)
axes.set(title="Each symbol is a row of 20 numbers", ylabel="symbol", xticks=[])
axes.set_yticks(range(config.vocab_size), names)
figure.colorbar(picture, shrink=0.8)
plt.show()

# %%
embedded = session.run("embedding/encoder_inputs_embedded:0", next_feed(graph, batch))
print("[time, batch, input_embedding_size] =", embedded.shape)
print("the first symbol of the first sequence is 5:", np.array_equal(embedded[0, 0], table[5]))

# %% [markdown]
# ## 4. Two directions, and the state between encoder and decoder
#
# One LSTM reads each sequence from the left, another one from the right. After every symbol each of them puts out 20
# numbers. Side by side they are the encoder's outputs, which the plain model never uses.

# %%
fetches = [
    "encoder/encoder_outputs:0",
    "encoder/encoder_final_state_c:0",
    "encoder/encoder_final_state_h:0",
]
outputs, state_c, state_h = session.run(fetches, next_feed(graph, batch))
print("outputs  [time, batch, 2 * units] =", outputs.shape)
print("c, h     [batch, 2 * units]       =", state_c.shape, state_h.shape)

# %% [markdown]
# What counts is where each direction *ends*: the forward one at a sequence's last symbol, the backward one at its
# first. There its output is its part of the final state's `h`. The padding is never read.

# %%
for column, (sequence, length) in enumerate(zip(sequences, batch.lengths)):
    ends = np.concatenate([outputs[length - 1, column, :20], outputs[0, column, 20:]])
    print(sequence, np.array_equal(ends, state_h[column]))

# %% [markdown]
# `concatenate_states` joins both directions: 40 numbers `c` and 40 numbers `h`. All that the decoder will ever know
# about a sequence is in one row of each half of this picture.


# %%
figure, both = plt.subplots(2, 1, figsize=(9, 3.6), sharex=True)
for axes, values, name in zip(both, (state_c, state_h), "ch"):
    limit = np.abs(values).max()
    picture = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_yticks(range(3), [" ".join(map(str, sequence)) for sequence in sequences])
    axes.axvline(19.5, color="black", linewidth=1)
    axes.set_ylabel(name, rotation=0, labelpad=12, fontsize=14)
    axes.tick_params(length=0)
    figure.colorbar(picture)
both[1].set_xticks([9.5, 29.5], ["20 read from the left", "20 read from the right"])
figure.suptitle("Two times 40 numbers for each sequence, before training")
plt.show()

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
# The first call comes before the first step, without an output of the cell. It returns what the decoder starts from:
# the embedding of EOS, and the encoder's final state.

# %%
finished, next_input, cell_state, _, _ = loop_fn(tf.constant(0), None, None, None)
print("finished:", session.run(finished))
print("every sequence reads EOS:", np.array_equal(session.run(next_input), table[[EOS] * 3]))
print("the state is that of the encoder:", cell_state is state)

# %% [markdown]
# Now three steps. The cell reads an input and changes its state. `loop_fn` turns the cell's output into a score for
# each symbol (a *logit*), takes the best one as the prediction, and embeds it: this is what the cell reads next.

# %%
for time in (1, 2, 3):
    cell_output, cell_state = cell(next_input, cell_state)
    returned = loop_fn(tf.constant(time), cell_output, cell_state, None)
    finished, next_input, cell_state, (logits, prediction), _ = returned
    logits, prediction = session.run([logits, prediction])
    print(f"step {time}: logits {logits.shape}, predictions {prediction}")

# %% [markdown]
# `raw_rnn` inside the graph does the same, and goes on until every sequence is finished. Its first three rows are
# yours. (The last sequence has one symbol. It is finished after four steps, and PAD from then on.)

# %%
print(session.run(graph.decoder_prediction, next_feed(graph, batch)))

# %% [markdown]
# ## 6. The loss of one batch
#
# For each step the model gives every symbol a probability. The *cross-entropy* of the step is minus the logarithm of
# the probability that the right symbol got: 0 if the model was certain and right, ln 10 = 2.30 if all ten symbols were
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
column = long_ones[np.argmax(different)]  # the one with the most different symbols
watched = helpers.columns(held_out, column, column + 1)


def train(session, graph, batches, shown):
    """Trains on batches. Returns their losses, and the weights after those in shown."""
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


moments = [0, BATCHES // 30, BATCHES // 10, BATCHES - 1]
shown = {*moments, 10, 30, 200, 500, 1000, 2000}
initial_weights = session.run(variables)
training_batches = [first_batch, *(next(batches) for _ in range(BATCHES - 1))]
losses, kept = train(session, graph, training_batches, shown)

# %% [markdown]
# At first the model repeats a few symbols, whatever it reads. Then it finds out how long the answer is. The ends fall
# into place first, and the middle last.

# %% [markdown]
# ## 8. The loss curve
#
# Pale, the loss of each batch; dark, the mean of 50. The scale is logarithmic: from one line of the grid to the next,
# the loss is ten times smaller.

# %%
figure, axes = plt.subplots(figsize=(8, 4))
window = min(50, BATCHES)
axes.semilogy(losses, color="tab:blue", alpha=0.25, linewidth=0.8)
axes.semilogy(*pictures.moving_average(losses, window), color="tab:blue")
guess = math.log(config.vocab_size)
axes.axhline(guess, color="grey", linestyle=":")
axes.text(BATCHES, guess, "ten symbols, equally likely", ha="right", va="bottom", color="grey")
axes.set(title="The loss falls until the end", xlabel="batch", ylabel="cross-entropy [nats per step]")
axes.set_ylim(top=5)
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
# The decoder never looks at its inputs again. Whatever it writes, it remembers. To see what, `memory.dependence`
# replaces each input symbol by all others, one place at a time, and watches the probability of every symbol of the
# answer. Where it changes, that step depends on that input. (Zeiler and Fergus, 2014, ask a network for images in this
# way.)
#
# Section 7 kept the weights of four moments. With each of them the model answers anew.


# %%
def load(weights):
    for variable, value in zip(variables, weights):
        variable.load(value, session)


ask = functools.partial(seq2seq_copy.answered, session, graph)
sequence = watched.inputs[:, 0]
figure, panels = plt.subplots(1, 4, figsize=(11, 3.9))
for axes, moment in zip(panels, moments):
    load(kept[moment])
    answer, changes = memory.dependence(ask, sequence, config)
    picture = maps.draw_panel(axes, sequence, answer, changes, names, style={})
    axes.set_title(f"after batch {moment}")
panels[0].set_ylabel("written")
figure.colorbar(picture, ax=panels, label="change of probability", shrink=0.7)
figure.suptitle("Memory grows: each symbol comes to depend on the input in its place, and on no other")
plt.show()

# %% [markdown]
# After the last batch there is little but the diagonal: what is written at a step depends on the input at that place,
# and on no other. The eight symbols are held apart in 80 numbers.
#
# How do they get there? Replace symbols again, and watch the encoder's final `c` instead of the answer.


# %%
def change_of_c(weights):
    """Returns the mean change of each half of c by the symbol in each place, [2, 8]."""
    load(weights)
    places, shifts = range(config.length_to), range(1, config.vocab_size - FIRST_SYMBOL)
    changes = []
    for column in long_ones[:100]:
        sequence = held_out.inputs[:, column]
        copies = [sequence]
        for place, shift in itertools.product(places, shifts):
            copies.append(memory.replaced(sequence, place, shift, config.vocab_size))
        feed = next_feed(graph, helpers.task_batch("copy", copies))
        state_c = session.run("encoder/encoder_final_state_c:0", feed)
        change = np.abs(state_c[1:] - state_c[0])  # [places * shifts, 40]
        changes.append(change.reshape(len(places), len(shifts), 2, 20).mean(axis=(1, 3)))
    return np.mean(changes, axis=0).T


figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
positions = np.arange(1, config.length_to + 1)
before, after = change_of_c(initial_weights), change_of_c(kept[BATCHES - 1])
for axes, half_before, half_after, side in zip(panels, before, after, ("left", "right")):
    percent = [100 * change / change.max() for change in (half_before, half_after)]
    axes.plot(positions, percent[0], ":.", color="tab:blue", label="before training")
    axes.plot(positions, percent[1], "-o", color="tab:blue", label="after training")
    axes.set(title=f"read from the {side}", xlabel="position of the symbol", ylim=(0, 105))
panels[0].set_ylabel("change of c [% of the largest]")
panels[0].legend(loc="lower right")
figure.suptitle("Training teaches c to keep what was read long ago")
plt.show()

# %% [markdown]
# Before training, the cell forgets: the symbol that it read first changes `c` less than a fifth as much as the one that
# it read last. After training this share is more than twice as large. Still each direction remembers best what it read
# last. The two directions end at opposite ends of the sequence, so together they remember both. [memory.md](memory.md)
# says more about the map.
#
# ## 10. Attention
#
# Attention frees the decoder from remembering. At each step it weighs the encoder's outputs anew, all of them, and
# reads their weighted mean (Bahdanau et al., 2015). Here it is a function around `loop_fn`, and the rest of the model
# stays.


# %%
def new_model(parts, config=config):
    """Returns a session and a Graph, not yet trained."""
    graph = build_graph(config, parts)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session, graph


def count_exact(session, graph, batch):
    decode = functools.partial(seq2seq_copy.predicted, session, graph)
    exact, _ = seq2seq_copy.evaluate(decode, batch, config.evaluation_batch)
    print(f"{exact.sum()} of {exact.size} sequences are exact")


attentive_config = Config(max_batches=min(1000, BATCHES), attention="bahdanau")
attentive_parts = variants.replace_parts(Parts(tf.nn), attentive_config)
attentive_session, attentive_graph = new_model(attentive_parts, attentive_config)
attentive_batches = [next(batches) for _ in range(attentive_config.max_batches)]
train(attentive_session, attentive_graph, attentive_batches, [0, 30, 100, 300, 999])
count_exact(attentive_session, attentive_graph, held_out)

# %% [markdown]
# After a third of the batches it makes no error. The weights say where the decoder looked. That is not the same as what
# the answer depends on: each output of the encoder also holds something of the symbols around it. Both are drawn below.

# %%
ask = functools.partial(seq2seq_copy.answered, attentive_session, attentive_graph)
answer, changes = memory.dependence(ask, sequence, attentive_config)
_, _, weights = ask(watched)  # [steps, batch, length]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4))
maps.draw_panel(left, sequence, answer, weights[:, 0], names, style={})
left.set(title="weights of attention", ylabel="written")
picture = maps.draw_panel(right, sequence, answer, changes, names, style={})
right.set_title("change of probability")
figure.colorbar(picture, ax=[left, right], shrink=0.7)
figure.suptitle("Where the decoder looks, and what its answer depends on")
plt.show()

# %% [markdown]
# When it writes EOS and PAD, it looks somewhere, but nothing depends on it.
#
# ## 11. Exercises
#
# Six, with a few lines each. Do not edit the script: replace a part of the model through `Parts`. Say what you expect
# before you run your lines. [`experiments/answers.py`](../experiments/answers.py) has an answer to each, which a test
# checks. `python -m experiments.answers` prints what they show; the figures below are from there (seed 0, all else at
# its default).
#
# `new_model(parts)` above builds a model of other parts, and `train` trains it. The function below builds one on the
# weights that are trained already. If you have changed those, `load(kept[BATCHES - 1])` brings them back.


# %%
def on_the_trained_weights(parts):
    """Returns a Graph of other parts, for `session`, whose weights are those of section 7."""
    with session.graph.as_default(), tf.variable_scope(tf.get_variable_scope(), reuse=True):
        return seq2seq_copy.connect(*graph[:3], config, graph.optimizer, parts)


same = on_the_trained_weights(Parts(tf.nn))
count_exact(session, same, held_out)

# %% [markdown]
# ### 1. Count the parameters
#
# How many numbers does training change? Count them from the sizes alone: 10 symbols, embeddings of 20 numbers, 20 units
# in each direction of the encoder, 40 in the decoder. Which part has most? What if there were twice as many units?
#
# <details><summary>Hint</summary>
#
# An LSTM has a kernel `[input_size + units, 4 * units]` and a bias `[4 * units]`.
#
# </details>
# <details><summary>What you should see</summary>
#
# 16,930, as many as all `variable.shape` of section 2 together. More than half of them, 9,760, are in the decoder's
# cell. With twice as many units there are more than three times as many. (`count_parameters`)
#
# </details>

# %%
# your lines

# %% [markdown]
# ### 2. Backwards
#
# Make the model write each sequence from its end. Change the batches, not the model.
#
# <details><summary>Hint</summary>
#
# `helpers.decoder_targets` adds EOS and PAD to any matrix of symbols. Only the symbols are turned round: the padding
# stays at the bottom. `train` takes any batches, and `memory.dependence` shows what the model has learned.
#
# </details>
# <details><summary>What you should see</summary>
#
# It is as easy as to copy: all held-out sequences are exact. The map of memory has the other diagonal.
# (`reversed_targets`)
#
# </details>

# %%
# your lines

# %% [markdown]
# ### 3. Break the mask
#
# The trained model hardly makes an error, and its loss is almost 0. What would the loss say without the mask, as a mean
# over all steps, padding included? Work out the number on paper first.
#
# <details><summary>Hint</summary>
#
# Past the end of a sequence `raw_rnn` puts out zeros. Ten logits of 0 are ten equally likely symbols, which costs ln
# 10. How many steps of a batch are padding?
#
# </details>
# <details><summary>What you should see</summary>
#
# It is 0.53 instead of 0.0002: 22.9 % of the steps are padding, and 0.229 times 2.303 is 0.527. So a loss of 0.53 can
# belong to a model that is almost always right.
#
# Would the model learn worse with that loss? The padding adds a constant, and a constant has no gradient.
# (`unmasked_loss`)
#
# </details>

# %%
# your lines

# %% [markdown]
# ### 4. The wrong state
#
# Give each decoder the final state of the sequence on its left in the batch, on the trained weights. What does it
# write?
#
# <details><summary>Hint</summary>
#
# Replace the part `concatenate_states`. `tf.roll` moves the rows of a matrix.
#
# </details>
# <details><summary>What you should see</summary>
#
# No sequence is exact any more. But it is not nonsense: wherever both sequences have the same length, the decoder
# writes the neighbour's sequence without an error. The state is all that it knows. (`state_of_the_neighbour`)
#
# </details>

# %%
# your lines

# %% [markdown]
# ### 5. Swap forward and backward
#
# First: put the backward state before the forward state, on the trained weights. Then, without training anything,
# change the decoder's weights so that the model works again.
#
# <details><summary>Hint</summary>
#
# Nothing in a layer knows the number of a unit. Unit 0 and unit 20 may change places if all weights that lead to them
# and from them do so too: rows and columns of the decoder's kernel, its bias, and the rows of `output_weights`. The
# columns of the kernel are four gates of 40 units each.
#
# </details>
# <details><summary>What you should see</summary>
#
# First no sequence is exact, then as many as before. So a model that is trained from the start with the backward state
# first is the same model with its units in another order. (`backward_first`, `reorder_decoder`)
#
# </details>

# %%
# your lines

# %% [markdown]
# ### 6. Feed the truth
#
# In training, let the cell read the right symbol of the step before instead of its own prediction: teacher forcing.
# Write a function around `loop_fn` with the same contract. Then ask the model as usual, with its own predictions.
#
# <details><summary>Hint</summary>
#
# `make_loop_fn` is given `decoder_targets` by its name. After step `time`, the right symbol is `decoder_targets[time -
# 1]`. To train with the truth and to ask without, you need two graphs on the same weights.
#
# </details>
# <details><summary>What you should see</summary>
#
# All are exact, as without teaching, although the model never met its own errors in training. It even learns sooner: of
# runs over 301 batches, `--feedback teacher` ends with 97.15 % exact, and the default with 79.62 %.
# (`make_teaching_loop_fn`)
#
# </details>

# %%
# your lines
