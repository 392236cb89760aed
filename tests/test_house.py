"""The packages of the project, here called rooms, and the directions of the imports between them."""

import ast
import graphlib
import subprocess

from tests.running import ROOT, run, run_process

GROUND = {"helpers", *(f"support.{name}" for name in ("errors", "outside", "signals", "limits", "values", "settings"))}
BELOW_THE_TEXT = {
    f"support.tensorflow.{name}" for name in ("tensorflow_v1", "startup", "compile_cache", "device", "sharing")
}
TEXT_MAY_IMPORT = {"support.tensorflow.tensorflow_v1", "support.tensorflow.sharing"}
ROOMS = {f"support.{name}" for name in ("data", "model", "run", "pictures", "terminal", "cluster")}
COMPILED = {f"support.tensorflow.{name}" for name in ("compiled", "bounded_rnn")}
# What each room may import, besides files of the same room. A single file may be a room.
MAY_IMPORT = {
    "helpers": set(),
    "support.errors": set(),
    "support.outside": set(),
    "support.signals": set(),
    "support.limits": set(),
    "support.values": {"helpers"},
    "support.settings": {*GROUND, "seq2seq_copy"},
    **{name: BELOW_THE_TEXT for name in BELOW_THE_TEXT},
    "support.tensorflow.device": {*BELOW_THE_TEXT, "support.errors"},
    "seq2seq_copy": {"helpers", *TEXT_MAY_IMPORT, "support.terminal.main"},
    **{name: {"helpers", *BELOW_THE_TEXT, *COMPILED, "seq2seq_copy", "support.errors"} for name in COMPILED},
    "support.data": {*GROUND, "seq2seq_copy"},
    "support.model": {*GROUND, *BELOW_THE_TEXT, *COMPILED, "seq2seq_copy"},
}
ALL_BELOW = {*GROUND, *BELOW_THE_TEXT, *COMPILED, "seq2seq_copy", "support.data", "support.model"}
MAY_IMPORT |= {
    "support.run": ALL_BELOW,
    "support.pictures": {*ALL_BELOW, "support.run"},
    "support.terminal": {*ALL_BELOW, "support.run", "support.pictures"},
    "support.cluster": {*ALL_BELOW, "support.run", "support.pictures", "support.terminal"},
}
MAY_IMPORT["support.terminal.main"] = EVERYTHING = {*ALL_BELOW, *ROOMS}
MAY_IMPORT |= {
    "docs": EVERYTHING,
    "experiments": EVERYTHING,
    "benchmarks": {*EVERYTHING, "experiments"},
}
FILES = [
    path
    for path in ROOT.rglob("*.py")
    if not any(part.startswith(".") or part == "tests" for part in path.relative_to(ROOT).parts)
]


MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}


def room_of(module):
    if module in MAY_IMPORT:
        return module
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
        if not module.endswith("__init__"):
            room = room_of(module)
            rooms = {room_of(name) for name in imports_of(path)} - {room}
            assert rooms <= MAY_IMPORT[room], f"{path} imports {rooms - MAY_IMPORT[room]}"


def test_the_text_hands_over_to_the_command_only_at_its_end():
    tree = ast.parse((ROOT / "seq2seq_copy.py").read_text())
    is_main = [isinstance(node, ast.If) for node in tree.body]
    assert is_main.index(True) == len(tree.body) - 1
    ends = {node.module for node in ast.walk(tree.body[-1]) if isinstance(node, ast.ImportFrom)}
    assert ends == {"support.terminal.main"}
    others = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} - ends
    assert others == {
        "collections",
        "collections.abc",
        "dataclasses",
        "functools",
        "typing",
        "helpers",
        "support.tensorflow",
        "support.tensorflow.sharing",
    }


def test_there_is_no_circle():
    """Except through the last line of seq2seq_copy.py, which does not run when it is imported."""
    imports = {module: imports_of(path) for module, path in MODULES.items()}
    imports["seq2seq_copy"] -= {"support.terminal.main"}
    list(graphlib.TopologicalSorter(imports).static_order())


def test_every_name_of_tensorflow_in_the_text_is_its_own():
    """The alias tf holds nothing that a reader would not find in TensorFlow's documentation."""
    names = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse((ROOT / "seq2seq_copy.py").read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tf"
    }
    program = f"""if True:
        import tensorflow.compat.v1 as tf
        print([name for name in {sorted(names)} if not hasattr(tf, name.partition(".")[2])])
    """
    assert len(names) > 30
    assert run([], ROOT, program=program) == (0, "[]\n", "")


def test_nothing_about_a_cluster_is_outside_of_its_room():
    """Except the one call in the command."""
    for path in FILES:
        if path.is_relative_to(ROOT / "support") and path.parent != ROOT / "support/cluster":
            mentions = [line for line in path.read_text().splitlines() if "cluster" in line.lower()]
            assert path == ROOT / "support/terminal/main.py" or not mentions, (path, mentions)


def test_imports_are_plain():
    """At the top of each file, with nothing before them; only what is slow to load may wait inside a function."""
    for path in FILES:
        assert "E402" not in path.read_text(), path
        is_import = [isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(path.read_text()).body]
        is_import = is_import[1:]  # after the docstring
        assert not any(is_import[is_import.index(False) :] if False in is_import else []), path


def test_the_top_holds_what_it_should():
    process = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {line.split("/")[0] for line in process.stdout.splitlines()}
    files = {
        "seq2seq_copy.py",
        "helpers.py",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Makefile",
        "pyproject.toml",
    }
    assert top == files | {"requirements.txt", "requirements.lock"} | {
        ".ci", ".github", ".gitignore", ".prettierrc", "plots", "support", "tests", "docs", "benchmarks", "experiments"
    }  # fmt: skip


def test_help_and_bad_flags_load_neither_tensorflow_nor_matplotlib(tmp_path):
    program = """if True:
        import sys
        from support.terminal import main
        for sys.argv[1:] in (["--help"], ["--data", "nowhere.tsv"]):
            try:
                main.run()
            except SystemExit as end:
                print("status", end, "loaded:", *sys.modules.keys() & {"tensorflow", "matplotlib", "keras"})
    """
    printed = run_process([], tmp_path, program=program)
    ends = [line.strip() for line in printed[1].splitlines() if line.startswith("status")]
    assert ends == ["status 0 loaded:", "status 2 loaded:"], printed
