"""Callbacks for plain `model.fit` of any Keras model."""

from keras_mtnet.callbacks.best_weights import BestWeights
from keras_mtnet.callbacks.exact_resume import ExactResume
from keras_mtnet.callbacks.stop_on_nan import StopOnNaN
from keras_mtnet.callbacks.throughput import Throughput

__all__ = ["BestWeights", "ExactResume", "StopOnNaN", "Throughput"]
