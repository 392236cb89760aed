"""The edits of docs/variants.md, "Change it": each fits the script as it is, and does what the page says."""

import json
import re
import shutil

import pytest

from tests.running import ROOT, run

SECTION = (ROOT / "docs/variants.md").read_text().split("\n## Change it\n")[1].split("\n## ")[0]
EDITS = re.findall(r"```diff\n(.*?)```", SECTION, re.DOTALL)


def edited_copy(folder, edit):
    """Copies the script and what it needs, and makes an edit in the one file that it fits."""
    shutil.copytree(ROOT / "support", folder / "support")
    before, after = (
        "".join(f"{line[1:]}\n" for line in edit.splitlines() if line.startswith(sign)) for sign in ("-", "+")
    )
    found = 0
    for name in ("seq2seq_copy.py", "helpers.py"):
        text = (ROOT / name).read_text()
        found += text.count(before)
        (folder / name).write_text(text.replace(before, after))
    assert found == 1


@pytest.mark.parametrize(
    "number",
    [pytest.param(0, marks=pytest.mark.long), 1, pytest.param(2, marks=pytest.mark.long)],
    ids=["task", "cell", "loop_fn"],
)
def test_an_edit_does_what_the_page_says(tmp_path, number):
    """With the compiled step, which must follow the edit. On another processor the figure may differ."""
    edited_copy(tmp_path, EDITS[number])
    arguments = ["--max-batches", "301", "--samples", "0", "--run-dir", "run"]
    assert run(arguments, tmp_path, script=str(tmp_path / "seq2seq_copy.py"))[::2] == (0, "")
    exact = json.loads((tmp_path / "run/metrics.json").read_text())["exact_match"]["share"]
    said = re.findall(r"([\d.]+) % after 301 batches", SECTION)
    assert len(said) == len(EDITS) == 3
    assert 100 * exact == pytest.approx(float(said[number]), abs=10)
