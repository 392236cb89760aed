"""A run from its first batch to its report: the code around seq2seq_copy.train()."""

import itertools
import logging
import time
from functools import partial

import numpy as np
from tqdm import tqdm

import helpers
from helpers import EXTRA_DECODER_STEPS
from seq2seq_copy import evaluate, train
from support.data import pairs
from support.limits import EVALUATION_BATCH, evaluation_batch
from support.model import variants
from support.pictures import pictures
from support.pictures.tensorboard import TensorBoard
from support.run.run import HeldOut, begin, resume
from support.run.whole_files import write_json
from support.tensorflow import device, startup
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.compiled import most_steps
from support.terminal import judge, process, report

LONG_RUN = 1800  # seconds

log = logging.getLogger(__name__)


def run_training(config, user_pairs, path, resumes=False):
    """Trains a new run or a stopped one, the fields of a command.Train; returns the exit status."""
    stop = process.Stop()
    startup.prepare_training(config)
    with process.show_step("importing TensorFlow"):
        startup.import_tensorflow()
    device.choose(config)
    generator, batches, held_out = examples(config, user_pairs)
    with process.show_step("building and compiling the graph"):
        trainer = variants.open_trainer(config)
    with trainer.model.session:
        run = open_run(path, resumes, config, trainer.model, held_out, generator)
        print(report.opening(run, resumes), end="")
        with process.stop_at_signal(stop):
            batches_per_second = train_until_stopped(trainer, batches, run, stop, most_steps(config))
        finish(run, batches_per_second, stop)
    return stop.status


def open_run(path, resumes, config, model, held_out, generator):
    """Begins a run or resumes it, as run.begin() does, and lets pictures and TensorBoard look at it."""
    run = (resume if resumes else begin)(path, config, model, held_out, generator)
    board = TensorBoard(run)
    run.before_checkpoint += [pictures.look_early, board.before_checkpoint]
    run.at_end += [pictures.saves, board.saves]
    return run


def examples(config, user_pairs):
    """Returns the generator of the training data, its endless batches, and the run.HeldOut."""
    training_generator, _, validation_generator = generators = helpers.generators(config.seed)
    if user_pairs:
        pairs.warn_of_untrained(user_pairs, config)
        pairs.warn_of_known_inputs(user_pairs, config)
        batches = pairs.training_batches(user_pairs, config, training_generator)
        validation = pairs.batch(user_pairs, pairs.some_of(user_pairs.validation_lines, EVALUATION_BATCH))
        return training_generator, batches, HeldOut(validation, test=None, pairs=user_pairs)
    batches, test = helpers.examples(config, generators)
    size = min(EVALUATION_BATCH, config.held_out_sequences)
    validation = next(helpers.task_batches(config, size, validation_generator))
    return training_generator, batches, HeldOut(validation, test)


