"""Multi-Temporal Networks and what goes with them."""

from keras_mtnet.models.mtnet import MTNet, MTNetL, MTNetM, MTNetS, build
from keras_mtnet.models.preprocessing import decode_predictions, preprocess_input
from keras_mtnet.models.released import ReleasedMTNet

__all__ = [
    "MTNet",
    "MTNetL",
    "MTNetM",
    "MTNetS",
    "ReleasedMTNet",
    "build",
    "decode_predictions",
    "preprocess_input",
]
