"""Takes from Python what Windows lacks. Python imports this module when it starts if it is on PYTHONPATH."""

import errno
import os
import shutil
import signal
import sys

sys.modules["fcntl"] = None  # importing it is an ImportError
sys.modules["termios"] = None
shutil._use_fd_functions = False  # shutil.rmtree opens no folders on Windows
del signal.SIGHUP

real_open, real_fsync = os.open, os.fsync
read_only = set()


def refuse(*_, **__):
    raise OSError(errno.EPERM, "A required privilege is not held by the client")


def open_no_folder(path, flags, *arguments, **options):
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    descriptor = real_open(path, flags, *arguments, **options)
    if flags & (os.O_WRONLY | os.O_RDWR):
        read_only.discard(descriptor)
    else:
        read_only.add(descriptor)
    return descriptor


def flush_what_may_be_written(descriptor):
    if descriptor in read_only:
        raise OSError(errno.EBADF, "Bad file descriptor")
    real_fsync(descriptor)


os.symlink = refuse
os.open = open_no_folder
os.fsync = flush_what_may_be_written
