"""How many batches a call trains on, and their drawing ahead by a thread."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import compiled


def steps_of_calls(done, config, keep_every):
    """Yields how many steps each call of take_steps() makes: up to the next that is to be reported or kept."""
    while done < config.max_batches:
        stops = [-(-done // every) * every + 1 for every in (keep_every, config.batches_in_epoch)]
        before, done = done, min(*stops, config.max_batches, done + compiled.most_steps(config))
        yield done - before


def drawn_ahead(batches, sizes, generator):
    """Draws batches in a thread, while whoever asked for them works with those before.

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
        drawn = None
        for size in sizes:
            drawn, last = thread.submit(draw, size), drawn
            if last is not None:
                yield last.result()
        if drawn is not None:
            yield drawn.result()
