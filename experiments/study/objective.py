"""What a trial does: it trains with several seeds and counts the errors."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import numpy as np
import optuna

import helpers
from experiments.study import space, trainer
from support.data import pairs

FIRST_SEED = 1000  # of the search; the reports of this project are of seeds 0 to 9
FIRST_FRESH_SEED = 2000  # of the finals
VALIDATION_STREAM = 1  # joins the seed; a run of the script has only the seed
MOST_VALIDATION = 50_000  # sequences; many, because few of them are wrong
VALIDATION_SHARE = 1 / 6  # as many, at most, of those that are trained on
PART = 5  # half-way, this part of them will do
MOST_KEPT = 2_000_000  # training sequences whose batches stay in memory


class Objective:
    """log10 of the share of validation sequences that are not exact, averaged over seeds. The lower the better.

    The logarithm, because halving the errors should count the same from 1 % as from 0.1 %. Near 100 %, the mean of the
    exact match would be that of the unluckiest seed.
    """

    def __init__(self, config, user_pairs, names, seeds, stops=()):
        """
        Args:
          config: the settings.Config of a run that is not tuned. Its seed decides which of the user's pairs that run
            holds out. They are never looked at here.
          user_pairs: a pairs.Pairs, or None for random sequences.
          names: of the parameters that are searched.
          seeds: what each trial trains with.
          stops: a list that a signal handler fills, to end a trial by KeyboardInterrupt between two batches. A process
            that ends anywhere could leave the journal locked, and its semaphores behind.
        """
        self.config, self.user_pairs, self.names, self.seeds, self.stops = config, user_pairs, names, seeds, stops
        self.trainer = functools.cache(lambda size: trainer.Trainer(space.with_batch_size(config, size)))
        self.initial_weights = functools.cache(lambda seed: trainer.initial_weights(replace(config, seed=seed)))
        self.validation = functools.cache(self.validation)
        self.kept_batches = functools.cache(lambda *arguments: list(self.batches(*arguments)))

    def __call__(self, trial):
        settings = space.suggest(trial, self.config, self.names)
        errors = []
        for index, seed in enumerate(self.seeds):
            for checkpoint, error in enumerate(self.train(settings, seed)):
                trial.report(np.log10([*errors, error]).mean(), 2 * index + checkpoint)
                if trial.should_prune():
                    raise optuna.TrialPruned
            errors.append(error)
        trial.set_user_attr("errors", errors)
        return np.log10(errors).mean()

    def train(self, settings, seed):
        """Trains once; yields the error half-way, on a part of the validation sequences, and that at the end."""
        model = self.trainer(settings["batch_size"])
        model.reset(settings, trainer.scaled(self.initial_weights(seed), settings))
        sequences, _ = self.validation(seed)
        few = self.config.batch_size * self.config.max_batches <= MOST_KEPT
        batches = iter((self.kept_batches if few else self.batches)(seed, settings["batch_size"]))
        for steps, part in ((model.config.max_batches // 2, PART), (None, 1)):
            is_finite = model.train(self.until_stopped(itertools.islice(batches, steps)))
            validation = helpers.columns(sequences, 0, -(-sequences.lengths.size // part))
            yield model.error(validation) if is_finite else 1.0

    def until_stopped(self, batches):
        for batch in batches:
            if self.stops:
                raise KeyboardInterrupt
            yield batch

    def batches(self, seed, batch_size):
        """Returns an iterator over the training batches of a run with that seed."""
        config = space.with_batch_size(replace(self.config, seed=seed), batch_size)
        generator, _ = np.random.default_rng(seed).spawn(2)
        if self.user_pairs is None:
            batches = helpers.task_batches(config, batch_size, generator)
        else:
            _, lines = self.validation(seed)
            draws = (generator.choice(lines, batch_size) for _ in itertools.count())
            batches = (pairs.batch(self.user_pairs, draw, config.extra_decoder_steps) for draw in draws)
        return itertools.islice(batches, config.max_batches)

    def validation(self, seed):
        """Returns the validation sequences of a seed, a helpers.Batch, and which of the user's pairs to train on."""
        generator = np.random.default_rng([seed, VALIDATION_STREAM])
        most = min(MOST_VALIDATION, max(1, int(VALIDATION_SHARE * self.config.batch_size * self.config.max_batches)))
        if self.user_pairs is None:
            return next(helpers.task_batches(self.config, most, generator)), None
        _, held_out_generator = np.random.default_rng(self.config.seed).spawn(2)
        usable, _ = pairs.split(self.user_pairs, self.config.held_out_sequences, held_out_generator)
        rest = self.user_pairs._replace(input_hashes=self.user_pairs.input_hashes[usable])
        training, validation = pairs.split(rest, most, generator)
        return pairs.batch(self.user_pairs, usable[validation], self.config.extra_decoder_steps), usable[training]
