"""The figures and the picture, on cases worked out by hand."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from xml.dom import minidom

import matplotlib
import numpy as np
import pytest

import helpers
from support.pictures import heat_maps, pictures
from support.run.history import History, Row
from support.run.run import HeldOut
from support.settings import DataFacts, Settings
from support.terminal import report

CONFIG = Settings(batch_size=5, seed=7)
HELD_OUT = helpers.task_batch("copy", [[2, 3], [4, 5, 6], [7, 8], [9, 9, 9]])


def metrics():
    history = History(HELD_OUT)
    history.rows = [Row(0, 2.0, 1.0, 0.1), Row(1, 0.5, 1.0, 0.05)]
    history.unseen.remove(history.fingerprints[3])
    run = SimpleNamespace(config=CONFIG, history=history, held_out=HeldOut(HELD_OUT, HELD_OUT), final_batch=1)
    exact = np.array([True, False, False, True])
    correct_tokens = np.array([3, 2, 2, 4])
    return report.figures(run, exact, correct_tokens) | report.facts(run, 9.0)


def test_metrics():
    result = metrics()
    assert (result["batches"], result["loss"], result["seed"], result["batches_per_second"]) == (2, 0.5, 7, 9.0)
    assert result["exact_match"] == {"share": 0.5, "exact": 2, "sequences": 4}
    assert result["exact_match_never_seen"] == {"share": pytest.approx(1 / 3), "exact": 1, "sequences": 3}
    assert result["exact_match_by_length"] == {
        "2": {"share": 0.5, "exact": 1, "sequences": 2},
        "3": {"share": 0.5, "exact": 1, "sequences": 2},
    }
    assert result["token_accuracy"] == pytest.approx(11 / 14)


def test_final_report():
    assert report.final_report(metrics()).splitlines() == [
        "loss 0.5000 after 10 examples (batch_size=5)",
        "",
        "4 held-out sequences",
        "  exact match               50.00%  (2 of 4)",
        "  never seen in training    33.33%  (1 of 3)",
        "  token accuracy            78.57%  (symbols and EOS)",
        "  exact match by length",
        "    2                       50.00%  (1 of 2)",
        "    3                       50.00%  (1 of 2)",
    ]


def test_the_report_names_the_batch_of_the_best_weights():
    heading = report.final_report(metrics() | {"final_batch": 0}).splitlines()[0]
    assert heading == "loss 0.5000 after 10 examples (batch_size=5); the figures are of the best weights, from batch 0"


def test_the_report_says_how_few_chose_the_best_weights():
    """Training looks at no more than 1,000 validation inputs."""
    for inputs, chosen_by in ((1, "1 validation input"), (5000, "1000 validation inputs")):
        validation = {"exact_match": {"share": 0.5, "exact": 1, "sequences": inputs}, "symbol_error_rate": 0.5}
        validation |= {"exact_match_by_target_length": {}, "inputs_with_unknown_symbols": 0}
        of_pairs = {"final_batch": 0, "validation": validation | {"targets_with_unknown_symbols": 0}}
        heading = report.final_report(metrics() | of_pairs).splitlines()[0]
        assert heading.endswith(f"; the figures are of the best weights, from batch 0, chosen by {chosen_by}")


def test_many_lengths_become_few_lines():
    many = {str(length): {"share": 0.5, "exact": 1, "sequences": 2} for length in range(3, 103)}
    lines = report.final_report(metrics() | {"exact_match_by_length": many}).splitlines()[7:]
    assert len(lines) == 15
    assert lines[0] == "    3 to 9                  50.00%  (7 of 14)"
    assert lines[-1].startswith("    97 to 102 ")


def test_a_share_of_nothing_is_a_dash():
    nothing = metrics() | {"exact_match_never_seen": {"share": None, "exact": 0, "sequences": 0}}
    assert "  never seen in training         -  (0 of 0)" in report.final_report(nothing).splitlines()


def test_batch_report_shows_no_more_samples_than_there_are():
    batch = helpers.task_batch("copy", [[3, 5], [4]])
    prediction = np.array([[3, 4], [5, 5], [1, 1], [0, 0], [0, 0]])
    assert report.batch_report(Row(8, 0.12345, 1.0, 0.1), batch, prediction, Settings(samples=9)).splitlines() == [
        "batch 8",
        "  minibatch loss: 0.1235",
        "  sample 1:",
        "    input     > [3 5]",
        "    predicted > [3 5 1]",
        "  sample 2:",
        "    input     > [4]",
        "    predicted > [4 5 1]  wrong at 2",
    ]


def test_samples_show_targets_that_are_no_copies():
    """Even if the task was edited and has no name of its own."""
    batch = helpers.task_batch("reverse", [[4], [3, 5]])
    lines = report.batch_report(Row(8, 0.5, 1.0, 0.1), batch, batch.targets, Settings()).splitlines()
    assert lines[-3:] == ["    input     > [3 5]", "    target    > [5 3 1]", "    predicted > [5 3 1]"]
    inputs, lengths = helpers.batch([[3, 5, 4, 4, 3, 5]])
    shorter = helpers.Batch(inputs, lengths, np.array([[3], [1], [0], [0]]), np.array([1]))
    assert "    target    > [3 1]" in report.batch_report(Row(8, 0.5, 1.0, 0.1), shorter, shorter.targets, Settings())


@pytest.mark.parametrize(
    ("loss", "text"), [(2.30258, "2.3026"), (0.001, "0.0010"), (0.0000414, "4.1e-05"), (0, "0.0e+00")]
)
def test_a_small_loss_does_not_look_like_none(loss, text):
    assert report.decimals(loss) == text


def test_the_picture_shows_the_history():
    losses = np.geomspace(2, 0.01, 120)
    shares = {0: 0.0, 40: 0.98, 80: 1.0}
    rows = [Row(batch, loss, 1.0, 0.1, shares.get(batch)) for batch, loss in enumerate(losses)]
    figures = {"exact_match": {"share": 0.998, "sequences": 5000}}
    loss_axes, error_axes = pictures.loss_curve(rows, figures, CONFIG).axes
    each, smoothed = loss_axes.get_lines()
    np.testing.assert_array_equal(each.get_xydata(), list(enumerate(losses)))
    np.testing.assert_allclose(smoothed.get_xydata()[0], [24.5, np.sqrt(losses[24] * losses[25])])
    np.testing.assert_allclose(smoothed.get_xydata()[-1], [94.5, np.sqrt(losses[94] * losses[95])])
    curve, end = error_axes.get_lines()
    np.testing.assert_allclose(curve.get_xydata(), [[0, 100], [40, 2], [80, 100 / 10_000]])  # half an error of 5,000
    np.testing.assert_allclose(end.get_xydata(), [[119, 0.2]])


def test_a_small_test_set_hides_no_error_of_a_large_validation_set():
    sets = {
        name: {"exact_match": {"share": 0.99, "sequences": size}} for name, size in (("test", 4), ("validation", 500))
    }
    rows = [Row(0, 2.0, 1.0, 0.1, 0.99)]
    figures = sets | sets["test"]
    curve, _ = pictures.loss_curve(rows, figures, Settings(data=Path("x"))).axes[1].get_lines()
    np.testing.assert_allclose(curve.get_ydata(), [1])


def test_the_pictures_do_not_depend_on_matplotlibrc(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no LaTeX
    matplotlib.rcParams["text.usetex"] = True
    rows = [Row(0, 2.0, 1.0, 0.1, 0.5)]
    figure = pictures.loss_curve(rows, {"exact_match": {"share": 0.5, "sequences": 9}}, CONFIG)
    pictures.save(figure, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").exists()


def test_a_character_that_no_font_has_is_named(caplog):
    heat_maps.fonts_for("a\ue4ff")
    assert caplog.messages == ["no installed font has '\\ue4ff'; it is drawn as a box"]


def test_one_is_no_plural():
    assert [report.counted(number, "batch") for number in (0, 1, 2)] == ["0 batches", "1 batch", "2 batches"]
    assert report.counted(1, "held-out sequence") == "1 held-out sequence"


def test_the_picture_says_what_it_shows():
    rows = [Row(0, 2.0, 1.0, 0.1, 0.5), Row(1, 1.0, 1.0, 0.1)]
    figures = {"exact_match": {"share": 0.998, "sequences": 5000}}
    figure = pictures.loss_curve(rows, figures, CONFIG)
    assert figure.get_suptitle() == "copy, seed 7: 99.80% of 5000 held-out sequences exact"
    loss_axes, error_axes = figure.axes
    assert (loss_axes.get_yscale(), error_axes.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in error_axes.get_yticklabels()] == ["0", "0.1", "1", "10", "100"]
    assert [text.get_text() for text in error_axes.get_legend().texts] == [
        "validation",
        "held-out sequences, at the end",
    ]


def test_the_picture_of_attention_shows_each_sequence_with_its_symbols(tmp_path):
    config = Settings(data=Path("own.tsv"), facts=DataFacts(names=("$x_$", "\u732b", "a" * 300)))
    inputs = np.array([[2, 4], [3, 0], [4, 0]], np.int32)
    batch = helpers.Batch(inputs, np.array([3, 1], np.int32), np.zeros([7, 2], np.int32), np.array([4, 2], np.int32))
    prediction = np.array([[2, 3, 4, 1, 0, 0, 0], [4, 4, 1, 0, 0, 0, 0]], np.int32).T
    alignment = np.random.default_rng(0).random([7, 2, 3])
    figure = heat_maps.draw({"attention": heat_maps.panels_of(batch, prediction, alignment)}, config)
    first, second, _ = figure.axes
    np.testing.assert_array_equal(first.images[0].get_array(), alignment[:, 0])
    np.testing.assert_array_equal(second.images[0].get_array(), alignment[:5, 1, :1])

    def labels(axis):
        return [label.get_text() for label in axis.get_ticklabels()]

    long = "a" * 19 + "\u2026"
    assert labels(first.xaxis) == [r"\$x_\$", "\u732b", long]  # no formula
    assert labels(first.yaxis) == [r"\$x_\$", "\u732b", long, "<EOS>", "<PAD>", "<PAD>", "<PAD>"]
    assert labels(second.xaxis) == [long]
    assert labels(second.yaxis) == [long, long, "<EOS>", "<PAD>", "<PAD>"]
    assert [figure.get_suptitle(), figure.subfigs[0].get_suptitle()] == ["own.tsv, seed 0", "where the decoder looks"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.save(figure, tmp_path / "attention.png")


@pytest.mark.parametrize("length, steps", [(5, 100), (900, 3), (45, 50), (8, 11)])
def test_labels_on_an_axis_are_named_as_far_as_there_is_room(length, steps):
    names = tuple(f"{symbol:06d}" for symbol in range(7))
    config = Settings(data=Path("own.tsv"), facts=DataFacts(names=names))
    inputs, symbols = (2 + np.arange(size) % 7 for size in (length, steps))
    values = np.random.default_rng(0).random([min(60, steps), min(60, length)])
    figure = heat_maps.draw({"memory": [(inputs, symbols, values)] * 2}, config)
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        for axis, shown, side in ((axes.xaxis, inputs, "x"), (axes.yaxis, symbols[::-1], "y")):
            places = axis.get_ticklocs()
            labels = [label.get_text() for label in axis.get_ticklabels()]
            assert labels == [names[symbol - 2] for symbol in (inputs if side == "x" else symbols)[places.astype(int)]]
            assert len(labels) >= min(3, shown.size)
            boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
            ends = sorted((getattr(box, f"{side}0"), getattr(box, f"{side}1")) for box in boxes)
            assert all(end <= start for (_, end), (start, _) in zip(ends, ends[1:])), (side, ends)
        box = axes.images[0].get_window_extent()
        assert min(box.width, box.height) > 20, "a bar, not a map"


def test_a_file_and_symbols_that_look_like_formulas_are_drawn_as_they_are(tmp_path):
    """In an SVG too, whose comments hold every text, and which allows no control character."""
    config = Settings(data=Path("pri$ce_$x^\x1b.tsv"), facts=DataFacts(names=("$x_$", "$\\frac{$", "\x07")))
    rows, figures = [Row(0, 2.0, 1.0, 0.1, 0.5)], {"exact_match": {"share": 0.5, "sequences": 9}}
    symbols = np.array([2, 3, 4])
    maps = {"memory": [(symbols, symbols, np.eye(3))]}
    for name, figure in {
        "loss": pictures.loss_curve(rows, figures, config),
        "map": heat_maps.draw(maps, config),
    }.items():
        pictures.save(figure, tmp_path / f"{name}.svg")
        minidom.parse(str(tmp_path / f"{name}.svg"))
        assert figure.get_suptitle().startswith(r"pri\$ce_\$x^\u001b.tsv")


def test_other_pictures_are_beside_that_of_the_loss():
    plots = {name: str(path) for name, path in pictures.paths(Settings()).items()}
    assert plots == {"loss": "plots/loss.png", "memory": "plots/memory.png", "model": "plots/model.html"}
    with_attention = {
        "loss": "a/b.svg",
        "memory": "a/b-memory.svg",
        "model": "a/b-model.html",
        "attention": "a/b-attention.svg",
    }
    plots = pictures.paths(Settings(plot=Path("a/b.svg"), attention="luong"))
    assert {name: str(path) for name, path in plots.items()} == with_attention
    assert pictures.paths(Settings(plot=Path("memory.png")))["memory"] == Path("memory-memory.png")


def test_a_title_names_what_is_not_plain():
    assert heat_maps.title(Settings(layers=2, cell="gru", seed=7)) == "copy, GRU, 2 layers, seed 7"
    assert heat_maps.title(Settings()) == "copy, seed 0"
