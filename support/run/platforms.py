"""Differences between Linux, macOS and Windows, and between file systems. docs/using.md describes the effects."""

import errno
import logging
import os
import signal
import warnings

import filelock

# They ask a process to end. Windows has SIGBREAK for Ctrl-Break, no SIGHUP, and a SIGTERM that nothing can handle.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
HANGUP = getattr(signal, "SIGHUP", None)  # the terminal is gone
NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)

log = logging.getLogger(__name__)


def lock(path):
    """Locks a file, which is created if necessary, until this process ends, however it ends.

    Args:
      path: pathlib.Path.

    Returns:
      The lock, which must be kept for as long. If the file system has no locks, a warning says so.

    Raises:
      BlockingIOError: another process holds the lock.
      OSError: the file cannot be made or opened.
    """
    held = filelock.FileLock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where there are no locks, filelock checks whether the file exists
            held.acquire(timeout=0)
    except filelock.Timeout:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), os.fspath(path)) from None
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        log.warning(
            "cannot lock %r: %s; make sure that no other process is training this run", str(path), error.strerror
        )
    return held


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
