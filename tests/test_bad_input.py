"""Every error is one line on stderr and status 2, before TensorFlow is loaded; nothing is written or changed."""

import functools
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from support.errors import UserError
from support.model import variants
from support.run.run import resume
from support.run.run_folder import RunFolder
from support.tensorflow import tensorflow_v1
from support.terminal import training
from tests.running import everything, posix, refusal, run

IN = "cannot write in"
LONG = "a" * 300
MANY = "[" * 100_000

FLAGS = {  # what is typed, and how the message begins
    "--max-batches ten": "--max-batches: 'ten' is not a whole number from 1 to 2147483647",
    "--max-batches 1.5": "--max-batches: '1.5' is not a whole number from 1",
    "--max-batches 0": "--max-batches: '0' is not a whole number from 1",
    "--max-batches=--": "--max-batches: '--' is not a value",
    "--batch-size -3": "--batch-size: '-3' is not a whole number from 1",
    "--batch-size 99999999999": "--batch-size: '99999999999' is not a whole number from 1 to 2147483647",
    "--batch-size 2147483647": "--batch-size: a tensor would be too large with these lengths, symbols and units",
    "--batch-size 2147483647 --xla off": "--batch-size: a tensor would be too large",
    "--batch-size 2000000": "--batch-size: a tensor would be too large",
    "--length-to 800 --attention bahdanau": "--batch-size: a tensor would be too large",
    "--length-to 1100 --attention bahdanau --encoder forward": "--batch-size: a tensor would be too large",
    "--batches-in-epoch 0": "--batches-in-epoch: '0' is not",
    "--input-embedding-size 0": "--input-embedding-size: '0' is not",
    "--encoder-hidden-units 0": "--encoder-hidden-units: '0' is not",
    "--encoder-hidden-units 5000": "--encoder-hidden-units: '5000' is not a whole number from 1 to 4096",
    "--length-from 0": "--length-from: '0' is not",
    "--length-from 9": "--length-from: 9 is more than --length-to 8",
    "--vocab-size 2": "--vocab-size: '2' is not a whole number from 3",
    "--learning-rate nan": "--learning-rate: 'nan' is not a finite number above 0",
    "--learning-rate inf": "--learning-rate: 'inf' is not a finite number above 0",
    "--learning-rate 1e39": "--learning-rate: '1e39' is not a finite number above 0",
    "--learning-rate 0": "--learning-rate: '0' is not a finite number above 0",
    "--learning-rate fast": "--learning-rate: 'fast' is not a finite number above 0",
    "--learning-rate=--": "--learning-rate: '--' is not a value",
    "--until 0": "--until: '0' is not a number above 0 and at most 1",
    "--until 1.01": "--until: '1.01' is not a number above 0 and at most 1",
    "--until nan": "--until: 'nan' is not a number above 0 and at most 1",
    "--patience 0": "--patience: '0' is not a whole number from 1",
    "--dropout 1": "--dropout: '1' is not a number from 0 to below 1",
    "--dropout some": "--dropout: 'some' is not a number from 0 to below 1",
    "--resume run --dropout 0.5": "--resume: in this run --dropout is 0.0, not 0.5",
    "--keep first": "--keep: 'first' is not one of last best",
    "--seed -1": "--seed: '-1' is not a whole number from 0",
    f"--seed {LONG}{LONG}": "--seed: 'aaa",
    "--samples": "--samples: expected one argument",
    "--max-batch 3": "unrecognized arguments: --max-batch 3",
    "5": "unrecognized arguments: 5",
    "--task sort": "--task: 'sort' is not one of copy reverse alphabet",
    "--task=--": "--task: '--' is not a value",
    "--attention yes": "--attention: 'yes' is not one of none bahdanau luong",
    "--cell rnn": "--cell: 'rnn' is not one of lstm gru",
    "--layers 0": "--layers: '0' is not a whole number from 1 to 16",
    "--layers 17": "--layers: '17' is not a whole number from 1 to 16",
    "--encoder both": "--encoder: 'both' is not one of bidirectional forward",
    "--feedback sample": "--feedback: 'sample' is not one of argmax teacher scheduled",
    "--device tpu": "--device: 'tpu' is not one of auto cpu gpu",
    "--resume run --device gpu": "--resume: in this run --device is auto, not gpu",
    "--xla perhaps": "--xla: 'perhaps' is not one of on off",
    "--teacher-probability 1.5": "--teacher-probability: '1.5' is not a number from 0 to 1",
    "--teacher-probability 0.5": "--teacher-probability needs --feedback scheduled",
    "--task alphabet --vocab-size 10": "--vocab-size: with --task alphabet it is 28",
    "--plot loss.txt": "--plot: 'loss.txt' must end in one of .png .svg .pdf .jpg",
    "--plot plots": "--plot: 'plots' must end in one of",
    "--plot=": "--plot: '' is no path",
    "--plot=--": "--plot: '--' is not a value",
    "--plot folder.png": "--plot: cannot write 'folder.png': Is a directory",
    "--plot x/loss.png --attention luong": "--plot: cannot write 'x/attention.png': Is a directory",
    "--plot file/loss.png": "--plot: cannot write 'file/loss.png': Not a directory",
    "--plot /proc/loss.png": "--plot: cannot write '/proc/loss.png'",
    "--plot circle.png": "--plot: cannot write 'circle.png': Too many levels of symbolic links",
    "--plot circle.png/loss.png": "--plot: cannot write 'circle.png/loss.png': Too many levels of symbolic links",
    "--plot nowhere/loss.png": "--plot: cannot write 'nowhere/loss.png': No such file or directory",
    "--plot nowhere.png": "--plot: cannot write 'nowhere.png': No such file or directory",
    f"--plot new/{LONG}.png": f"--plot: cannot write 'new/{LONG}.png': File name too long",
    f"--plot {LONG}/loss.png": f"--plot: cannot write '{LONG}/loss.png': File name too long",
    f"--plot new/{LONG}/loss.png": f"--plot: cannot write 'new/{LONG}/loss.png': File name too long",
    "--run-dir=": "--run-dir: '' is no path",
    "--run-dir=--": "--run-dir: '--' is not a value",
    "--run-dir b[1]": "--run-dir: 'b[1]' holds [, which TensorFlow takes for a pattern; choose another path",
    "--run-dir a\\b": "--run-dir: 'a\\\\b' holds \\,",
    "--resume b*": "--resume: 'b*' holds *,",
    "--predict 3 --run-dir b[1]": "--run-dir: 'b[1]' holds [,",
    "--export x?/1 --run-dir run": "--export: 'x?/1' holds ?,",
    "--run-dir run": "--run-dir: 'run' is not empty; use --resume to continue a run",
    "--run-dir file": f"--run-dir: {IN} 'file': Not a directory",
    "--run-dir file/run": f"--run-dir: {IN} 'file/run': Not a directory",
    "--run-dir /proc/run": f"--run-dir: {IN} '/proc/run'",
    "--run-dir circle.png": f"--run-dir: {IN} 'circle.png': Too many levels of symbolic links",
    "--run-dir nowhere": f"--run-dir: {IN} 'nowhere': No such file or directory",
    f"--run-dir {LONG}": f"--run-dir: {IN} '{LONG}': File name too long",
    "--run-dir \udcff": "--run-dir: '\\udcff' is not UTF-8",
    "--run-dir runs": "--run-dir: 'runs' holds all runs; choose a folder inside it",
    "--run-dir ./runs/": "--run-dir: 'runs' holds all runs; choose a folder inside it",
    "--resume=": "--resume: '' is no path",
    "--resume": "there is no run in 'runs': train one first, or name the folder of another",
    "--resume missing": "--resume: 'missing' holds no run: config.json: No such file or directory",
    "--resume run --run-dir x": "--run-dir cannot be combined with --resume",
    "--resume run --seed 1": "--resume: in this run --seed is 0, not 1",
    "--resume run --batch-size 3 --length-to 9": "--resume: in this run --batch-size is 2, not 3, --length-to is 4,",
    "--resume run --max-batches 3": "--resume: in this run --max-batches is 21, not 3 (see --help)",
    "--resume run --max-batches 2000": "--resume: in this run --max-batches is 21, not 2000; the learning rate falls",
    "--resume run --until 0.9": "--resume: in this run --until is off, not 0.9",
    "--resume run --data pairs": "--resume: this run has no --data",
    "--resume run --plot file/x.png": "--plot: cannot write 'file/x.png': Not a directory",
    "--resume run --scores": "--scores needs --predict",
    "--start-from missing": "--start-from: 'missing' holds no run: config.json: No such file or directory",
    "--start-from run --layers 2": "--start-from: in that run --layers is 1, not 2",
    "--start-from run --vocab-size 4": "--start-from: that run has --vocab-size 5, more than 4",
    "--start-from run --data pairs": "--start-from: that run was trained without --data, so this one cannot have it",
    "--resume run --start-from run": "--start-from cannot be combined with --resume",
    "--predict 3 --start-from run": "--start-from cannot be combined with --predict",
    "--predict 3": "there is no run in 'runs': train one first, or name the folder of another",
    "--export new": "there is no run in 'runs': train one first, or name the folder of another",
    "--predict 3 --run-dir missing": "--run-dir: 'missing' holds no run",
    "--predict 3 --run-dir folder.png": "--run-dir: 'folder.png' holds no run",
    "--predict 3 --seed 1": "--seed cannot be combined with --predict",
    "--predict 3 --resume": "--resume cannot be combined with --predict",
    "--predict 3 --predict -": "--predict: - (standard input) cannot be combined with other sequences",
    "--predict 3 --predict x --run-dir run": "--predict 'x': 'x' is not a symbol from 2 to 4",
    "--predict 3,4 --run-dir run": "--predict '3,4': '3,4' is not a symbol from 2 to 4; put spaces between symbols",
    "--predict 35 --run-dir run": "--predict '35': '35' is not a symbol from 2 to 4 (see",
    "--predict= --run-dir run": "--predict '': no symbols",
    "--predict 3 --run-dir run --beam 0": "--beam: '0' is not a whole number from 1 to 1000",
    "--predict 3 --run-dir run --beam 2 --n-best 3": "--n-best: 3 is more than --beam 2",
    "--predict 3 --run-dir run --n-best 2": "--n-best: 2 is more than --beam 1",
    "--predict 3 --run-dir run --length-penalty 1": "--length-penalty needs --beam 2 or more",
    "--predict 3 --run-dir run --beam 2 --length-penalty -1": "--length-penalty: '-1' is not a number from 0",
    "--predict 3 --run-dir run --max-answer 0": "--max-answer: '0' is not a whole number from 1 to 10003",
    "--export new --run-dir run --max-answer many": "--max-answer: 'many' is not a whole number",
    "--max-answer 9": "--max-answer needs --predict, --predict-file or --export",
    "--predict 3 --run-dir run --scores --json": "--scores cannot be combined with --json, which holds them",
    "--predict 3 --run-dir run --alignment": "--alignment needs --json",
    "--predict 3 --run-dir run --json --alignment": "--alignment: this model has no attention",
    "--plain": "--plain needs --data",
    "--resume run --plain": "--plain cannot be combined with --resume: a run keeps its settings",
    "--predict 3 --run-dir run --plain": "--plain cannot be combined with --predict",
    "--predict 3 --run-dir run --plot x.txt": "--plot: 'x.txt' must end in one of",
    "--predict 3 --run-dir run --plot run/config.json/x.png": "--plot: cannot write",
    "--predict - --run-dir run --plot x.png": "--plot: needs 1 to 4 sequences on the command line",
    "--beam 3": "--beam needs --predict or --predict-file",
    "--export folder.png --run-dir run": "--export: cannot write 'folder.png': File exists",
    "--export file --run-dir run": "--export: cannot write 'file': File exists",
    "--export nowhere --run-dir run": "--export: cannot write 'nowhere': File exists",
    "--export missing/.. --run-dir run": "--export: cannot write 'missing/..': File exists",
    "--export file/model --run-dir run": "--export: cannot write 'file/model': Not a directory",
    "--export /proc/model --run-dir run": "--export: cannot write '/proc/model'",
    f"--export {LONG} --run-dir run": f"--export: cannot write '{LONG}': File name too long",
    "--export": "--export: expected one argument",
    "--export=": "--export: '' is no path",
    "--export new --run-dir folder.png": "--run-dir: 'folder.png' holds no run",
    "--export new --seed 1": "--seed cannot be combined with --export",
    "--export new --resume": "--resume cannot be combined with --export",
    "--export new --predict 3": "--export cannot be combined with --predict",
    "--data missing.tsv": "--data: cannot read 'missing.tsv': No such file or directory",
    "--data folder.png": "--data: cannot read 'folder.png': Is a directory",
    "--data=": "--data: '' is no path",
    "--validation-data file": "--validation-data needs --data",
    "--test-data file": "--test-data needs --data",
    "--data pairs --test-data missing.tsv": "--test-data: cannot read 'missing.tsv': No such file or directory",
    "--data pairs --validation-data x": "--validation-data: cannot read 'x': Is a directory",
    "--resume run --test-data pairs": "--resume: this run has no --test-data",
    "--symbols characters": "--symbols needs --data",
    "--held-out-sequences 0": "--held-out-sequences: '0' is not a whole number from 1 to 1000000",
    "--resume run --held-out-sequences 5": "--resume: in this run --held-out-sequences is 9, not 5",
    "--data pairs --validation-data pairs --held-out-sequences 5": "--held-out-sequences cannot be combined with "
    "--validation-data",
    "--min-count 2": "--min-count needs --data",
    "--min-count 0": "--min-count: '0' is not a whole number from 1 to 2147483647",
    "--symbols letters": "--symbols: 'letters' is not one of words characters characters:words words:characters",
    "--predict-file pairs": "there is no run in 'runs': train one first, or name the folder of another",
    "--predict-file missing.tsv --run-dir run": "--predict-file: cannot read 'missing.tsv': No such file",
    "--predict-file pairs --run-dir run --seed 1": "--seed cannot be combined with --predict-file",
    "--predict-file pairs --run-dir run --scores": "--scores cannot be combined with --predict-file",
    "--predict-file pairs --run-dir run --length-penalty 1": "--length-penalty needs --beam 2 or more",
    "--predict-file pairs/x --run-dir run": "--predict-file: cannot write 'pairs/x.answers.tsv': Not a directory; "
    "--answers names another file",
    "--predict-file . --run-dir run": "--predict-file: cannot read '.': Is a directory",
    "--predict-file / --run-dir run": "--predict-file: cannot read '/': Is a directory",
    "--predict-file pairs --answers file --run-dir run": "--answers: 'file' exists, and is not, or no longer, what",
    "--predict-file pairs --answers /dev/null --run-dir run": "--answers: '/dev/null' exists, and is not, or no",
    "--predict-file pairs --answers pairs/x --run-dir run": "--answers: cannot write 'pairs/x': Not a directory",
    "--predict-file pairs --answers . --run-dir run": "--answers: cannot write '.': Is a directory",
    "--predict-file pairs --answers= --run-dir run": "--answers: '' is no path",
    "--answers new": "--answers needs --predict-file",
    "--predict 3 --answers new": "--answers cannot be combined with --predict",
    "--predict-file=": "--predict-file: '' is no path",
    "--data file": "--data: 'file' holds no pair",
    "--data pairs --test-data file": "--test-data: 'file' holds no pair",
    "--predict-file file --run-dir run": "--predict-file: 'file' holds no pair",
    "--data file --vocab-size 9": "--vocab-size cannot be combined with --data",
    "--data file --task reverse": "--task cannot be combined with --data",
    "--settings missing": "--settings: cannot read 'missing': No such file or directory",
    "--settings file": "--settings: cannot read 'file': Expecting value",
    "--settings=": "--settings: '' is no path",
    "--settings run/config.json": "--settings: 'run/config.json': 'data' is no setting for a file; type --data",
    "--resume run --settings file": "--settings cannot be combined with --resume",
    "--predict 3 --settings file": "--settings cannot be combined with --predict",
    "--settings /dev/zero": "--settings: cannot read '/dev/zero': not a regular file",
    "--maxbatches 3": "unrecognized arguments: --maxbatches 3; did you mean --max-batches? (see --help)",
    "--see=1 x": "unrecognized arguments: --see=1 x; did you mean --seed? (see --help)",
    "--frobnicate": "unrecognized arguments: --frobnicate (see --help)",
    "--predict 4 8 5": "unrecognized arguments: 8 5; a sequence with spaces needs quotes (see --help)",
    "\x1b[31m": "unrecognized arguments: \\u001b[31m",
    "--resume a\nb": "--resume: 'a\\nb' holds no run",
    "--data /dev/zero": "--data: '/dev/zero' line 1: longer than 10000000 bytes (",
    "--data /dev/urandom": "--data: '/dev/urandom' line ",
}
DATA = {  # what a file holds, and how the message continues after its name
    b"a\tb\n\nc\td\n": "line 2: empty",
    b"a\tb\r\n\r\nc\td\r\n": "line 2: empty",
    b"a\tb\nc d\n": "line 2: needs one TAB between input and target, has 0",
    b"a\tb\tc\n": "line 1: needs one TAB between input and target, has 2; cut -f 1,2 would keep the first two "
    "of 3 columns (see --help)",
    b'"a","b"\nc,d\n': "line 1: needs one TAB between input and target, has 0; docs/own-data.md makes pairs of CSV and "
    "JSON, and 1 more wrong line",
    b"a\tb\na\t \n": "line 2: no symbols in the target; there must be 1 to 10000",
    b"a\tb\n\t a\n": "line 2: no symbols in the input; there must be 1 to 10000",
    b"a\tb\nc \xff\td\n": "line 2: byte 3 is not UTF-8",
    b"a\tb\nc\t<EOS>\n": "line 2: <EOS> is reserved for the model",
    b"x " * 10_001 + b"\ty\n": "line 1: 10001 symbols in the input; there must be 1 to 10000",
    b"a\n\n\xff": "line 1: needs one TAB between input and target, has 0, and 2 more wrong lines",
    b"a\tb\na\tc\nb\tc\n": "holds fewer than 3 different inputs",
}
SETTINGS_FILES = {  # what a file of settings holds, and how the message begins
    "[1]": "--settings: 'x.json' holds no JSON object",
    '{"learning_rat": 1}': "--settings: 'x.json': there is no setting 'learning_rat'",
    '{"clip_norm": -1}': "--settings: 'x.json': clip_norm: '-1' is not a finite number above 0",
    '{"batch_size": true}': "--settings: 'x.json': batch_size: 'True' is not a whole number",
    '{"length_from": 9}': "--length-from: 9 is more than --length-to 8",
}
SETTINGS = {  # what config.json says; what is typed; and how the message begins
    **{
        f"{typed} names": ({"names": ["b", "a"]}, typed, "'run/checkpoints/11/state.json' was written with other names")
        for typed in ("--resume run", "--predict 3 --run-dir run", "--export new --run-dir run")
    },
    "null for a number": ({"max_batches": None}, "--resume run", "'run/config.json' does not hold the settings"),
    "a setting is missing": ({"seed": ...}, "--resume run", "'run/config.json' does not hold the settings of a run"),
    "a fraction": ({"buckets": [[1.5, 2]]}, "--resume run", "'run/config.json' does not hold the settings"),
    "no lengths": ({"buckets": [[0, 2]]}, "--resume run", "'run/config.json' does not hold the settings"),
    "lengths of data": ({"buckets": [[4, 4]]}, "--predict 3 --run-dir run", "'run/config.json' does not hold"),
    "a billion steps": ({"buckets": [[4, 10**12]]}, "--resume run", "'run/config.json' does not hold"),
    "true": ({"buckets": True}, "--resume run", "'run/config.json' does not hold the settings of a run"),
    "no list": ({"names": 5}, "--export new --run-dir run", "'run/config.json' does not hold the settings of a run"),
    "another task": ({"task": "alphabet"}, "--resume run", "'run/config.json' does not hold the settings of a run"),
    "a picture of no format": ({"plot": "x.txt"}, "--resume run", "'run/config.json' does not hold the settings"),
    "data without symbols": ({"data": "file"}, "--resume run", "'run/config.json' does not hold the settings"),
    "no data any more": (
        {"data": "gone", "names": ["a", "b", "c"], "buckets": [[4, 4]]},
        "--resume run",
        "--resume: 'gone' is gone; if it has moved, say where it is with --data",
    ),
    "half a character": (
        {"data": "pairs", "names": ["a", "b", "\ud800"], "buckets": [[4, 4]]},
        "--resume run",
        "'run/config.json' does not hold the settings of a run",
    ),
    "a path that no system has": (
        {"data": "a\0b", "names": ["a", "b", "c"], "buckets": [[4, 4]]},
        "--resume run",
        "'run/config.json' does not hold the settings of a run",
    ),
    "no attention": ({}, "--predict 3 --run-dir run --plot file/x.png", "--plot: cannot write 'file/x.png'"),
}


