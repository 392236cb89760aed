"""TensorFlow itself: its 1.x interface, how it is started, and what XLA compiles."""
