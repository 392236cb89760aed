"""The file of --settings: what a study has learned, or what a user has written."""

import argparse
import json

from support.run import folder
from support.terminal.settings import TYPED, SettingsError


def read(path):
    """Reads a file of settings.

    Args:
      path: pathlib.Path of a JSON object: a number or a word by the name of each setting.

    Returns:
      dict of what the fields of a settings.Config take.

    Raises:
      SettingsError: it cannot be read, or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"--settings: cannot read {str(path)!r}: {folder.reason(error)}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"--settings: {str(path)!r} holds no JSON object")
    kinds = {entry.name: entry.metadata["type"] for entry in TYPED if entry.type != "Path"}
    unknown = [name for name in values if name not in kinds]
    if unknown:
        raise SettingsError(f"--settings: {str(path)!r}: there is no setting {unknown[0]!r}")
    settings = {}
    for name, value in values.items():
        try:
            settings[name] = kinds[name](str(value))
        except argparse.ArgumentTypeError as error:
            raise SettingsError(f"--settings: {str(path)!r}: {name}: {error}") from None
    return settings
