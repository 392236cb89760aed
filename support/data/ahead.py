"""Batches drawn by a thread while the model trains on the ones before."""

import itertools
from concurrent.futures import ThreadPoolExecutor


def sizes_of_calls(done, config, most_steps):
    """Yields how many training steps each call makes: at most most_steps, and up to the next that is shown or kept.

    Args:
      done: int, the steps that have been made.
      config: a settings.Config.
      most_steps: int.
    """
    while done < config.max_batches:
        stops = [-(-done // every) * every + 1 for every in (config.keep_every, config.batches_in_epoch)]
        before, done = done, min(*stops, config.max_batches, done + most_steps)
        yield done - before


def drawn_ahead(batches, sizes, generator):
    """Draws batches in a thread, while the consumer works with the ones before.

    Args:
      batches: iterator over batches.
      sizes: iterable of int, how many batches to yield together each time.
      generator: the np.random.Generator that the batches are drawn from.

    Yields:
      A list of batches, and the state of the generator right after them.
    """

    def draw(size):
        return list(itertools.islice(batches, size)), generator.bit_generator.state

    with ThreadPoolExecutor(max_workers=1) as thread:
        next_draw = None
        for size in sizes:
            next_draw, last_draw = thread.submit(draw, size), next_draw
            if last_draw is not None:
                yield last_draw.result()
        if next_draw is not None:
            yield next_draw.result()
