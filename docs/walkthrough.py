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
# A model reads `5 7 8` and writes `5 7 8`. This sounds easy, but the model reads the symbols one by one, keeps nothing
# but 80 numbers, and writes from these numbers alone. So it has to *remember*.
#
# This notebook takes [`seq2seq_copy.py`](../seq2seq_copy.py) apart, in the order in which a live coding session of 2017
# put such a model together. Each part is run by itself, so that you can look at it. `show` prints the source of a part,
# so you need no second window.
#
# `make notebook` opens this page for you to run and change. It takes about a minute from start to end. The figures are
# those of seed 0 on one machine. Yours will differ a little, because training magnifies differences in rounding.

# %%
# %cd -q ..
import inspect
import itertools
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import IFrame

import helpers
import seq2seq_copy
from helpers import EOS, FIRST_SYMBOL, PAD
from seq2seq_copy import PLAIN, Encoded, LSTMCell, LSTMStateTuple, Model, Trainer, evaluate, fit, make_loop_fn, train
from support.model import variants
from support.pictures import heat_maps, occlusion, page, pictures
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

BATCHES = 3001  # to train on; try 300 for a quick look
plt.rcParams.update({"figure.dpi": 100, "figure.constrained_layout.use": True, "axes.titlesize": "medium"})


def show(part):
    """Prints the source of a function or class."""
    print(inspect.getsource(part))


# %% [markdown]
# ## 1. A batch and its padding
#
# Sequences have different lengths, but the columns of a matrix do not. So shorter sequences are padded with 0, the
# symbol PAD. The matrix is *time-major*: a sequence is a column, read from top to bottom, and a row is one step of
# time.

# %%
sequences = [[5, 7, 8], [6, 3], [3]]
inputs, lengths = helpers.batch(sequences)
print(inputs)
print("lengths", lengths)

# %% [markdown]
# The targets are what the model should write: the same symbols, then 1, the symbol EOS (end of sequence). The decoder
# makes three more steps than the sequence has symbols: one for EOS, and two for PAD, to catch an answer that runs on.

# %%
batch = helpers.task_batch("copy", sequences)
print(batch.targets)

# %% [markdown]
# Training draws such batches at random, with 100 sequences of 3 to 8 symbols. These are the first 16 of one.

# %%
config = Settings(max_batches=BATCHES)
batches, held_out = helpers.examples(config, helpers.generators(config.seed))
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
# `Model` builds the whole computation as a graph, and carries out none of it. Data enters through placeholders. A size
# of `None` is open until a batch is fed.

# %%
show(Model.__init__)
model = Model(config)
for tensor in (*model.placeholders, model.learning_rate):
    print(tensor)

# %% [markdown]
# These are the variables that training will change. The model's session holds their values, here the initial ones.

# %%
session, variables = model.session, tf.trainable_variables()
for variable in variables:
    print(f"{variable.op.name:<34}{variable.shape}")

# %% [markdown]
# ## 3. One embedding
#
# The symbols are names, not quantities: 8 is not twice 4. So each symbol stands for a row of 20 numbers, drawn between
# -0.2 and 0.2 at first, and trained with the rest. Embedding a symbol means looking up its row.

# %%
show(seq2seq_copy.embed)
embeddings = variables[0]
table = session.run(embeddings)

figure, axes = plt.subplots(figsize=(8, 4))
picture = axes.imshow(table, cmap="RdBu_r", vmin=-0.2, vmax=0.2)
names = heat_maps.label_names(config)
axes.set(title="Each symbol is a row of 20 numbers", ylabel="symbol", xticks=[])
axes.set_yticks(range(config.vocab_size), names)
figure.colorbar(picture, shrink=0.8)
plt.show()

# %%
embedded = session.run("embedding/encoder_inputs_embedded:0", model.feed(batch))
print("[time, batch, input_embedding_size] =", embedded.shape)
print("the first symbol of the first sequence is 5:", np.array_equal(embedded[0, 0], table[5]))

# %% [markdown]
# ## 4. Two directions, and the state between encoder and decoder
#
# One LSTM reads each sequence from the left, another one from the right. After every symbol each of them outputs 20
# numbers. Side by side they are the encoder's outputs, which a model without attention never uses.

# %%
show(LSTMCell.__call__)
show(seq2seq_copy.encode)
fetches = [
    "encoder/encoder_outputs:0",
    "encoder/encoder_final_state_c:0",
    "encoder/encoder_final_state_h:0",
]
outputs, state_c, state_h = session.run(fetches, model.feed(batch))
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
# `tf.nn.raw_rnn` runs the decoder's cell, and between steps it asks `loop_fn`: which sequences are finished, what does
# the cell read next, what does this step emit? Here you play the part of `raw_rnn`. First make `loop_fn` and a cell
# that use the weights of the graph.

