"""The pages that a person reads: their links, and the flags they name."""

import re

import pytest

from experiments import tune
from support.terminal.command import flag_parser
from tests.running import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors_of(page):
    """Returns the anchors of the headings of a page, by the rules of GitHub."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs/walkthrough.py"], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    assert links
    for link in links:
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_flag_exists(page):
    others = {
        "--all",
        "--bind_all",
        "--cluster-timeout",  # a flag of the cluster, which has its own parser
        "--dir",
        "--no-deps",
        "--only-binary",
        "--python-version",
        "--xla_cpu_use_fusion_emitters",
    }  # of other programs
    actions = [*flag_parser()._actions, *tune.flag_parser()._actions]
    known = {option for action in actions for option in action.option_strings} | others
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", page.read_text()))
    assert named <= known, named - known


def test_the_lines_of_the_readme_are_in_the_script():
    """The three lines of loop_fn, and the names beside those of the talk."""
    text, script = (ROOT / "README.md").read_text(), (ROOT / "seq2seq_copy.py").read_text()
    section = text.split("## How the decoder feeds itself")[1].split("\n## ")[0]
    lines = re.findall("^    (.+)", section, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        assert re.search(rf"^        {re.escape(line)}(  #|$)", script, re.MULTILINE), line
    table = text.split("| the talk | this script |")[1].split("\n\n")[0]
    for name in re.findall(r"`([\w.]+)`", "".join(row.split("|")[2] for row in table.splitlines()[2:])):
        assert re.search(rf"\b{name.split('.')[-1]}\b", script), name


def test_the_readme_names_every_page():
    text = (ROOT / "README.md").read_text()
    for page in PAGES[1:]:
        assert f"docs/{page.name}" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_placeholder_is_left(page):
    variables = {
        "TF_DETERMINISTIC_OPS",
        "TF_NUM_INTRAOP_THREADS",
        "XLA_FLAGS",
        "TF_CPP_MIN_LOG_LEVEL",
        "TF_CONFIG",
        "TF_USE_LEGACY_KERAS",
    }
    assert set(re.findall(r"\b[A-Z]+_[A-Z0-9_]+\b", page.read_text())) <= variables
