"""What the state between encoder and decoder holds, and how.

    python -m experiments.memory             three seeds
    python -m experiments.memory --seeds 1   one seed

Trains the default model, and a GRU that reads from left to right only, which is closer to the model of Csordás et al.,
"Recurrent neural networks learn to store and generate sequences using non-linear representations", 2024. Then:

- reads each symbol off the final state of the encoder, by position and length, with linear readouts;
- reads them one after the other, each time subtracting what the symbols just read had added ("peeling");
- exchanges one symbol in the state, runs the decoder from it, and counts which of its outputs change.

Everything is fitted on 8,000 random sequences of each length, and tested on others: 2,000 for the readouts, and the
first 500 of these that the model copies exactly for the exchange. Prints Markdown tables, and saves
plots/memory-state.png.
"""

from pathlib import Path

import numpy as np

from experiments import common, states
from experiments.common import percent, print_table
from experiments.exchange import OUTCOMES, Opened, exchange, ways_to_exchange
from support.pictures import heat_maps, pictures

SEEDS = 3
FITTED, ASKED = 8000, 2000  # sequences
EXCHANGED_LENGTHS = (3, 5, 8)
MODELS = {
    "LSTM, both directions": {},
    "GRU, forward": {"cell": "gru", "encoder": "forward", "encoder_hidden_units": 40},
}


def examine(settings, seed):
    """Trains a model and asks it all questions; returns dict from the title of a question to an array or a number."""
    opened, generator = Opened(settings, seed), np.random.default_rng(1_000_000 + seed)
    config, found = opened.model.config, {"exact match": opened.exact_match}
    fitted, asked = {}, {}  # by length, states and symbols
    for length in range(config.length_from, config.length_to + 1):
        for drawn, count in ((fitted, FITTED), (asked, ASKED)):
            symbols = generator.integers(opened.kinds, size=(count, length))
            drawn[length] = opened.encode(symbols), symbols
    for length in EXCHANGED_LENGTHS:
        ways = ways_to_exchange(opened, *fitted[length], generator)
        found["exchange", length] = exchange(opened, ways, *asked[length], generator)
        found["ways"] = [*ways, "the changed sequence, encoded"]
    return found | readings(fitted, asked, opened.kinds) | structure(fitted, asked, opened.kinds, generator)


def readings(fitted, asked, kinds):
    """Returns the shares of symbols read correctly from the state: dict from a title to float [positions]."""
    found = {}
    for length, (vectors, symbols) in asked.items():
        found["linear", length] = (states.read(*fitted[length], vectors, kinds) == symbols).mean(axis=0)
    for title, from_end in (("from the start", False), ("from the end", True)):
        found[title] = states.read_at_all_lengths(list(fitted.values()), list(asked.values()), kinds, from_end)
    longest = (*fitted[length], vectors, kinds)
    answers = {
        "logistic": states.read(*longest, fit=states.logistic),
        "peeled": states.peel(*longest),
        "peeled from the end": states.peel(*longest, from_end=True),
    }
    return found | {title: (read == symbols).mean(axis=0) for title, read in answers.items()}


def structure(fitted, asked, kinds, generator):
    """Returns measures of the effects of the symbols on the state, in the longest sequences."""
    longest = max(fitted)
    added = states.effects(*fitted[longest], kinds)  # [positions, kinds, size]
    shuffled = np.stack([generator.permutation(effects) for effects in added])
    return {
        "size of the effects": np.sqrt((added**2).sum(axis=2).mean(axis=1)),
        "likeness": states.likeness(added),
        "a sum of effects": states.explained(*fitted[longest], *asked[longest], kinds),
        "a sum of effects and of those of pairs": states.explained(*fitted[longest], *asked[longest], kinds, True),
        "scale x symbol": states.share_of_scaled(added),
        "scale x symbol, symbols shuffled": states.share_of_scaled(shuffled),
    }


def median(runs, title):
    return np.median([run[title] for run in runs], axis=0)


def percents(shares):
    return [percent(share, 1) for share in shares]


