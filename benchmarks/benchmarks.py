"""Stands for the package "benchmarks" if a file of this folder is started as a script, without the folder above."""

import sys
from pathlib import Path

sys.exit(f"start it as a module, from the folder above: python -m benchmarks.{Path(sys.argv[0]).stem}")
