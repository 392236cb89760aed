"""What a run prints: the block while it trains, and its final figures."""

import platform

import numpy as np

from helpers import PAD
from support import outside
from support.errors import counted
from support.pictures import page, pictures

MOST_LINES = 30  # of the exact match by length


def opening(run, user_pairs, resumes):
    """Returns the text printed before training: about the user's own data, and what is resumed.

    Args:
      run: the run.Run.
      user_pairs: the pairs.Pairs; None for random sequences.
      resumes: bool, whether the run was stopped.
    """
    data = f"{data_report(user_pairs, run.held_out, run.config)}\n" if user_pairs else ""
    resuming = f"resuming {run.folder.path} after {counted(run.saved, 'batch')}"
    return data + f"{outside.printable(resuming)}\n\n" * resumes


def decimals(loss):
    """Returns a loss with four decimals, or two digits if it is too small for them."""
    return f"{loss:.4f}" if loss >= 0.001 else f"{loss:.1e}"


def data_report(pairs, held_out, config):
    """Returns the text printed about a file of pairs, before training.

    Args:
      pairs: the pairs.Pairs of the file.
      held_out: the helpers.Batch of the held-out ones.
      config: the settings.Settings.
    """
    learned, held_out_pairs = pairs.training_lines.size, held_out.lengths.size
    of_data = pairs.input_hashes[: learned if config.validation_data else learned + held_out_pairs]
    repeated = of_data.size - np.unique(of_data).size
    repetitions = f"{counted(repeated, 'line')} with the input of an earlier one; " if repeated else ""
    return (
        f"{counted(learned, 'pair')} to learn, {held_out_pairs} held out; {repetitions}"
        f"{counted(len(pairs.names), 'symbol')}; inputs of {config.length_from} to "
        f"{counted(config.length_to, 'symbol')}, decoded in up to {config.decoder_steps} steps\n"
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
    lines = [f"batch {row.batch}", f"  minibatch loss: {decimals(row.loss)}"]
    for sample in range(min(config.samples, batch.lengths.size)):
        inputs, target, predicted = (rows[:, sample] for rows in (batch.inputs, targets, prediction))
        wrong = np.flatnonzero(predicted != target)
        lines += [f"  sample {sample + 1}:", f"    input     > {show_without_pad(inputs, names)}"]
        lines += [f"    target    > {show_without_pad(target, names)}"] if config.data else []
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


def metrics(run, exact, correct_tokens, batches_per_second):
    """Gathers the final figures of a run, for final_report() and metrics.json.

    Args:
      run: the run.Run.
      exact: bool [sequences], correct_tokens: int [sequences], the results of evaluate() for all held-out sequences.
      batches_per_second: float, or None if there was no batch left to train on.

    Returns:
      dict in the types of JSON. Shares are in 0 ... 1, or None where there is no sequence.
    """
    config, history, held_out = run.config, run.history, run.held_out
    lengths = held_out.lengths
    never_seen = np.array([key in history.unseen for key in history.fingerprints])

    def share(hits):
        return {"share": hits.mean() if hits.size else None, "exact": int(hits.sum()), "sequences": hits.size}

    return {
        "batches": len(history.rows),
        "batch_size": config.batch_size,
        "loss": float(history.rows[-1].loss),
        "exact_match": share(exact),
        "exact_match_never_seen": share(exact[never_seen]),
        "exact_match_by_length": {str(length): share(exact[lengths == length]) for length in np.unique(lengths)},
        "token_accuracy": correct_tokens.sum() / (held_out.targets != PAD).sum(),
        "seed": config.seed,
        "batches_per_second": batches_per_second,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def metrics_of_pairs(figures):
    """Returns the part of metrics() about the user's own pairs. figures: those of judge.judge_run()."""
    held_out = figures["held_out"]
    return figures | {name: held_out[name] for name in ("exact_match", "exact_match_by_length", "symbol_error_rate")}


def line(title, match):
    """Returns a line of the final report."""
    share = f"{match['share']:8.2%}" if match["sequences"] else " " * 7 + "-"
    return f"  {title:<22}  {share}  ({match['exact']} of {match['sequences']})"


def report_of_pairs(figures, title):
    """Returns the lines about some of the user's own pairs. figures: the result of judge.figures()."""
    lines = [outside.printable(title), line("exact match", figures["exact_match"])]
    lines.append(f"  {'symbol error rate':<22}  {figures['symbol_error_rate']:8.2%}")
    for side in ("inputs", "targets"):
        if number := figures[f"{side}_with_unknown_symbols"]:
            lines.append(f"  {counted(number, side[:-1])} with symbols that the model does not know, so wrong")
    return lines


def final_report_of_pairs(metrics):
    """Returns the figures of the user's own pairs, as lines."""
    held_out, trained = metrics["held_out"], metrics["trained"]
    inputs = held_out["exact_match"]["sequences"]
    by_length = in_few_lines(held_out["exact_match_by_target_length"])
    lines = report_of_pairs(held_out, counted(inputs, "held-out input"))
    lines += ["  exact match by length of the target", *(line(f"  {lengths}", match) for lengths, match in by_length)]
    asked_again = counted(trained["exact_match"]["sequences"], "input")
    lines += ["", *report_of_pairs(trained, f"{asked_again} of the pairs trained on")]
    if "test" in metrics:
        inputs = counted(metrics["test"]["exact_match"]["sequences"], "input")
        lines += ["", *report_of_pairs(metrics["test"], f"{inputs} of the test data")]
    return lines


def final_report(metrics):
    """Returns the text printed at the end, from the result of metrics()."""
    batch_size, loss = metrics["batch_size"], decimals(metrics["loss"])
    heading = f"loss {loss} after {counted(metrics['batches'] * batch_size, 'example')} (batch_size={batch_size})"
    if "held_out" in metrics:
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
    """Returns the lines that say where a run.Run has left its pictures, its page and everything else."""
    loss, *others, model = pictures.paths(run.config).items()
    lines = [f"loss curve in {loss[1]}, all else in {run.folder.path}", *(f"{name} in {path}" for name, path in others)]
    lines.append(page.why_none(run.config) or f"look inside: {model[1]}")
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