def damage(function):
    """Makes a function of some arguments and a folder one of the arguments, which returns one of the folder."""
    return functools.partial(functools.partial, function)


@damage
def set_file(path, content, folder):
    shutil.rmtree(folder / path) if (folder / path).is_dir() else (folder / path).unlink(missing_ok=True)
    if content is not None:
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def finish(folder):
    (folder / "run/checkpoints/11").rename(folder / "run/checkpoints/21")
    (folder / "run/ended").touch()


@damage
def lead(path, target, folder):
    """Makes a link."""
    set_file(path, None)(folder)
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).symlink_to(target)


def loop(path):
    return lead(path, Path(path).name)


@damage
def elsewhere(path, folder):
    """Makes a link to a file with the right contents."""
    (folder / path).rename(folder / "elsewhere")
    (folder / path).symlink_to(folder / "elsewhere")


@damage
def pipe(path, folder):
    """Makes a pipe that nobody writes into."""
    set_file(path, None)(folder)
    os.mkfifo(folder / path)


NO_RUN = "'run' holds no run: config.json: "
CHECKPOINT = "run/checkpoints/11"
RUNS = {  # what is done to the folder, what is typed, and how the message begins
    "torn settings": (set_file("run/config.json", '{"seed": 0, "max_ba'), "--resume run", NO_RUN),
    "nested settings": (set_file("run/config.json", MANY), "--resume run", NO_RUN),
    "bytes as settings": (set_file("run/config.json", b"\xff\xfe"), "--resume run", NO_RUN),
    "a list of settings": (set_file("run/config.json", "[]"), "--resume run", "'run/config.json' does not hold"),
    "settings in a circle": (loop("run/config.json"), "--predict 3 --run-dir run", f"{NO_RUN}Too many levels"),
    "no checkpoints": (set_file("run/checkpoints", None), "--resume run", "'run' has a history but no checkpoint"),
    "nothing to ask": (set_file("run/checkpoints", None), "--predict 3 --run-dir run", "'run' holds no checkpoint"),
    "nothing to export": (set_file("run/checkpoints", None), "--export new --run-dir run", "'run' holds no checkpoint"),
    "checkpoints are a file": (set_file("run/checkpoints", ""), "--resume run", "cannot read 'run/checkpoints': Not a"),
    "checkpoints in a circle": (loop("run/checkpoints"), "--resume run", "'run/checkpoints' is a link, a pipe or a"),
    "a picture elsewhere": (lead("run/memory.png", "../file"), "--resume run", "'run/memory.png' is a link, a pipe or"),
    "a folder elsewhere": (lead("run/projector", "../x"), "--resume run", "'run/projector' is a link, a pipe or"),
    "settings elsewhere": (elsewhere("run/config.json"), "--resume run", "'run/config.json' is a link, a pipe or"),
    "a history elsewhere": (elsewhere("run/history.csv"), "--predict 3 --run-dir run", "'run/history.csv' is a link"),
    "a lock elsewhere": (lead("new/lock", "../file"), "--run-dir new", "'new/lock' is a link, a pipe or a device"),
    "a state that is a pipe": (
        pipe(f"{CHECKPOINT}/state.json"),
        "--resume run",
        f"'{CHECKPOINT}/state.json' is a link",
    ),
    "settings that are a pipe": (pipe("run/config.json"), "--resume run", f"{NO_RUN}not a regular file"),
    "settings without an end": (lead("run/config.json", "/dev/zero"), "--resume run", f"{NO_RUN}not a regular file"),
    "weights elsewhere": (
        loop(f"{CHECKPOINT}/model.data-00000-of-00001"),
        "--resume run",
        f"'{CHECKPOINT}/model.data-00000-of-00001' is a link, a pipe or a device",
    ),
    "all is done": (finish, "--resume run", "all 21 batches of this run are done"),
    "runs is a file": (set_file("runs", ""), "", f"{IN} 'runs': Not a directory"),
    "runs in a circle": (loop("runs"), "", f"{IN} 'runs': Too many levels of symbolic links"),
    "runs leads nowhere": (lambda folder: (folder / "runs").symlink_to("gone"), "", f"{IN} 'runs': No such file"),
    "plots leads nowhere": (lambda folder: (folder / "plots").symlink_to("gone"), "", "cannot write 'plots/loss.png'"),
}


