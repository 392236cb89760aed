"""A study of hyper-parameters: python -m experiments.study."""
