"""Variants of the model: other cells, layers, attention, teacher forcing, beam search."""