def print_tables(title, runs):
    """Prints the results for a model: medians over the seeds."""
    lengths = sorted(key[1] for key in runs[0] if key[0] == "linear")
    longest, ways = lengths[-1], runs[0]["ways"]
    exact = ", ".join(percent(run["exact match"]) for run in runs)
    print(f"### {title}\n\nExact match on held-out sequences: {exact}.\n")
    questions = {f"linear, length {length}": ("linear", length) for length in lengths}
    questions |= {f"one readout for all lengths, counted {end}": end for end in ("from the start", "from the end")}
    questions |= {f"{kind}, length {longest}": kind for kind in ("logistic", "peeled", "peeled from the end")}
    rows = [[question, *percents(median(runs, key))] for question, key in questions.items()]
    rows.append(["size of the effect of a symbol", *(f"{size:.2f}" for size in median(runs, "size of the effects"))])
    head = ["symbols read, by position", *range(1, longest + 1)]
    print_table(head, [row + [""] * (len(head) - len(row)) for row in rows])

    shares = [median(runs, ("exchange", length)).mean(axis=1) for length in EXCHANGED_LENGTHS]  # [ways, outcomes] each
    rows = [[way, *percents(outcomes)] for way, outcomes in zip(ways, shares[-1])]
    print_table([f"exchange, length {longest}", *OUTCOMES], rows)
    rows = [[way, *percents(by_length)] for way, by_length in zip(ways, np.transpose(shares)[-1])]
    print_table([f"{OUTCOMES[-1]}, by length", *EXCHANGED_LENGTHS], rows)

    beside = np.mean([run["likeness"].diagonal(1).mean() for run in runs])
    print(f"Likeness of the effects of a symbol at neighbouring positions (mean cosine): {beside:.2f}.")
    for kind in ("a sum of effects", "a sum of effects and of those of pairs"):
        print(f"Share of the variance of the state that {kind} explains: {percent(median(runs, kind), 1)}.")
    for kind in ("scale x symbol", "scale x symbol, symbols shuffled"):
        print(f"Share of the effects that has the form {kind}: {percent(median(runs, kind), 1)}.")
    print(flush=True)


def picture(results):
    """Draws readouts, exchange and likeness at the longest length, a row for each model."""
    figure = heat_maps.new_figure(13, 4 * len(results) + 1)
    for (title, runs), row in zip(results.items(), figure.subplots(len(results), 3, squeeze=False)):
        readouts, exchanges, likeness = row
        longest = len(runs[0]["peeled"])
        positions = np.arange(1, longest + 1)

        def draw(axes, values, label, style, positions=positions):
            common.plot_spread(axes, positions, 100 * np.array(values), style, label=label)

        draw(readouts, [run["linear", longest] for run in runs], "linear: discriminant analysis", "o-")
        draw(readouts, [run["logistic"] for run in runs], "linear: logistic regression", "s--")
        draw(readouts, [run["peeled"] for run in runs], "one after the other (peeled)", "^-")
        readouts.axhline(100 / 8, color="gray", linestyle=":", label="by chance")
        readouts.legend(fontsize=8, loc="lower center")
        readouts.set_ylabel("right [%]")
        readouts.set_title(f"{title}: symbols read off the state", fontsize=10)

        styles = ("v:", "o-", "s-", "^-", "d-", "x:", "+:", "-.")
        for index, (way, style) in enumerate(zip(runs[0]["ways"], styles)):
            draw(exchanges, [run["exchange", longest][index, :, 2] for run in runs], way, style)
        exchanges.set_ylabel("only that output changes, as intended [%]")
        exchanges.set_title(f"{title}: exchange of one symbol", fontsize=10)
        for axes in (readouts, exchanges):
            axes.set(xlabel=f"position, in sequences of {longest}", ylim=(-2, 103))
            axes.grid(alpha=0.3)

        extent = (0.5, longest + 0.5, longest + 0.5, 0.5)
        mean = np.mean([run["likeness"] for run in runs], axis=0)
        image = likeness.imshow(mean, cmap="RdBu_r", vmin=-1, vmax=1, extent=extent)
        figure.colorbar(image, ax=likeness, label="mean cosine", shrink=0.8)
        likeness.set(xticks=positions, yticks=positions, xlabel="position", ylabel="position")
        likeness.set_title(f"{title}: likeness of a symbol's effects", fontsize=10)
    ways = exchanges.get_legend_handles_labels()
    figure.legend(*ways, loc="outside lower center", ncols=4, title="exchange", fontsize=9)
    figure.suptitle(f"What the state holds, and how: median and range of seeds 0 to {len(runs) - 1}")
    return figure


def main():
    seeds = range(common.parser(__doc__, SEEDS).parse_args().seeds)
    results = {}
    for title, settings in MODELS.items():
        results[title] = [examine(settings, seed) for seed in seeds]
        print_tables(title, results[title])
    pictures.save(picture(results), Path("plots/memory-state.png"))


if __name__ == "__main__":
    main()