def no_folder():
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")


C_LOCALE = {"env": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}}
PROCESSES = {  # what is typed, what is different, and how the message begins
    "a flag": ("--max-batches ten", {}, FLAGS["--max-batches ten"]),
    "data": ("--data file", {}, FLAGS["--data file"]),
    "a run": ("--resume run --dropout 0.5", {}, FLAGS["--resume run --dropout 0.5"]),
    "no run": ("--predict 3", {}, FLAGS["--predict 3"]),
    "no standard input": (
        "--predict - --run-dir run",
        {"preexec_fn": functools.partial(os.close, 0)},
        "--predict: standard input is closed",
    ),
    "no working folder": ("--resume", {"preexec_fn": no_folder}, "cannot use the working folder: No such file"),
    "no working folder to train in": ("", {"preexec_fn": no_folder}, "cannot use the working folder: No such file"),
    "ASCII": ("--run-dir \u00e4", C_LOCALE, "--run-dir: '\\udcc3\\udca4' is not UTF-8"),
}


@pytest.fixture
def folder(stopped, tmp_path):
    """A folder with a stopped run, and everything that the cases name."""
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "x/attention.png").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "pairs").write_text("a b c\tb c d\nb c d\tc d e\nb c\tc d\n")
    (tmp_path / "circle.png").symlink_to("circle.png")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "nowhere.png").symlink_to("gone/nowhere.png")
    return tmp_path


