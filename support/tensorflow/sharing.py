"""Building a model a second time with the variables of the first, whether tf.get_variable() or tf.Variable() made them.

tf.get_variable() finds a variable by its name. tf.Variable(), as in the talk, would make another one. What the first
model has put into collections, such as losses, is hidden from the second, which puts in its own.
"""

import collections
import contextlib

from support.tensorflow import tensorflow_v1 as tf


class Made(collections.defaultdict):
    """What was made when a model was built: a list of variables for each name that was asked for.

    collected: dict from the name of a collection to what was put into it, a list.
    """


@contextlib.contextmanager
def recording(made=None):
    """Yields a Made that fills with what is made inside. made: the Made to fill; None for a new one."""
    made = Made(list) if made is None else made

    def make(next_creator, **options):
        made[options["name"]].append(next_creator(**options))
        return made[options["name"]][-1]

    before = collections_of_graph()
    with tf.variable_creator_scope(make):
        yield made
    made.collected = {name: items[len(before.get(name, [])) :] for name, items in collections_of_graph().items()}


@contextlib.contextmanager
def reusing(made, read=lambda variable: variable):
    """Makes the same code use the variables that it made when it was recorded, in the same order.

    Args:
      made: the Made of recording().
      read: a function from a variable to what the code gets: the variable itself, or its value, which a loop then does
        not read again at each step.
    """
    left = {name: iter(variables) for name, variables in made.items()}

    def make(next_creator, **options):
        variable = next(left.get(options["name"], iter(())), None)
        return next_creator(**options) if variable is None else read(variable)

    def get(getter, *arguments, regularizer=None, **options):
        value = read(getter(*arguments, **options))
        if regularizer is not None:  # get_variable() adds the loss only where it makes a variable
            tf.losses.add_loss(regularizer(value), tf.GraphKeys.REGULARIZATION_LOSSES)
        return value

    scope = tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE, custom_getter=get)
    with hiding(made.collected), tf.variable_creator_scope(make), scope:
        yield


@contextlib.contextmanager
def hiding(collected):
    """Takes items out of the collections of the graph; they are put back afterwards."""
    graph = tf.get_default_graph()
    for name, items in collected.items():
        kept = [item for item in graph.get_collection(name) if not any(item is hidden for hidden in items)]
        graph.get_collection_ref(name)[:] = kept
    try:
        yield
    finally:
        for name, items in collected.items():
            graph.get_collection_ref(name)[:0] = items


def collections_of_graph():
    """Returns what the graph's collections hold, lists by name, except variables and what TensorFlow keeps there."""
    graph, keys = tf.get_default_graph(), tf.GraphKeys
    of_variables = (keys.GLOBAL_VARIABLES, keys.LOCAL_VARIABLES, keys.MODEL_VARIABLES, keys.TRAINABLE_VARIABLES)
    others = (*of_variables, keys.GLOBAL_STEP, keys.WHILE_CONTEXT, keys.COND_CONTEXT)
    names = [name for name in graph.get_all_collection_keys() if isinstance(name, str) and name not in others]
    return {name: graph.get_collection(name) for name in names}