# %%
show(make_loop_fn)
state = LSTMStateTuple(c=tf.constant(state_c), h=tf.constant(state_h))
encoded = Encoded(embeddings, state, outputs, batch.lengths)
decoder_lengths = batch.target_lengths + helpers.EXTRA_DECODER_STEPS
with tf.variable_scope("decoder", reuse=True):
    loop_fn = make_loop_fn(encoded, tf.constant(decoder_lengths), None)
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
    finished, next_input, cell_state, emitted, _ = returned
    values = session.run(emitted)
    print(f"step {time}: logits {values['decoder_logits'].shape}, predictions {values['decoder_prediction']}")

# %% [markdown]
# `raw_rnn` inside the graph does the same, until every sequence is finished. Its first three rows are yours. (The last
# sequence has one symbol. It is finished after four steps, and its predictions are PAD from then on.)

# %%
print(session.run(model.decoder_prediction, model.feed(batch)))

# %% [markdown]
# ## 6. The loss of one batch
#
# For each step the model gives every symbol a probability. The *cross-entropy* of the step is minus the logarithm of
# the probability that the right symbol got: 0 if the model was certain and right, ln 10 = 2.30 if all ten symbols were
# equally likely. Below is one for each step and sequence. Past a sequence's last step there is nothing to judge: nan.

# %%
logits = session.run(model.decoder_logits, model.feed(batch))
probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
of_targets = np.take_along_axis(probabilities, batch.targets[:, :, np.newaxis], axis=2)[:, :, 0]
is_real = np.arange(len(batch.targets))[:, np.newaxis] < decoder_lengths
cross_entropy = np.where(is_real, -np.log(of_targets), np.nan)
print(cross_entropy.round(2))

# %% [markdown]
# The loss is their mean, and training makes it smaller.

# %%
print(f"by hand    {np.nanmean(cross_entropy):.4f}")
print(f"the graph  {session.run(model.loss, model.feed(batch)):.4f}")

# %% [markdown]
# ## 7. Backpropagation through time
#
# Training needs the gradient of the loss: how much it would change with each weight. TensorFlow derives the gradient
# from the graph. Here you do it by hand, for the kernel of the decoder's cell. First run forwards, and keep what each
# step computes.

# %%
by_name = {variable.op.name: variable for variable in variables}
kernel_variable = by_name["decoder/cell/lstm_cell/kernel"]
fetches = [kernel_variable, by_name["decoder/cell/lstm_cell/bias"], by_name["decoder/output_weights"]]
kernel, bias, output_weights = session.run(fetches)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


symbols_read = np.concatenate([[[EOS] * 3], logits.argmax(axis=2)[:-1]])  # [decoder_time, batch]
c, h, steps = state_c, state_h, []
for x in table[symbols_read]:
    i, j, f, o = np.split(np.concatenate([x, h], axis=1) @ kernel + bias, 4, axis=1)
    i, j, f, o = sigmoid(i), np.tanh(j), sigmoid(f), sigmoid(o)
    steps.append((x, h, c, i, j, f, o))
    c = f * c + i * j
    h = o * np.tanh(c)

# %% [markdown]
# Then go backwards, from the last step to the first. At each step the error arrives from two sides: from the logits of
# this step, and from the step after it. The gates pass it on. A gradient is written with a d: `dh` says how the loss
# changes with `h`. The gradient of the kernel adds up over the steps, because every step uses the same kernel. The
# argmax passes nothing on: a small change of the logits does not change the symbol.

# %%
one_hot_targets = np.eye(config.vocab_size)[batch.targets]  # [decoder_time, batch, vocab_size]
dlogits = np.where(is_real[:, :, np.newaxis], probabilities - one_hot_targets, 0) / is_real.sum()

dkernel, dc, dh = np.zeros_like(kernel), 0, 0
sizes = []
for (x, h, c, i, j, f, o), dlogit in zip(reversed(steps), reversed(dlogits)):
    dh = dh + dlogit @ output_weights.T
    tanh_c = np.tanh(f * c + i * j)
    dc = dc + dh * o * (1 - tanh_c**2)
    dgates = [dc * j * i * (1 - i), dc * i * (1 - j**2), dc * c * f * (1 - f), dh * tanh_c * o * (1 - o)]
    dgates = np.concatenate(dgates, axis=1)
    dkernel += np.concatenate([x, h], axis=1).T @ dgates
    dc, dh = dc * f, dgates @ kernel[config.input_embedding_size :].T
    sizes.append(np.linalg.norm(dc))

