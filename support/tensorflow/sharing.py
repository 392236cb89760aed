"""Building a model a second time with the variables of the first, whether tf.get_variable() or tf.Variable() made them.

tf.get_variable() finds a variable by its name. tf.Variable(), as in the talk, would make another one.
"""

import collections
import contextlib

from support.tensorflow import tensorflow_v1 as tf


@contextlib.contextmanager
def recording():
    """Yields a dict that fills with all variables that are made inside: a list for each name that was asked for."""
    made = collections.defaultdict(list)

    def make(next_creator, **options):
        made[options["name"]].append(next_creator(**options))
        return made[options["name"]][-1]

    with tf.variable_creator_scope(make):
        yield made


@contextlib.contextmanager
def reusing(made, read=lambda variable: variable):
    """Makes the same code use the variables that it made when it was recorded, in the same order.

    Args:
      made: from recording().
      read: a function from a variable to what the code gets: the variable itself, or with tf.identity its value, which
        a loop then does not read again at each step.
    """
    left = {name: iter(variables) for name, variables in made.items()}

    def make(next_creator, **options):
        variable = next(left.get(options["name"], iter(())), None)
        return next_creator(**options) if variable is None else read(variable)

    def get(getter, *arguments, **options):
        return read(getter(*arguments, **options))

    scope = tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE, custom_getter=get)
    with tf.variable_creator_scope(make), scope:
        yield
