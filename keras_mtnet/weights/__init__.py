"""Weights: where their files are, how they get into a network, and into and out of PyTorch."""

import keras  # noqa: F401  before our own modules: see keras_mtnet/__init__.py

from keras_mtnet.weights.load import load_weights

__all__ = ["load_weights"]