by_tensorflow = session.run(tf.gradients(model.loss, kernel_variable)[0], model.feed(batch))
print(f"largest number in the gradient of the kernel:     {np.abs(by_tensorflow).max():.6f}")
print(f"largest difference from TensorFlow's gradient:    {np.abs(dkernel - by_tensorflow).max():.6f}")

# %% [markdown]
# What is left at the end, `dc` and `dh`, is the gradient with respect to the encoder's final state. Through these 80
# numbers the decoder's errors reach the encoder, where the same loop runs on. Because the forget gates start open, the
# errors arrive: the size of `dc` grows from step to step instead of dying out.

# %%
print("size of dc, from the last step to the first:", np.round(sizes, 4))

# %% [markdown]
# ## 8. Training
#
# A training step computes the loss and its gradient, and changes the weights a little. `Trainer` builds it, and `train`
# feeds it a batch and a learning rate at a time. At some batches we look at one of the held-out sequences, and keep the
# weights for later.

# %%
show(seq2seq_copy.training_step)
show(train)
long_ones = np.flatnonzero(held_out.lengths == config.length_to)
different = [len(set(held_out.inputs[:, column])) for column in long_ones]
column = long_ones[np.argmax(different)]  # the one with the most different symbols
watched = helpers.take(held_out, column, column + 1)

