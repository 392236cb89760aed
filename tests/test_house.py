"""The rooms of the house, and which way the arrows between them run."""

import ast
import graphlib
import subprocess
import sys

import pytest
from running import ROOT

SUPPORT = {"support.graph", "support.data", "support.run", "support.terminal"}
MAY_IMPORT = {  # besides modules of the same room
    "helpers": set(),
    "support.graph": {"helpers"},
    "support.data": {"helpers"},
    "support.run": {"helpers", "support.graph"},
    "support.terminal": {"helpers", "support.graph", "support.data", "support.run"},
    "seq2seq_copy": {"helpers", *SUPPORT},
    "experiments": {"helpers", *SUPPORT, "seq2seq_copy"},
    "benchmarks": {"helpers", *SUPPORT, "seq2seq_copy", "experiments"},
    "docs": {"helpers", *SUPPORT, "seq2seq_copy"},
}
FILES = [
    path
    for path in ROOT.rglob("*.py")
    if not any(part.startswith(".") or part == "tests" for part in path.relative_to(ROOT).parts)
]


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module):
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] == "support" else parts[:1])


def imports_of(path):
    """Returns the modules of this project that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names & MODULES.keys()


def test_imports_run_downwards():
    for module, path in MODULES.items():
        room = room_of(module)
        if module != "support.__init__":
            rooms = {room_of(name) for name in imports_of(path)} - {room}
            assert rooms <= MAY_IMPORT[room], f"{path} imports {rooms - MAY_IMPORT[room]}"


def test_there_is_no_circle():
    list(graphlib.TopologicalSorter({module: imports_of(path) for module, path in MODULES.items()}).static_order())


def test_imports_are_plain():
    """At the top of each file, with nothing before them; only what is slow to load may wait inside of a function."""
    for path in FILES:
        assert "E402" not in path.read_text(), path
        is_import = [isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(path.read_text()).body]
        is_import = is_import[1:]  # behind the docstring
        assert not any(is_import[is_import.index(False) :] if False in is_import else []), path


def test_the_top_holds_what_it_should():
    process = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {line.split("/")[0] for line in process.stdout.splitlines()}
    files = {"seq2seq_copy.py", "helpers.py", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"}
    assert top == files | {"requirements.txt", "requirements.lock"} | {
        ".ci", ".github", ".gitignore", "plots", "support", "tests", "docs", "benchmarks", "experiments"
    }  # fmt: skip


def test_the_script_is_a_text():
    """Under 500 lines, no function over 50, and of the lines that are not blank two thirds are code."""
    source = (ROOT / "seq2seq_copy.py").read_text()
    lines, nodes = source.splitlines(), list(ast.walk(ast.parse(source)))
    assert len(lines) < 500
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert max(node.end_lineno - node.lineno + 1 for node in functions) <= 50
    words = {number for number, line in enumerate(lines, start=1) if line.strip().startswith("#")}
    for node in nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            words.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    code = [line for number, line in enumerate(lines, start=1) if line.strip() and number not in words]
    assert len(code) > 2 / 3 * len([line for line in lines if line.strip()])


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "--data nowhere.tsv",
    ],
)
def test_help_and_bad_flags_load_neither_tensorflow_nor_matplotlib(arguments, tmp_path):
    program = f"""if True:
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        import seq2seq_copy
        try:
            seq2seq_copy.main()
        except SystemExit:
            print("loaded:", *sys.modules.keys() & {{"tensorflow", "matplotlib", "keras"}})
    """
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert process.stdout.splitlines()[-1].strip() == "loaded:", process.stdout
