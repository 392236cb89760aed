"""What a run prints: the block while it trains, and its final figures."""

import platform
import shlex

import numpy as np

from helpers import PAD, decoder_targets
from support import outside
from support.errors import counted
from support.limits import EVALUATION_BATCH
from support.pictures import page, pictures
from support.settings import FOR_PAIRS, flag
from support.terminal.process import PROGRAM

MOST_LINES = 30  # of the exact match by length


def opening(run, resumes):
    """Returns the text printed before training: about the user's own data, and what is resumed."""
    data = f"{data_report(run.held_out.pairs, run.config)}\n" if run.held_out.pairs else ""
    resuming = f"resuming {run.folder.path} after {counted(run.saved, 'batch')}"
    return data + f"{outside.printable(resuming)}\n\n" * resumes


def decimals(loss):
    """Returns a loss with four decimals, or two digits if it is too small for them."""
    return f"{loss:.4f}" if loss >= 0.001 else f"{loss:.1e}"


def data_report(pairs, config):
    """Returns the text printed before training about the files of a pairs.Pairs."""
    of_data = [pairs.training_lines.size]
    of_data += [] if config.validation_data else [pairs.validation_lines.size]
    of_data += [] if config.test_data or config.validation_data else [pairs.test_lines.size]
    hashes = pairs.input_hashes[: sum(of_data)]
    repeated = hashes.size - np.unique(hashes).size
    repetitions = f"{counted(repeated, 'line')} with an earlier line's input; " if repeated else ""
    test = f", {pairs.test_lines.size} for the test" if pairs.test_lines.size else ""
    return (
        f"{counted(pairs.training_lines.size, 'pair')} to learn, {pairs.validation_lines.size} for validation{test}; "
        f"{repetitions}{counted(len(pairs.names), 'symbol')}; inputs of {config.length_from} to "
        f"{counted(config.length_to, 'symbol')}, decoded in up to {config.decoder_steps} steps\n"
        f"{' '.join(f'{flag(name)} {getattr(config, name)}' for name in [*FOR_PAIRS, 'max_batches'])}\n"
    )


def batch_report(row, batch, prediction, config):
    """Returns the text printed while training.

    Args:
      row: the history.Row of the batch. Its loss is from before the update.
      batch: the helpers.Batch.
      prediction: int32 [decoder_time, batch], made after the update. The targets may be padded further.
      config: the settings.Settings.
    """
    names, targets = config.vocabulary, batch.targets[: len(prediction)]
    is_copy = config.data is None and np.array_equal(batch.targets, decoder_targets(batch.inputs, batch.lengths))
    lines = [f"batch {row.batch}", f"  minibatch loss: {decimals(row.loss)}"]
    for sample in range(min(config.samples, batch.lengths.size)):
        inputs, target, predicted = (rows[:, sample] for rows in (batch.inputs, targets, prediction))
        wrong = np.flatnonzero(predicted != target)
        lines += [f"  sample {sample + 1}:", f"    input     > {show_without_pad(inputs, names)}"]
        lines += [] if is_copy else [f"    target    > {show_without_pad(target, names)}"]
        mark = f"  wrong at {wrong[0] + 1}" if wrong.size else ""
        lines += [f"    predicted > {show_without_pad(predicted, names)}{mark}"]
    return "\n".join(lines) + "\n"


def show(sequence, names):
    """Returns a sequence as text, like [5 7 8]. names is a list of str: how each symbol is written."""
    return bracketed(names[symbol] for symbol in sequence)


def bracketed(spelled):
    """Returns symbols that are written, an iterable of str, as text."""
    return f"[{outside.printable(' '.join(spelled))}]"


def show_without_pad(sequence, names):
    """Does the same as show(), without the PADs at the end."""
    return show(np.trim_zeros(sequence, "b"), names)


