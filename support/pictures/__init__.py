"""The pictures that a run saves, for TensorBoard too, and what is measured to draw them."""
