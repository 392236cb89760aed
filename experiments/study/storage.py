"""Where the trials of a study are kept, and which of them are lost."""

import contextlib
import os
import socket
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from support.terminal.settings import SettingsError

from support.run import files

HEARTBEAT = 10  # seconds; a database takes a trial for lost after three without one
PATIENCE = 10  # seconds to wait for a server


def open_storage(place):
    """Opens the storage of a study.

    Args:
      place: str, the URL of a database, or the path of a journal file, which is made if it does not exist.

    Returns:
      An optuna.storages.BaseStorage.

    Raises:
      SettingsError: it cannot be used. The message does not hold the password of the URL.
    """
    if "://" in place:
        return open_database(place)
    path = Path(place)
    try:
        files.check_writable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(place))
    except OSError as error:
        raise SettingsError(f"--storage: cannot use {place!r}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SettingsError(f"--storage: {place!r} is not a journal of Optuna") from None


def open_database(place):
    """Opens the database of a URL, as open_storage() does."""
    try:
        url = sqlalchemy.make_url(place)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise SettingsError("--storage: not a URL like postgresql+psycopg://USER@HOST/DATABASE") from None
    options = {"connect_timeout": PATIENCE} if url.get_backend_name() == "postgresql" else {}
    try:
        return RDBStorage(
            place,
            engine_kwargs={"connect_args": options, "pool_pre_ping": True},
            heartbeat_interval=HEARTBEAT,
            grace_period=3 * HEARTBEAT,
        )
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, ValueError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        reason = reason.replace(url.password, "***") if url.password else reason
        raise SettingsError(f"--storage: cannot use {url.render_as_string(hide_password=True)!r}: {reason}") from None


def worker_name():
    """Returns a name of this process, for the trials that it makes."""
    return f"{socket.gethostname()} {os.getpid()}"


def fail_lost_trials(study):
    """Marks the trials of workers on this machine that are gone as failed.

    A database also does so by itself, for workers on other machines too, once their heartbeat has stopped.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, _, process = trial.user_attrs.get("worker", "").rpartition(" ")
        if host == socket.gethostname() and not is_running(int(process)):
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):  # someone else has
                study.tell(trial.number, state=TrialState.FAIL)


def is_running(process):
    """Returns whether there is a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
