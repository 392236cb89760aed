"""A checkpoint restores a run exactly: tf.train.Saver for the variables, JSON for the rest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from support import outside
from support.errors import UserError
from support.tensorflow import tensorflow_v1 as tf

NAMES, WEIGHTS = "names_sha256", "weights"  # in state.json


def digest_of_names(config):
    """Returns the SHA-256 of how the symbols of a settings.Settings are written, in their order, in hexadecimal."""
    return hashlib.sha256(json.dumps(config.facts.names).encode()).hexdigest()


class Checkpoint(NamedTuple):
    """The folder of a checkpoint."""

    path: Path
    before: str | None = None  # the name of the whole checkpoint before it

    @property
    def batches(self):
        """After how many batches it was written."""
        return int(self.path.name)

    @property
    def model(self):
        """The path of the variables, as TensorFlow wants it."""
        return os.fspath(self.path / "model")

    def save(self, session, saver):
        """Writes all variables. Arguments as for restore(). Raises tf.errors.OpError if that fails."""
        saver.save(session, self.model, write_meta_graph=False, write_state=False)

    def restore(self, session, saver):
        """Sets all variables of the default graph.

        The graph may hold fewer variables than the checkpoint: an export has neither Adam's state nor the step.

        Args:
          session: a tf.Session.
          saver: a tf.train.Saver of all variables.

        Raises:
          UserError: the checkpoint cannot be read, is damaged, or does not fit the model in config.json.
        """
        try:
            for file in self.path.iterdir():
                file.open("rb").close()
        except OSError as error:
            raise UserError(f"cannot read {error.filename!r}: {error.strerror}") from None
        try:
            self.check_variables(tf.global_variables())
            saver.restore(session, self.model)
        except (tf.errors.OpError, ValueError) as error:
            raise self.damage_error(error, "TensorFlow") from error

    def check_variables(self, wanted, symbols=None):
        """Raises UserError if this checkpoint lacks one of some variables, or the default graph one of its weights.

        Args:
          wanted: list of tf.Variable.
          symbols: how many the checkpoint and the graph have, if that may differ: a pair of int.
        """
        saved = tf.train.load_checkpoint(self.model).get_variable_to_shape_map()
        here = {variable.op.name for variable in tf.global_variables()}
        wrong = [f"{name} is only in the checkpoint" for name in self.weights() if name not in here]
        for variable in wanted:
            name, shape = variable.op.name, variable.shape.as_list()
            if name not in saved:
                wrong.append(f"{name} is not in the checkpoint")
            elif len(saved[name]) != len(shape) or {*zip(saved[name], shape)} - {*zip(shape, shape), symbols}:
                wrong.append(f"{name} has another shape")
        if wrong:
            both = f"{str(self.path.parents[1] / 'config.json')!r} and the checkpoint {str(self.path)!r}"
            raise UserError(f"{both} are not of the same model: {wrong[0]}; was the script edited since?")

    def weights(self):
        """Returns the names of the variables of the model that was saved, a list of str; none for an older version."""
        names = self.from_state(WEIGHTS, [])
        return [str(name) for name in names] if isinstance(names, list) else []

    def load_weights(self, session, symbols):
        """Sets the weights to those of another run. The weights of symbols unknown to it stay as they are.

        Args:
          session: a tf.Session.
          symbols: how many that run and this one have, a pair of int.

        Raises:
          UserError: they cannot be read, or belong to another model.
        """
        try:
            self.check_variables(tf.trainable_variables(), symbols)
            reader = tf.train.load_checkpoint(self.model)
            for variable in tf.trainable_variables():
                known, values = reader.get_tensor(variable.op.name), session.run(variable)
                values[tuple(map(slice, known.shape))] = known  # symbols come last, in the order of that run
                variable.load(values, session)
        except (tf.errors.OpError, ValueError) as error:
            raise self.damage_error(error, "TensorFlow") from error

    def write_state(self, generator, history, config, weights=()):
        """Writes all besides the variables. Raises OSError if that fails.

        weights: the names of the model's variables. Other arguments as for read_state().
        """
        state = {"generator": generator.bit_generator.state, **history.state, "settings": config.fixed}
        state |= {NAMES: digest_of_names(config), WEIGHTS: list(weights)}
        (self.path / "state.json").write_text(json.dumps(state), encoding="utf-8")

    def check_names(self, config):
        """Raises UserError if it was written with other names of symbols, or in another order, than a Settings has."""
        digest = digest_of_names(config)
        if self.from_state(NAMES, digest) != digest:
            path = self.path / "state.json"
            raise UserError(f"{str(path)!r} was written with other names of symbols than config.json holds")

    def from_state(self, name, default):
        """Returns a value of state.json, or a default: an older version lacks it; damage is found elsewhere."""
        try:
            return outside.read_json(self.path / "state.json")[name]
        except (OSError, ValueError, TypeError, LookupError):
            return default

    def read_state(self, generator, history, config):
        """Sets the state of a generator, and all of a history except its rows, which have a file of their own.

        Args:
          generator: the np.random.Generator that the training data is drawn from.
          history: the history.History.
          config: the settings.Settings. Those that a run never changes are saved and compared.

        Raises:
          UserError: the file is damaged, or of a run with other settings.
        """
        path = self.path / "state.json"
        try:
            state = outside.read_json(path)
            generator.bit_generator.state = state["generator"]
            history.restore(state)
            settings = dict(state["settings"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise self.damage_error(error, path.name) from error
        for name in settings.keys() & config.fixed.keys():
            if settings[name] != config.fixed[name]:
                raise UserError(
                    f"{str(path)!r} was written with {name} {settings[name]}, but config.json says {config.fixed[name]}"
                )

    def damage_error(self, error, place):
        """Returns the UserError for a checkpoint that cannot be restored, from an exception and where it occurred."""
        message = f"the checkpoint {str(self.path)!r} is damaged ({type(error).__name__} in {place})"
        go_back = f"; delete that folder to go back to checkpoint {self.before}" if self.before else ""
        return UserError(message + go_back)
