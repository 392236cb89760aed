"""What the tests of the graph ask of a model besides its predictions."""

from seq2seq_copy import build_model, loss_and_gradients
from support.tensorflow.sharing import reusing


def results_of(model, parts=None):
    """Returns what build_model() returns for the weights of a Model, with loss, and the gradients of the loss.

    parts: a seq2seq_copy.Parts; None for those of the model.
    """
    asked = model.placeholders, model.config, parts or model.parts
    with reusing(model.variables):
        _, gradients = loss_and_gradients(*asked)
        return build_model(*asked), gradients


def losses_of(trainer, batches, rate):
    """Returns the losses of training steps with batches, at a constant learning rate."""
    return [float(loss) for loss, _ in trainer.run(trainer.model.feed(batch, rate) for batch in batches)]