@pytest.fixture
def no_tensorflow(monkeypatch):
    """Lets TensorFlow seem not to be imported, and not importable."""

    def refuse():
        raise AssertionError("TensorFlow was imported")

    for name in [name for name in vars(tensorflow_v1) if not name.startswith("_")]:
        monkeypatch.delattr(tensorflow_v1, name)
    monkeypatch.setattr(tensorflow_v1, "_import_tensorflow", refuse)


def check(stderr, message):
    """Checks what is on stderr: one line that begins with a message."""
    assert stderr.startswith(f"seq2seq_copy.py: {message}"), stderr
    assert stderr.endswith(" (see --help)\n")
    assert stderr[:-1].isprintable()  # one line without control characters
    assert len(stderr) < 500


def flagged(arguments, message):
    """Returns the message with the flag that names a run."""
    if message.startswith("--"):
        return message
    flag = "--plot" if "plots/" in message else "--resume" if "--resume" in arguments else "--run-dir"
    return f"{flag}: {message}"


CASES = [
    *(pytest.param(None, typed, message, id=typed[:60]) for typed, message in FLAGS.items()),
    *(
        pytest.param(set_file("data", content), "--data data", f"--data: 'data' {message}", id=message[:60])
        for content, message in DATA.items()
    ),
    *(
        pytest.param(set_file("x.json", content), "--settings x.json", message, id=content)
        for content, message in SETTINGS_FILES.items()
    ),
    *(pytest.param(damage, typed, flagged(typed, message), id=name) for name, (damage, typed, message) in RUNS.items()),
    *(
        pytest.param(values, typed, flagged(typed, message), id=name)
        for name, (values, typed, message) in SETTINGS.items()
    ),
]


