"""The notebook: made from its text, saved with clean outputs, and run from start to end."""

import json
import re

import jupytext
import numpy as np
from nbclient import NotebookClient

from tests.running import ROOT

TEXT = jupytext.read(ROOT / "docs/walkthrough.py")
NOTEBOOK = jupytext.read(ROOT / "docs/walkthrough.ipynb")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds_of_outputs(notebook):
    """Returns what each cell shows: text, pictures or errors, without their content."""
    return [
        [(output.output_type, output.get("name"), tuple(sorted(output.get("data", {})))) for output in cell.outputs]
        for cell in code_cells(notebook)
    ]


def test_it_has_the_cells_of_its_text():
    """After a change of the text, run `make walkthrough`."""
    cells, expected = ([(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (NOTEBOOK, TEXT))
    assert cells == expected


def test_it_is_saved_as_it_ran_from_top_to_bottom():
    cells = code_cells(NOTEBOOK)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.metadata == {} for cell in cells)  # no times
    kinds = {kind for kinds in kinds_of_outputs(NOTEBOOK) for kind in kinds}
    frame = ("execute_result", None, ("text/html", "text/plain"))
    assert kinds == {("stream", "stdout", ()), ("display_data", None, ("image/png", "text/plain")), frame}


def test_its_outputs_tell_nothing_of_the_machine():
    text = json.dumps([[output.get("text") for output in cell.outputs] for cell in code_cells(NOTEBOOK)])
    assert not re.findall(r"/(?:home|root|tmp|usr|work|Users)\b|\d\d:\d\d|Warning|WARNING", text)


def test_what_it_says_of_memory_is_what_it_shows():
    """Section 10: forget gates start open; training lets each direction keep best what it read first."""
    output = "".join(output.get("text", "") for cell in code_cells(NOTEBOOK) for output in cell.outputs)
    changes = re.findall(r"(left|right), (before|after) training: first (\d+) %, last (\d+) %", output)
    shares = {(side, moment): (int(first), int(last)) for side, moment, first, last in changes}
    assert len(shares) == 4
    for side in ("left", "right"):
        assert min(shares[side, "before"]) > 70, "before training, both directions keep nearly everything"
        first, last = shares[side, "after"]
        assert first > last + 20, "each keeps best what it read first"
        assert last < shares[side, "before"][1], "and gives up part of the rest"


def test_the_gradient_by_hand_is_that_of_tensorflow():
    """Section 7: and it does not die out on its way to the encoder."""
    output = "".join(output.get("text", "") for cell in code_cells(NOTEBOOK) for output in cell.outputs)
    largest, difference = (
        float(re.search(rf"{words}: +([0-9.]+)", output)[1]) for words in ("kernel", "TensorFlow's gradient")
    )
    assert largest > 0.001 and difference < 1e-6
    sizes = np.array(re.search(r"last step to the first: \[([^]]*)\]", output)[1].split(), float)
    assert len(sizes) == 6 and (np.diff(sizes) > 0).all()


def test_it_runs_from_start_to_end(tmp_path, monkeypatch):
    """With 30 batches, from the folder in which Jupyter would run it."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    notebook = jupytext.read(ROOT / "docs/walkthrough.py")
    assert notebook.cells[1].source.count("BATCHES = 3001") == 1
    notebook.cells[1].source = notebook.cells[1].source.replace("BATCHES = 3001", "BATCHES = 30")
    resources = {"metadata": {"path": str(ROOT / "docs")}}
    NotebookClient(notebook, timeout=300, resources=resources, coalesce_streams=True).execute()
    assert kinds_of_outputs(notebook) == kinds_of_outputs(NOTEBOOK)
