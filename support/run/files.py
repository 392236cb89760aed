"""Files and folders that are written whole or not at all: under another name first, flushed, then renamed."""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from support.run import platforms

PARTIAL = ".seq2seq_copy-"  # prefix of the names of what is being written
STALE = 3600  # seconds, after which no process is still writing it


def write_whole(path, content):
    """Writes a file, whole or not at all, with the folders that it needs. A link of that name is replaced.

    Args:
      path: pathlib.Path.
      content: bytes.

    Raises:
      OSError: it cannot be written. An earlier file of that name is untouched.
    """
    partial = path.with_name(f"{PARTIAL}{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tidy(path.parent)
        with open(partial, "xb") as file:  # a new file: another user who knew the name could have put a link there
            file.write(content)
        platforms.flush(partial)
        partial.replace(path)
        platforms.flush(path.parent)
    except OSError as error:
        raise OSError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def tidy(path):
    """Removes from a folder what killed processes have left half-written."""
    for left_over in path.glob(f"{PARTIAL}*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - left_over.lstat().st_mtime > STALE:
                shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()


@contextlib.contextmanager
def new_folder(path):
    """Yields a folder to write into. In one step it becomes path, with any missing folders above.

    If something is raised, nothing is left.
    """
    path = Path(os.path.realpath(path))
    highest = next(folder for folder in reversed([path, *path.parents]) if not folder.exists())
    above = highest.parent
    tidy(above)
    with tempfile.TemporaryDirectory(".partial", PARTIAL, above, ignore_cleanup_errors=True) as temporary:
        partial = Path(temporary) / path.relative_to(above)
        partial.mkdir(parents=True)
        yield partial
        for written in Path(temporary).rglob("*"):
            platforms.flush(written)
        (Path(temporary) / highest.name).rename(highest)
        platforms.flush(above)


def check_absent(path):
    """Raises OSError if no folder can be made at path: something is there, or it cannot be written."""
    if os.path.lexists(path) or os.path.exists(os.path.realpath(path)):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    check_writable(Path(os.path.realpath(path)))


def check_writable(path):
    """Raises OSError if a file at path, with the folders that it needs, could not be written. Makes nothing."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with contextlib.suppress(FileNotFoundError):
        path.stat()  # raises for links that lead in a circle
    target = behind_link(path.absolute())
    existing = target.parent
    if not path.is_symlink():  # no folder is made for the target of a link
        existing = next(folder for folder in target.parents if os.path.lexists(folder))
    for name in target.relative_to(existing).parts:
        with contextlib.suppress(FileNotFoundError):
            (existing / name).stat()  # raises for a name that is too long
    tempfile.TemporaryFile(dir=existing).close()


def behind_link(path):
    """Returns where to write a file whose path the user has typed: the target of a link, or the path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path
