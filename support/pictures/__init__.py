"""The pictures that a run saves, and what is measured to draw them."""
