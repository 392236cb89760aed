"""A run on the disk: folder, checkpoints, history, export."""
