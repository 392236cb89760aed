"""What stands behind seq2seq_copy.py, in four rooms. Each answers one question."""
