"""The command: flags, predictions, reports, the process."""