@pytest.mark.skipif(os.name == "nt", reason="the messages of the system are those of Linux")
@pytest.mark.parametrize(("damage", "arguments", "message"), CASES)
def test_bad_input_is_one_line(damage, arguments, message, folder, no_tensorflow, monkeypatch, capsys, caplog):
    if isinstance(damage, dict):
        if "data" in damage:
            digest = hashlib.sha256(json.dumps(damage.get("names", [])).encode()).hexdigest()
            edit("run/checkpoints/11/state.json", names_sha256=digest)(folder)
        config = json.loads((folder / "run/config.json").read_text()) | damage
        config = {name: value for name, value in config.items() if value is not ...}
        damage = set_file("run/config.json", json.dumps(config))
    if damage is not None:
        damage(folder)
    before = everything(folder)
    monkeypatch.chdir(folder)
    check(refusal(arguments.split(" ") if arguments else [], capsys), message)
    assert not caplog.messages
    assert everything(folder) == before


@pytest.mark.skipif(os.name == "nt", reason="the messages of the system are those of Linux")
@pytest.mark.parametrize(("arguments", "options", "message"), PROCESSES.values(), ids=PROCESSES)
def test_the_command_ends_with_that_line_before_tensorflow_is_loaded(arguments, options, message, folder):
    (folder / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')")
    before, environment = everything(folder), os.environ | {"PYTHONPATH": str(folder)}
    options = {"imports_tensorflow": True} | options | {"env": environment | options.get("env", {})}
    status, stdout, stderr = run(arguments.split(), folder, **options)
    assert (status, stdout) == (2, ""), stderr
    check(stderr, message)
    assert everything(folder) == before


@damage
def edit(path, folder, numbers=(), **values):
    """Writes other values into a JSON file. numbers are those of the state of a generator."""
    state = json.loads((folder / path).read_text())
    state.get("generator", {}).get("state", {}).update(numbers)
    (folder / path).write_text(json.dumps(state | values))


@damage
def cut(path, share, folder):
    """Leaves only a part of a file."""
    content = (folder / path).read_bytes()
    (folder / path).write_bytes(content[: int(share * len(content))])


@damage
def replace(path, old, new, folder):
    """Makes something else of what follows a line break in a file."""
    text, count = re.subn(f"(?<=\n){old}", new, (folder / path).read_text(), count=1)
    assert count == 1
    (folder / path).write_text(text)


STATE, INDEX, WEIGHTS = (
    f"run/checkpoints/11/{name}" for name in ("state.json", "model.index", "model.data-00000-of-00001")
)
DAMAGED = "the checkpoint 'run/checkpoints/11' is damaged ("
OTHER = "'run/config.json' and the checkpoint 'run/checkpoints/11' are not of the same model: "
DAMAGES = {  # found only by TensorFlow or a look into the checkpoint
    "no index": (set_file(INDEX, None), DAMAGED),
    "no weights": (set_file(WEIGHTS, None), DAMAGED),
    "no state": (set_file(STATE, None), f"{DAMAGED}FileNotFoundError in state.json"),
    "half a state": (cut(STATE, 0.5), f"{DAMAGED}JSONDecodeError in state.json"),
    "a list as state": (set_file(STATE, "[]"), f"{DAMAGED}TypeError in state.json"),
    "a nested state": (set_file(STATE, MANY), f"{DAMAGED}ValueError in state.json"),
    "a negative number": (edit(STATE, numbers={"state": -1}), f"{DAMAGED}OverflowError in state.json"),
    "a large number": (edit(STATE, numbers={"inc": 2**200}), f"{DAMAGED}OverflowError in state.json"),
    "few unseen": (edit(STATE, unseen="AAAA"), f"{DAMAGED}ValueError in state.json"),
    "a map of no rows": (edit(STATE, memory={"0": [1]}), f"{DAMAGED}ValueError in state.json"),
    "a map of a late batch": (edit(STATE, memory={"7": [[1]]}), f"{DAMAGED}ValueError in state.json"),
    "memory": (edit(STATE, memory=[1]), f"{DAMAGED}AttributeError in state.json"),
    "another seed": (edit(STATE, settings={"seed": 3}), f"'{STATE}' was written with seed 3, but"),
    "half a history": (cut("run/history.csv", 0.5), "'run/history.csv' "),
    "no history": (set_file("run/history.csv", None), "'run/history.csv' cannot be read: No such file"),
    "a blank line": (replace("run/history.csv", "1,", "\n1,"), "'run/history.csv' does not hold"),
    "a word": (replace("run/history.csv", "1,", "1,x"), "'run/history.csv' cannot be read: "),
    "not a number": (replace("run/history.csv", r"0,\d\.\d+", "0,nan"), "'run/history.csv' "),
}  # fmt: skip
DAMAGES_OF_COMMANDS = {
    "half an index": (cut(INDEX, 0.5), "--resume run", DAMAGED),
    "an index of nothing": (set_file(INDEX, ""), "--export new --run-dir run", DAMAGED),
    "a tenth of the weights": (cut(WEIGHTS, 0.1), "--predict 3 --run-dir run", DAMAGED),
    "other symbols": (edit("run/config.json", vocab_size=7), "--resume run", OTHER),
    "other units": (edit("run/config.json", encoder_hidden_units=7), "--predict 3 --run-dir run", OTHER),
    "another cell": (edit("run/config.json", cell="gru"), "--export new --run-dir run", OTHER),
}  # fmt: skip


@pytest.fixture(scope="module")
def resumable(stopped):
    """Returns a function that resumes a run like the stopped one, with the model that all of its calls share."""
    config = RunFolder(stopped).read_settings()
    trainer, (generator, _, held_out) = variants.open_trainer(config), training.examples(config, None)
    with trainer.model.session as session, session.graph.as_default():
        yield lambda path: resume(path, config, trainer.model, held_out, generator)


@posix
@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_is_not_resumed_and_stays_as_it_is(damage, message, folder, resumable, monkeypatch):
    damage(folder)
    before = everything(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError) as error:
        resumable(Path("run"))
    assert str(error.value).startswith(message)
    assert error.value.status == 2 and "\n" not in str(error.value)
    assert everything(folder) == before


@posix
@pytest.mark.parametrize(("damage", "arguments", "message"), DAMAGES_OF_COMMANDS.values(), ids=DAMAGES_OF_COMMANDS)
def test_a_damaged_run_is_one_line(damage, arguments, message, folder):
    damage(folder)
    before = everything(folder)
    status, stdout, stderr = run(arguments.split(), folder)
    assert (status, stdout) == (2, "")
    assert stderr.startswith(f"seq2seq_copy.py: {message}"), stderr
    assert stderr.count("\n") == 1, stderr
    assert everything(folder) == before
