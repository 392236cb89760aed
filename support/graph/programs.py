"""The programs that XLA compiled, kept in the user's cache folder for the next run.

TensorFlow keeps them itself if it is told to. But a torn entry or a full disk then fails the compilation, and the names
of the entries say nothing of the processor or the version of TensorFlow that they are for. So TensorFlow gets a folder
of this process alone. The entries of the cache are checked and linked into it, and what TensorFlow adds is moved into
the cache.
"""

import atexit
import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import platformdirs

from support.graph.tensorflow_v1 import set_environment

SETTING = "SEQ2SEQ_COPY_CACHE"  # an environment variable: off, or another folder than the user's cache folder
LARGEST_CACHE = 200_000_000  # bytes; a program has about two million
SPARE = 50_000_000  # bytes of the disk that stay free
STALE = 24 * 60 * 60  # seconds after which the folder of a process was left behind by one that was killed
PROCESS = "process-"  # how the folder of a process begins
FLAGS = "TF_XLA_FLAGS"

folder_of_process = None  # a pathlib.Path once keep() has made it


def cache_folder():
    """Returns the pathlib.Path of the folder for all compiled programs, or None if they are not to be kept."""
    setting = os.environ.get(SETTING)
    if setting == "off":
        return None
    return Path(setting) if setting else platformdirs.user_cache_path("seq2seq_copy", appauthor=False)


def keep():
    """Lets the programs that this process compiles be kept, and found again. To be called before TensorFlow starts.

    TensorFlow reads its flags when the first session starts, and then never again. If programs cannot be kept, that
    costs time, but no run.
    """
    global folder_of_process
    set_environment()
    root = cache_folder()
    if root is None or "persistent_cache" in os.environ.get(FLAGS, ""):
        return
    try:
        entries = root / environment()
        entries.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(entries).free < SPARE:
            return
        folder = Path(tempfile.mkdtemp(prefix=PROCESS, dir=entries))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        link_entries(entries, folder)
    except OSError:
        return
    flags = f"--tf_xla_persistent_cache_directory={folder} --tf_xla_persistent_cache_read_only=false"
    os.environ[FLAGS] = f"{os.environ.get(FLAGS, '')} {flags}".lstrip()
    folder_of_process = folder


def environment():
    """Returns a name for all that a compiled program depends on besides the computation."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = [line for line in lines if line.startswith(("model name", "flags"))][:2]
    variables = sorted((name, value) for name, value in os.environ.items() if name.startswith(("TF_", "XLA_")))
    facts = (sys.platform, platform.machine(), processor, os.cpu_count(), variables)
    return (
        f"tensorflow-{importlib.metadata.version('tensorflow')}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"
    )


def link_entries(entries, folder):
    """Puts the entries of the cache under TensorFlow's names into the folder of a process; deletes torn ones.

    An entry NAME is kept as NAME-DIGEST. One hundred of them are checked in a tenth of a second.
    """
    for entry in entries.iterdir():
        if entry.is_dir():
            continue
        name, _, digest = entry.name.rpartition("-")
        if digest_of(entry) != digest:
            entry.unlink(missing_ok=True)
            continue
        entry.touch()  # the entries that were not used for longest are the first to go
        try:
            os.link(entry, folder / name)
        except OSError:  # a file system without links
            shutil.copyfile(entry, folder / name)


def keep_new():
    """Moves what TensorFlow has added to the folder of this process into the cache, and bounds the cache."""
    if folder_of_process is None:
        return
    with contextlib.suppress(OSError):
        entries = folder_of_process.parent
        for program in folder_of_process.glob("*.pb"):
            entry = entries / f"{program.name}-{digest_of(program)}"
            if not entry.exists():
                for other in entries.glob(f"{program.name}-*"):
                    other.unlink(missing_ok=True)
                program.replace(entry)
        shrink(entries.parent)


def forget():
    """Deletes the entries that were linked for this process; returns whether there were any."""
    programs = [] if folder_of_process is None else list(folder_of_process.glob("*.pb"))
    for program in programs:
        for entry in (program, *folder_of_process.parent.glob(f"{program.name}-*")):
            entry.unlink(missing_ok=True)
    return bool(programs)


def shrink(root):
    """Deletes the entries that were not used for longest, and what killed processes left behind."""
    size = 0
    entries = [(entry.stat().st_mtime, entry) for entry in root.glob("tensorflow-*/*")]
    for changed, entry in sorted(entries, reverse=True):
        if entry.is_dir():
            if time.time() - changed > STALE:
                shutil.rmtree(entry, ignore_errors=True)
            continue
        size += entry.stat().st_size
        if size > LARGEST_CACHE:
            entry.unlink(missing_ok=True)


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def main():
    """Empties the cache: python -m support.graph.programs."""
    root = cache_folder()
    if root is None or not root.exists():
        print("no compiled programs are kept")
        return
    files = [path for path in root.glob("tensorflow-*/*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    for folder in root.glob("tensorflow-*"):
        shutil.rmtree(folder)
    programs = f"{len(files)} compiled program{'s'[: len(files) != 1]}"
    print(f"deleted {programs}, {size / 1e6:.1f} MB, from {root}")


if __name__ == "__main__":
    main()