def facts(run, batches_per_second):
    """Returns what metrics.json holds about a run besides its figures, a dict in the types of JSON.

    Args:
      run: the run.Run.
      batches_per_second: float, or None if there was no batch left to train on.
    """
    return {
        "batches": len(run.history.rows),
        "final_batch": run.final_batch,
        "batch_size": run.config.batch_size,
        "loss": float(run.history.rows[-1].loss),
        "seed": run.config.seed,
        "batches_per_second": batches_per_second,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def share(hits):
    """Returns how many of some sequences are right, in the types of JSON. hits: bool [sequences]."""
    return {"share": float(hits.mean()) if hits.size else None, "exact": int(hits.sum()), "sequences": hits.size}


def figures(run, exact, correct_tokens):
    """Returns the figures of random sequences, a dict for final_report() and metrics.json. A share of nothing is None.

    exact, bool [sequences], and correct_tokens, int [sequences], are the results of evaluate() for all that are held
    out.
    """
    history, held_out = run.history, run.held_out.test
    never_seen = np.array([key in history.unseen for key in history.fingerprints])
    return {
        "exact_match": share(exact),
        "exact_match_never_seen": share(exact[never_seen]),
        "exact_match_by_length": {
            str(length): share(exact[held_out.lengths == length]) for length in np.unique(held_out.lengths)
        },
        "token_accuracy": correct_tokens.sum() / (held_out.targets != PAD).sum(),
    }


def figures_of_pairs(judged):
    """Does the same for own pairs. judged: the result of judge.judge_run()."""
    reported = judged.get("test", judged["validation"])
    return judged | {name: reported[name] for name in ("exact_match", "exact_match_by_length", "symbol_error_rate")}


def line(title, match):
    """Returns a line of the final report."""
    share = f"{match['share']:8.2%}" if match["sequences"] else " " * 7 + "-"
    return f"  {title:<22}  {share}  ({match['exact']} of {match['sequences']})"


def report_of_pairs(figures, title):
    """Returns the lines about some of the user's own pairs. figures: the result of judge.figures()."""
    lines = [outside.printable(title), line("exact match", figures["exact_match"])]
    among = {name.rpartition("_")[2]: match for name, match in figures.items() if name.startswith("right_among_")}
    lines += [line(f"among the first {n_best}", match) for n_best, match in among.items()]
    lines.append(f"  {'symbol error rate':<22}  {figures['symbol_error_rate']:8.2%}")
    for side in ("inputs", "targets"):
        if number := figures[f"{side}_with_unknown_symbols"]:
            lines.append(f"  {counted(number, side[:-1])} with symbols that the model does not know, counted as wrong")
    return lines


def final_report_of_pairs(metrics):
    """Returns the figures of the user's own pairs, as lines: of the test first, if there is one."""
    first, *others = [name for name in ("test", "validation", "trained") if name in metrics]
    by_length = in_few_lines(metrics[first]["exact_match_by_target_length"])
    lines = report_of_pairs(metrics[first], title_of(first, metrics))
    lines += ["  exact match by length of the target", *(line(f"  {lengths}", match) for lengths, match in by_length)]
    for name in others:
        lines += ["", *report_of_pairs(metrics[name], title_of(name, metrics))]
    return lines


def title_of(name, metrics):
    """Returns the title of the figures of a set of the user's own pairs."""
    inputs = metrics[name]["exact_match"]["sequences"]
    return counted(inputs, "input") + " trained on" if name == "trained" else counted(inputs, f"{name} input")


def final_report(metrics):
    """Returns the text printed at the end, from a dict as in metrics.json."""
    batch_size, loss = metrics["batch_size"], decimals(metrics["loss"])
    heading = f"loss {loss} after {counted(metrics['batches'] * batch_size, 'example')} (batch_size={batch_size})"
    if metrics["final_batch"] < metrics["batches"] - 1:
        heading += f"; the figures are of the best weights, from batch {metrics['final_batch']}"
        if "validation" in metrics:
            chosen_by = min(EVALUATION_BATCH, metrics["validation"]["exact_match"]["sequences"])
            heading += f", chosen by {counted(chosen_by, 'validation input')}"
    if "validation" in metrics:
        return "\n".join([heading, "", *final_report_of_pairs(metrics)])
    return "\n".join(
        [
            heading,
            "",
            counted(metrics["exact_match"]["sequences"], "held-out sequence"),
            line("exact match", metrics["exact_match"]),
            line("never seen in training", metrics["exact_match_never_seen"]),
            f"  token accuracy          {metrics['token_accuracy']:8.2%}  (symbols and EOS)",
            "  exact match by length",
            *(line(f"  {lengths}", match) for lengths, match in in_few_lines(metrics["exact_match_by_length"])),
        ]
    )


def places(run):
    """Returns the lines that say where a run.Run has left its pictures, its page and all else, and how it goes on."""
    loss, *others, model = pictures.paths(run.config).items()
    lines = [f"loss curve in {loss[1]}, the run in {run.folder.path}", *(f"{name} in {path}" for name, path in others)]
    lines.append(page.why_none(run.config) or f"look inside: {model[1]}")
    if len(run.history.rows) < run.config.max_batches and run.early_end() is None:
        lines.append(f"to go on: python {PROGRAM} --resume {shlex.quote(str(run.folder.path))}")
    return "\n".join(map(outside.printable, lines))


def in_few_lines(by_length):
    """Returns (title, match) for each length, or for ranges of lengths if there are very many."""
    if len(by_length) <= MOST_LINES:
        return list(by_length.items())
    ranges = []
    for lengths in np.array_split(list(by_length), MOST_LINES // 2):
        matches = [by_length[length] for length in lengths]
        exact, sequences = (sum(match[name] for match in matches) for name in ("exact", "sequences"))
        match = {"share": exact / sequences, "exact": exact, "sequences": sequences}
        ranges.append((f"{lengths[0]} to {lengths[-1]}", match))
    return ranges