moments = [0, BATCHES // 30, BATCHES // 10, BATCHES - 1]
initial_weights, losses, kept = session.run(variables), [], {}
training_batches = itertools.chain([first_batch], itertools.islice(batches, BATCHES - 1))
print(f" batch    loss   what becomes of  {watched.inputs[:, 0]}")
for number, (_, loss, _, _) in enumerate(train(Trainer(model), training_batches)):
    losses.append(loss)
    if number in {*moments, 10, 30, 200, 500, 1000, 2000}:
        kept[number] = session.run(variables)
        print(f"{number:6}  {loss:.4f}                    {model.predict(watched)[:, 0]}")

# %% [markdown]
# At first the model repeats a few symbols, whatever it reads. Then it finds out how long the answer is. The ends fall
# into place first, and the middle last.

# %% [markdown]
# ## 9. The loss curve
#
# The pale line is the loss of each batch, the dark one the mean of 50. The scale is logarithmic: from one line of the
# grid to the next, the loss is ten times smaller.

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
show(evaluate)
exact, _ = evaluate(model, held_out)
print(f"{exact.sum()} of {exact.size} held-out sequences are exact")
for length in np.unique(held_out.lengths):
    print(f"{(~exact)[held_out.lengths == length].sum():4} errors among those of length {length}")

# %% [markdown]
# ## 10. Memory
#
# The decoder never looks at its inputs again. What it writes, it must remember. To see what it remembers,
# `occlusion.occlusion_map` replaces each input symbol by all others, one place at a time, and watches the probability
# of every symbol of the answer. Where it changes, that step depends on that input. (Zeiler and Fergus, 2014, examine an
# image classifier in this way.)
#
# Section 8 kept the weights of ten moments. With those of four, the model answers anew.


# %%
def load(weights):
    for variable, value in zip(variables, weights):
        variable.load(value, session)


sequence = watched.inputs[:, 0]
figure, panels = plt.subplots(1, 4, figsize=(11, 3.9))
for axes, moment in zip(panels, moments):
    load(kept[moment])
    answer, changes = occlusion.occlusion_map(model, sequence)
    picture = heat_maps.draw_panel(axes, sequence, answer, changes, names, style={})
    axes.set_title(f"after batch {moment}")
panels[0].set_ylabel("written")
figure.colorbar(picture, ax=panels, label="change of probability", shrink=0.7)
figure.suptitle("Memory grows: each symbol comes to depend on the input in its place, hardly on any other")
plt.show()

# %% [markdown]
# After the last batch there is little but the diagonal: what is written at a step depends on the input at that place,
# and hardly on any other. The eight symbols are held apart in 80 numbers.
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
            copies.append(occlusion.replace(sequence, place, shift, config.vocab_size))
        feed = model.feed(helpers.task_batch("copy", copies))
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
    read_first, read_last = (0, -1) if side == "left" else (-1, 0)
    for moment, values in zip(("before", "after"), percent):
        print(f"{side}, {moment} training: first {values[read_first]:.0f} %, last {values[read_last]:.0f} %")
panels[0].set_ylabel("change of c [% of the largest]")
panels[0].legend(loc="lower right")
figure.suptitle("Training divides the sequence between the two directions")
plt.show()

# %% [markdown]
# Before training, both directions keep nearly everything: their forget gates start open. Training makes each of them
# choose. It keeps best what it read first, and gives up part of the rest to the other direction. Together they hold the
# whole sequence. [memory.md](memory.md) says more about the map.
#
# The page below holds the weights of the four moments and runs the model in your browser. Type a sequence, zero a unit,
# or feed back another symbol. It needs Jupyter; every run saves such a page as `plots/model.html`.

# %%
weights = {moment: np.concatenate([value.ravel() for value in kept[moment]]) for moment in moments}
Path("plots/walkthrough.html").write_text(page.render(model, weights, held_out), encoding="utf-8")
IFrame("/files/plots/walkthrough.html", "100%", 800)

# %% [markdown]
# ## 11. Attention
#
# Attention frees the decoder from remembering. At each step it weights all of the encoder's outputs anew, and reads
# their weighted mean (Bahdanau et al., 2015). Here it is a function around `loop_fn`. The rest of the model stays as it
# is. `fit` is a whole run: it draws batches, trains on them, prints samples on the way, and counts at the end.

# %%
show(fit)
attentive_config = Settings(max_batches=min(1000, BATCHES), batches_in_epoch=500, attention="bahdanau", xla="off")
attentive, _, _ = fit(attentive_config, variants.open_trainer(attentive_config))

# %% [markdown]
# After a third of the batches it makes no error. The weights say where the decoder looked. That is not the same as what
# the answer depends on: each output of the encoder also holds something of the symbols around it. Both are drawn below.

# %%
answer, changes = occlusion.occlusion_map(attentive, sequence)
weights = attentive.session.run(attentive.alignment, attentive.feed(watched))  # [steps, batch, length]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4))
heat_maps.draw_panel(left, sequence, answer, weights[:, 0], names, style={})
left.set(title="weights of attention", ylabel="written")
picture = heat_maps.draw_panel(right, sequence, answer, changes, names, style={})
right.set_title("change of probability")
figure.colorbar(picture, ax=[left, right], shrink=0.7)
figure.suptitle("Where the decoder looks, and what its answer depends on")
plt.show()

# %% [markdown]
# When it writes EOS and PAD, it looks somewhere, but nothing depends on where.
#
# ## 12. Exercises
#
# Each of the six takes a few lines. To change the model, replace one of its `Parts`, not the script. Say what you
# expect before you run your lines. [`experiments/answers.py`](../experiments/answers.py) has an answer to each, which a
# test checks. `python -m experiments.answers` prints what they show; the figures below are from there (seed 0, all else
# at its default).
#
# `Trainer(Model(config, parts))` trains a model of other parts, with `fit`, or on batches of your own with `train`. The
# functions below give a model of other parts the weights of section 8, and count what it has exact.


# %%
def count_exact(model, batch):
    exact, _ = evaluate(model, batch)
    print(f"{exact.sum()} of {exact.size} sequences are exact")


def with_trained_weights(parts):
    """Returns a Model of other parts, whose weights are those after the last batch of section 8."""
    model = Model(config, parts)
    for variable, value in zip(tf.trainable_variables(), kept[BATCHES - 1]):
        variable.load(value, model.session)
    return model


count_exact(with_trained_weights(PLAIN), held_out)

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
# `helpers.decoder_targets` adds EOS and PAD to any matrix of symbols. Only the symbols are reversed: the padding stays
# at the bottom. `train` takes any batches, and `occlusion.occlusion_map` shows what the model has learned.
#
# </details>
# <details><summary>What you should see</summary>
#
# It is as easy as copying: all held-out sequences are exact. The map of memory has the other diagonal.
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
# Past the end of a sequence `raw_rnn` emits zeros. Ten logits of 0 are ten equally likely symbols, which costs ln
# 10. How many steps of a batch are padding?
#
# </details>
# <details><summary>What you should see</summary>
#
# It is 0.53 instead of 0.0003: 22.9 % of the steps are padding, and 0.229 times 2.303 is 0.527. So a loss of 0.53 can
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
# With the trained weights, start each sequence's decoder from the final state of its left neighbour in the batch. What
# does it write?
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
# First, with the trained weights, put the backward state before the forward state. Then, without training anything,
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
# At first hardly any sequence is exact, then as many as before. So a model that is trained from the start with the
# backward state first is the same model with its units in another order. (`backward_first`, `reorder_decoder`)
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
# `make_loop_fn` is given `decoder_targets`. After step `time`, the right symbol is `decoder_targets[time - 1]`. `Model`
# takes the parts of the model that predicts, `Trainer` those of the model that is trained.
#
# </details>
# <details><summary>What you should see</summary>
#
# All are exact, although the model never met its own errors in training. It even learns sooner: after 301 batches,
# `--feedback teacher` has 97.16 % exact, and the default has 79.62 %.
# (`make_teaching_loop_fn`)
#
# </details>

# %%
# your lines