def sizes_of_calls(done, config, most):
    """Yields how many training steps each call makes: up to the next report or checkpoint, but no more than most.

    done steps have been made. The second step is made alone, to see how long one takes.
    """
    while done < config.max_batches:
        # A call ends after the next batch that is a multiple of either.
        ends = [-(-done // every) * every + 1 for every in (config.keep_every, config.batches_in_epoch)]
        before, done = done, min(*ends, config.max_batches, done + (1 if done == 1 else most))
        yield done - before


def train_until_stopped(trainer, batches, run, stop, most):
    """Trains until the last batch, --until or a signal; records, prints and saves on the way.

    stop, a process.Stop, ends training after a call of at most so many steps. Returns batches per second, or None if
    there was none left to train on.
    """
    model, config, history = trainer.model, run.config, run.history
    if has_ended_early(run, stop):  # before the run was killed
        return None
    validate = validation(run)
    done, start, of_evaluation = len(history.rows), time.perf_counter(), 0.0
    with tqdm(total=config.max_batches, initial=done, unit=" batches", disable=None, dynamic_ncols=True) as bar:
        for size in sizes_of_calls(done, config, most):
            started = time.perf_counter()
            for last_batch, *figures in train(trainer, itertools.islice(batches, size), len(history.rows)):
                history.record(last_batch, *figures)
            batch_number, trained = history.rows[-1].batch, time.perf_counter()
            bar.update(size)
            if batch_number == 1:  # made alone; the first one also warms up
                warn_of_a_long_run(config, trained - started, of_evaluation)

            is_kept, is_last = batch_number % config.keep_every == 0, batch_number + 1 == config.max_batches
            if batch_number % config.batches_in_epoch == 0 or is_last:
                samples = report.batch_report(history.rows[-1], last_batch, model.predict(last_batch), config)
                process.write(samples, stop)
            if is_kept or (is_last and config.keep == "best"):
                history.record_evaluation(*validate())
                of_evaluation = time.perf_counter() - trained
            stopped = stop.status  # once: a signal may come between two lines
            if is_kept or is_last or stopped:
                run.save()
            if stopped:
                process.write("training interrupted", stop)
                break
            if has_ended_early(run, stop):
                break
    return (len(history.rows) - done) / (time.perf_counter() - start) or None


def warn_of_a_long_run(config, of_batch, of_evaluation):
    """Says how long a run may take, if that is long, from the seconds of a batch and of an evaluation."""
    seconds = config.max_batches * (of_batch + of_evaluation / config.keep_every)
    if config.data and seconds > LONG_RUN:
        times = f"a batch takes {of_batch:.1f} s and an evaluation {of_evaluation:.1f} s"
        log.warning("%s, so %d batches may take %.1f hours", times, config.max_batches, seconds / 3600)


def has_ended_early(run, stop):
    """Returns whether --until or --patience ends the run, and prints it if so."""
    line = run.early_end()
    if line is not None:
        process.write(line, stop)
    return line is not None


def validation(run):
    """Returns a function that returns the share of the validation set that is exact and, with own data, its loss."""
    model, (batch, _, user_pairs) = run.model, run.held_out
    exact = exact_in(model, user_pairs, batch)
    if user_pairs is None:
        return lambda: (exact(True).mean(), None)
    loss = variants.validation_loss(model)
    return lambda: (exact(True).mean(), mean_loss(model, loss, batch))


def exact_in(model, user_pairs, validation):
    """Returns a function that finds, bool [...], what is exact in a validation set, as the final report counts it.

    Own data counts each input once, and any of its targets is right. The argument of the function says whether
    EVALUATION_BATCH of the sequences are enough.
    """
    if user_pairs is None:
        some, size = helpers.take(validation, 0, EVALUATION_BATCH), evaluation_batch(model.config)
        return lambda few: evaluate(model, some if few else validation, size)[0]
    ask, lines = judge.asker(user_pairs, model), user_pairs.validation_lines
    few_lines = pairs.some_inputs(user_pairs, lines, EVALUATION_BATCH)
    return lambda few: np.array([each.is_right for each in ask(few_lines if few else lines)])


def mean_loss(model, loss, batch):
    """Returns a tensor of the model, the loss of a helpers.Batch that it is fed, as float, over all of the batch."""
    total, size = 0.0, evaluation_batch(model.config)
    for start in range(0, batch.lengths.size, size):
        some = helpers.take(batch, start, start + size)
        steps = (some.target_lengths + EXTRA_DECODER_STEPS).sum()
        total += float(model.session.run(loss, model.feed(some))) * steps
    return total / float((batch.target_lengths + EXTRA_DECODER_STEPS).sum())


def finish(run, batches_per_second, stop):
    """Saves and prints the final figures, then saves answers, pictures and so on. It may be repeated.

    batches_per_second is None if there was no batch left to train on. stop gets exit status 1 if something cannot be
    saved.
    """
    saves = []
    with process.show_step("evaluating"):
        if run.config.keep == "best":
            run.folder.restore_final(run.model.session, run.saver)
        if run.held_out.pairs is None:
            figures = report.figures(run, *evaluate(run.model, run.held_out.test, evaluation_batch(run.config)))
        else:
            judged, saves = judge.judge_run(run)
            figures = report.figures_of_pairs(judged)
        metrics = figures | report.facts(run, batches_per_second)
    path, content = run.folder.path / "metrics.json", metrics | {"tensorflow": tf.__version__}
    are_saved = save_all([partial(write_json, path, content)])
    process.write(f"{report.final_report(metrics)}\n", stop)
    with process.show_step("drawing"):
        saves += [save for make in run.at_end for save in make(run, metrics)]
        if save_all(saves) and are_saved and save_all([run.folder.mark_ended]):
            process.write(report.places(run), stop)
        else:
            log.warning("--resume %r saves what is missing, once it can be written", str(run.folder.path))
            stop.request(1)


def save_all(saves):
    """Calls functions that each save files, and warns of what cannot be saved; returns whether all are saved."""
    are_saved = True
    for save in saves:
        try:
            save()
        except Exception as error:
            log.warning(process.explain(error)[1])
            are_saved = False
    return are_saved
