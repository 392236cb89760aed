"""The code behind seq2seq_copy.py. Each package answers one question."""
