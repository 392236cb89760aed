"""The programs that XLA compiles, kept in the user's cache folder for the next run.

TensorFlow writes and reads them. Its file names identify only the computation, so it gets a separate folder for each
environment that a program depends on. An entry is machine code, so the folders must belong to the user alone.

    python -m support.tensorflow.compile_cache      empties the cache
"""

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import platform
import shutil
import stat
import sys
from pathlib import Path

import platformdirs

SETTING = "SEQ2SEQ_COPY_CACHE"  # an environment variable: off, or another folder than the user's cache folder
FLAGS = "TF_XLA_FLAGS"
FOLDER = "compiled-steps"  # in the cache folder; everything else there is not ours
LARGEST_CACHE = 200_000_000  # bytes; a program has about two million
OF_PROCESSOR = ("model name", "flags", "CPU implementer", "CPU part", "Features")  # lines about an x86 or an ARM
SPARE = 50_000_000  # bytes of the disk that stay free

log = logging.getLogger(__name__)


def cache_folder():
    """Returns the pathlib.Path below which compiled programs lie, or None if none are kept.

    Raises:
      RuntimeError: the user has no home.
    """
    setting = os.environ.get(SETTING)
    if setting == "off":
        return None
    return (Path(setting) if setting else platformdirs.user_cache_path("seq2seq_copy", appauthor=False)) / FOLDER


def use():
    """Tells TensorFlow where to keep programs. It must be called before the first session: the flags are read then.

    If programs cannot be kept, a run only takes longer.
    """
    if "persistent_cache" in os.environ.get(FLAGS, ""):
        return
    with contextlib.suppress(OSError, RuntimeError):
        root = cache_folder()
        if root is None:
            return
        folder = root / environment()
        for path in (root, folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # the mode is not that of parents
        if shutil.disk_usage(folder).free < SPARE:
            return
        for path in (root, folder):
            if not is_private(path):
                remedy = "chmod go-w makes it private"
                log.warning("compiled programs are not kept in %r: others may write there; %s", str(path), remedy)
                return
        shrink(root)
        flags = f"--tf_xla_persistent_cache_directory={quoted(folder)} --tf_xla_persistent_cache_read_only=false"
        os.environ[FLAGS] = f"{os.environ.get(FLAGS, '')} {flags}".lstrip()


def quoted(path):
    """Returns a path as TensorFlow's flags hold it; they are split at white space."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def environment():
    """Returns a name for everything that a compiled program depends on besides the computation."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = sorted({line for line in lines if line.startswith(OF_PROCESSOR)})
    names = [name for name in os.environ if name.startswith(("TF_", "XLA_")) and name != "TF_CONFIG"]
    variables = sorted((name, os.environ[name]) for name in names)
    facts = (sys.platform, platform.machine(), processor, os.cpu_count(), variables)
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return f"tensorflow-{tensorflow_version()}-{digest}"


def tensorflow_version():
    """Returns the version of TensorFlow, which may be installed as tensorflow-cpu, without importing it."""
    try:
        return importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get("tensorflow", [])
        return importlib.metadata.version(names[0]) if names else "unknown"


def is_private(folder):
    """Returns whether a folder is the user's own and nobody else may write to it. Windows has other rules."""
    status = folder.lstat()
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


def entries(root):
    """Returns what TensorFlow takes for programs below a cache_folder(), the most recently used first."""
    paths = root.glob("tensorflow-*/xla_compile_cache__*.pb")
    return sorted(paths, key=lambda path: path.lstat().st_mtime, reverse=True)


def delete(entry):
    """Deletes an entry, even if it is a folder."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def shrink(root):
    """Deletes the oldest programs if all together are larger than LARGEST_CACHE, and entries that are no files.

    TensorFlow would wait for a pipe, read a device without end, and not compile anew in place of a folder.
    """
    size = 0
    for entry in entries(root):
        size += entry.lstat().st_size
        if size > LARGEST_CACHE or not stat.S_ISREG(entry.lstat().st_mode):
            delete(entry)


def forget():
    """Deletes the programs that this process may have read; returns whether there were any."""
    with contextlib.suppress(OSError, RuntimeError):
        root, flags = cache_folder(), os.environ.get(FLAGS, "")
        ours = [entry for entry in entries(root) if quoted(entry.parent) in flags] if root else []
        for entry in ours:
            delete(entry)
        return bool(ours)
    return False


def main():
    """Empties the cache."""
    root = cache_folder()
    programs = entries(root) if root else []
    size = sum(entry.lstat().st_size for entry in programs)
    for entry in programs:
        delete(entry)
    print(f"deleted {len(programs)} compiled program{'' if len(programs) == 1 else 's'}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
