"""What makes the model learn: the tutorials' recipe, changed step by step into this script's.

    python -m experiments.recipes

Trains the same model on the same data with each recipe and seeds 0 to 9, two runs at a time, and prints a Markdown
table: exact match on 10,000 held-out sequences after 3,001 batches of 100.
"""

from dataclasses import dataclass, replace

from experiments import common
from seq2seq_copy import PLAIN, LSTMCell, Model, Parts, Trainer, build_model, loss_and_gradients, run_in_session
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

SEEDS = range(10)
NO_CLIPPING = 2.0**100  # a power of two: multiplying by it and dividing by it again changes no number


@dataclass(frozen=True)
class Recipe(Settings):
    """The settings of a run, and other changes to its training. The defaults follow the tutorials."""

    learning_rate: float = 0.001
    warm_up: float = 0.0
    adam_beta2: float = 0.999
    clip_norm: float = NO_CLIPPING
    falls: bool = False  # the learning rate, linearly to 0; else it is constant
    masks: bool = False  # the padding, in the loss
    one_encoder_cell: bool = True  # for both directions, which then share their weights
    embeddings: float = 1.0  # the initial embeddings are drawn from [-1, 1] times this
    output_weights: float = 1.0  # the same for the output weights
    forget_bias: float = 1.0  # at first


CHANGES = {  # what each recipe changes in the one before
    "the tutorials: one encoder cell, Adam, learning rate 0.001, padding counted in the loss": {},
    "a cell for each direction": {"one_encoder_cell": False},
    "and learning rate 0.015": {"learning_rate": 0.015},
    "and falling linearly to 0": {"falls": True},
    "and beta2 = 0.95": {"adam_beta2": 0.95},
    "and padding masked, gradients clipped": {"masks": True, "clip_norm": 1.0},
    "and larger output weights, smaller embeddings at first": {"output_weights": 2.5, "embeddings": 0.2},
    "and forget gates open at first": {"forget_bias": 4.0},
    "and learning rate 0.03": {"learning_rate": 0.03},
    "and rising to it: this script with --xla off": {"warm_up": 0.1},
}


def open_trainer(recipe):
    """Returns a seq2seq_copy.Trainer that follows a Recipe."""
    model = Model(recipe, Parts(cell=share_encoder_cell) if recipe.one_encoder_cell else PLAIN)
    scales = {
        "embedding/embeddings": recipe.embeddings / 0.2,
        "decoder/output_weights": recipe.output_weights / 2.5,
        "lstm_cell/bias": recipe.forget_bias / 4,
    }
    for weights in tf.trainable_variables():
        for name, scale in scales.items():
            if weights.op.name.endswith(name):
                weights.load(scale * model.session.run(weights), model.session)
    return Trainer(model, runner=run_recipe)


def run_recipe(step, model):
    """Does the same as run_in_session(), with the loss and the learning rates of model.config, a Recipe."""
    recipe = model.config

    def step_of_recipe(batch, learning_rate):
        compute = loss_and_gradients if recipe.masks else unmasked_loss_and_gradients
        return step(batch, learning_rate if recipe.falls else recipe.learning_rate, compute=compute)

    return run_in_session(step_of_recipe, model)


def share_encoder_cell(name, units, input_size):
    """Replaces LSTMCell: the tutorials pass one cell for both directions, which today means one set of weights."""
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        return LSTMCell("forward" if name == "backward" else name, units, input_size)


def unmasked_loss_and_gradients(batch, config, parts):
    """Replaces loss_and_gradients(): averages the cross-entropy over all steps, as the tutorials do.

    They project after the loop, so past the end of a sequence zeros become the bias, which soon predicts PAD.
    """
    results = build_model(batch, config, parts)
    (output_bias,) = tf.trainable_variables("decoder/output_bias")
    mask = tf.transpose(tf.sequence_mask(results["decoder_lengths"], tf.shape(batch.targets)[0], tf.float32))
    logits = results["decoder_logits"] + (1 - mask)[:, :, tf.newaxis] * output_bias  # [decoder_time, batch, vocab_size]
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch.targets, logits=logits))
    return loss, [tf.convert_to_tensor(gradient) for gradient in tf.gradients(loss, tf.trainable_variables())]


def exact_match(recipe):
    """Trains with a recipe; returns the share of 10,000 held-out sequences that are repeated exactly."""
    _, _, exact = common.fit(recipe, open_trainer(recipe))
    return exact.mean()


def rows():
    recipe, futures = Recipe(), {}
    with common.two_processes() as processes:
        for title, changes in CHANGES.items():
            recipe = replace(recipe, **changes)
            futures[title] = [processes.submit(exact_match, replace(recipe, seed=seed)) for seed in SEEDS]
        for title, runs in futures.items():
            yield [title, *common.spread([run.result() for run in runs])]


def main():
    common.parser(__doc__).parse_args()
    common.print_table([f"recipe, seeds {SEEDS[0]} to {SEEDS[-1]}", "median", "worst", "best"], rows())


if __name__ == "__main__":
    main()
