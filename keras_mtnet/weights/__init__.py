"""Weights: which exist, where they lie, and how they get into a network."""

from keras_mtnet.weights.load import choose_variant, load_weights

__all__ = ["choose_variant", "load_weights"]
