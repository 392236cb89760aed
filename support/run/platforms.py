"""What differs between Linux, macOS and Windows, and between file systems. docs/using.md says what follows from it."""

import contextlib
import errno
import logging
import os
import signal
import warnings
from pathlib import Path

import filelock

# What asks a process to end. Windows has SIGBREAK for Ctrl-Break, no SIGHUP, and a SIGTERM that nothing can handle.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
HANGUP = getattr(signal, "SIGHUP", None)  # the terminal is gone
NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)

log = logging.getLogger(__name__)


def lock(path):
    """Locks a file, which is made if need be, until this process ends, however it ends.

    Args:
      path: pathlib.Path.

    Returns:
      What must be kept for as long. If the file system has no locks, nothing is locked, and a warning says so.

    Raises:
      BlockingIOError: another process holds the lock.
      OSError: the file cannot be made or opened.
    """
    held = filelock.FileLock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where there are no locks, filelock goes by whether the file exists
            held.acquire(timeout=0)
    except filelock.Timeout:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), os.fspath(path)) from None
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        log.warning("cannot lock %r: %s; see to it that no other process trains this run", str(path), error.strerror)
    return held


def flush(path):
    """Waits until a file, or the list of files of a folder, is on the disk. Windows cannot do the latter."""
    try:
        # Windows flushes only what may be written.
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


def point(link, target, partial):
    """Makes a link lead to a folder, in one step. Where no link can be made, a file with the folder's name stands in.

    Args:
      link: pathlib.Path of the link.
      target: pathlib.Path of the folder.
      partial: pathlib.Path beside the link, the name under which it is made first.

    Raises:
      OSError: neither can be made, or something else is at that path.
    """
    name = relative(target, link.parent)
    partial.unlink(missing_ok=True)
    try:
        partial.symlink_to(name, target_is_directory=True)
    except (OSError, NotImplementedError):  # Windows asks for a privilege; some file systems have no links
        partial.write_text(f"{name}\n", encoding="utf-8")
    try:
        partial.replace(link)
    except PermissionError:  # Windows replaces no link to a folder
        link.unlink()
        partial.rename(link)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    flush(link.parent)


def follow(link):
    """Returns the folder that point() made a link lead to; any other path as it is."""
    with contextlib.suppress(OSError, ValueError):
        if link.is_file():
            return link.parent / link.read_text(encoding="utf-8").strip()
    return link


def relative(path, start):
    """Returns a real path as seen from a folder; on another drive of Windows, as it is."""
    path = os.path.realpath(path)
    try:
        return Path(os.path.relpath(path, os.path.realpath(start)))
    except ValueError:
        return Path(path)
