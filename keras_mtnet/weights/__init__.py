"""Weights: which exist, where they lie, and how they get into a network and out of PyTorch."""

from keras_mtnet.weights.convert import convert_weights
from keras_mtnet.weights.load import check_name, choose_variant, load_weights

__all__ = ["check_name", "choose_variant", "convert_weights", "load_weights"]
