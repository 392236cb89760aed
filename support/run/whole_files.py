"""Files and folders that are written whole or not at all: under another name first, flushed, then renamed."""

import contextlib
import errno
import json
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

PARTIAL = ".seq2seq_copy-"  # prefix of the names of what is being written
STALE = 3600  # seconds, after which no process is still writing it
NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # by a file system


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
        flush(partial)
        partial.replace(path)
        flush(path.parent)
    except OSError as error:
        raise OSError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_json(path, value):
    """Writes a JSON file, whole or not at all."""
    write_whole(path, f"{json.dumps(value, indent=2)}\n".encode())


def flush(path):
    """Waits until a file, or the list of files of a folder, is on the disk. Windows cannot do the latter."""
    try:
        # Windows flushes only files that are open for writing.
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
    finally:
        os.close(descriptor)


def flush_all(folder):
    """Waits until a folder and the files in it are on the disk."""
    for path in [*folder.iterdir(), folder]:
        flush(path)


@contextlib.contextmanager
def clear_write_errors(folder, *kinds):
    """Turns an OSError, or an error of other kinds, into an OSError that names the folder that is written into."""
    try:
        yield
    except (OSError, *kinds) as error:
        lines = str(error).splitlines()
        reason = next((line for line in lines if "; " in line), lines[0])  # TensorFlow: "FILE; REASON" below a trace
        raise OSError(f"cannot write into {str(folder)!r}: {reason}") from error


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
            flush(written)
        (Path(temporary) / highest.name).rename(highest)
        flush(above)


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
