"""The end of a run: the figures come first, what cannot be saved is named, and --resume saves it."""

import re
import shutil

import pytest

from tests.running import posix, run, succeed

SIZES = "--batch-size 2 --input-embedding-size 2 --encoder-hidden-units 2 --attention luong --samples 0 --xla off"
DATA = "--data pairs.tsv --validation-data test.tsv --test-data test.tsv"
PICTURES = ("loss.png", "memory.png", "attention.png", "model.html")
PLOTS = {f"plots/{name}" for name in PICTURES}
SAVED = {f"run/{name}" for name in ("metrics.json", "validation-answers.tsv", "test-answers.tsv", *PICTURES)}
PROJECTOR = {f"run/{name}" for name in ("projector/embeddings.tsv", "projector/symbols.tsv", "projector_config.pbtxt")}
ALL = PLOTS | SAVED | PROJECTOR
LAST = "run/ended"


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder of a run of two batches that saves files of all kinds, and what it has printed."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "pairs.tsv").write_text("".join(f"{a} {b}\t{b} {a}\n" for a in "abc" for b in "abc"))
    (folder / "test.tsv").write_text("a b c\tc b a\n")
    return folder, succeed(f"--max-batches 2 --run-dir run {SIZES} {DATA}".split(), folder)


@pytest.fixture
def killed(ended, tmp_path):
    """A copy of its folder, as if it had been killed before it saved anything at its end."""
    folder = shutil.copytree(ended[0], tmp_path / "killed")
    for path in {*ALL, LAST}:
        (folder / path).unlink()
    return folder


def figures(stdout):
    """Returns what a run prints of its figures."""
    return re.search(r"^loss \d.*?(?=^loss curve in |\Z)", stdout, re.DOTALL | re.MULTILINE)[0]


def test_the_figures_are_saved_first_and_one_file_last(ended):
    times = {path: (ended[0] / path).stat().st_mtime_ns for path in {*ALL, LAST}}
    assert times["run/metrics.json"] <= min(times.values())
    assert times[LAST] == max(times.values())


@posix
def test_a_picture_behind_a_link_has_the_format_of_the_name_that_was_typed(ended, killed):
    (killed / "blob").touch()
    (killed / "plots/loss.png").symlink_to("../blob")
    assert run(["--resume", "run"], killed)[::2] == (0, "")
    assert (killed / "blob").read_bytes() == (ended[0] / "plots/loss.png").read_bytes()


@posix
def test_what_cannot_be_saved_is_named_and_resuming_saves_it(ended, killed):
    """A limit on the size of a file stands in for a full disk. Something else is in the way of the small files."""
    original, stdout = ended
    blocked = {"run/validation-answers.tsv", "run/test-answers.tsv"}
    for path in blocked:
        (killed / path).mkdir()
    (killed / "run/projector").rmdir()
    (killed / "run/projector").touch()
    (killed / "plots/loss.png").write_text("earlier")
    status, printed, stderr = run(["--resume", "run"], killed, largest_file=1000)
    *lines, last = stderr.splitlines()
    assert (status, figures(printed)) == (1, figures(stdout))
    named = re.findall(r"^seq2seq_copy.py: cannot write '(.*)': .+$", stderr, re.MULTILINE)
    assert {*named} == SAVED | PLOTS | {"run/projector/embeddings.tsv"}
    into = [line for line in lines if line.startswith("seq2seq_copy.py: cannot write into 'run': ")]
    assert len(named) + len(into) == len(lines)
    assert last == "seq2seq_copy.py: --resume 'run' saves what is missing, once it can be written"
    assert not any((killed / path).is_file() for path in {*ALL, LAST} - {"plots/loss.png"})
    assert (killed / "plots/loss.png").read_text() == "earlier" and not list(killed.rglob("*.partial"))

    for path in blocked:
        (killed / path).rmdir()
    (killed / "run/projector").unlink()
    status, printed, stderr = run(["--resume", "run"], killed)
    assert (status, stderr, figures(printed)) == (0, "", figures(stdout))
    assert "loss curve in plots/loss.png" in printed
    for path in ALL - {"run/metrics.json"}:  # which holds a speed
        assert (killed / path).read_bytes() == (original / path).read_bytes(), path
    status, printed, stderr = run(["--resume", "run"], killed, imports_tensorflow=True)
    assert (status, printed) == (2, "")
    assert stderr.startswith("seq2seq_copy.py: --resume: all 2 batches of this run are done. ")
