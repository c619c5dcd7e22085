"""The result of a test, and what it says about a network."""

from keras_mtnet.evaluation.metrics import average_precision
from keras_mtnet.evaluation.result import Evaluation

__all__ = ["Evaluation", "average_precision"]
