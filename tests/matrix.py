"""Runs the short tests with each TensorFlow and each Python that requirements.txt allows, and prints a table.

    python -m tests.matrix

Each row has its own virtual environment, which make keeps in this folder. A Python that is not on this machine
is named and left out. The output of the tests goes to short-tests.log in the environment.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROWS = [  # TensorFlow, Python, and NumPy unless it is the newest that TensorFlow allows
    ("2.16", "3.10", "1.26"),
    ("2.17", "3.12", "1.26"),
    ("2.18", "3.11", "1.26"),
    ("2.19", "3.12", ""),
    ("2.20", "3.13", ""),
    ("2.21", "3.10", "1.26"),
    ("2.21", "3.11", ""),
    ("2.21", "3.12", ""),
    ("2.21", "3.13", ""),
]
VERSIONS = """
import platform
from importlib.metadata import version
print(version("tensorflow"), platform.python_version(), version("numpy"), sep=" | ")
"""


def interpreter(version):
    """Returns the path of a Python of that version, on the PATH or in pyenv; None if there is none."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"))]
    return found[-1] if found else shutil.which(name)


def run_row(tensorflow, version, numpy):
    """Runs the short tests in one environment.

    Returns:
      row: str, a row of the table.
      is_good: bool, whether all tests passed.
    """
    python = interpreter(version)
    if python is None:
        return f"| {tensorflow} | {version} | {numpy} | not run: no Python {version} on this machine |", True
    environment = Path(f".venv-{tensorflow}{'-numpy' * bool(numpy)}{numpy}-{Path(python).name}")
    variables = [f"VENV={environment}", f"PYTHON={python}", f"TENSORFLOW={tensorflow}", f"NUMPY={numpy}"]
    process = subprocess.run(
        ["make", "short", *variables], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if not environment.exists():
        return f"| {tensorflow} | {version} | {numpy} | {process.stdout.splitlines()[-1]} |", False
    (environment / "short-tests.log").write_text(process.stdout)
    versions = subprocess.run([environment / "bin/python", "-c", VERSIONS], stdout=subprocess.PIPE, text=True)
    summary = process.stdout.splitlines()[-1] if process.returncode else ""
    summary = next((line for line in process.stdout.splitlines() if " passed" in line), summary)
    counts = re.sub(r", \d+ (deselected|warnings?)", "", summary.strip("= ").split(" in ")[0])
    return f"| {versions.stdout.strip()} | {counts} |", process.returncode == 0


def main():
    rows = []
    for tensorflow, version, numpy in ROWS:
        print(f"TensorFlow {tensorflow}, Python {version} ...", file=sys.stderr, flush=True)
        rows.append(run_row(tensorflow, version, numpy))
    print("| TensorFlow | Python | NumPy | short tests |", "|---|---|---|---|", *(row for row, _ in rows), sep="\n")
    return 0 if all(is_good for _, is_good in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
