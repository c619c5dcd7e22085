"""Multi-Temporal Networks (MTNet) for human action recognition in video, for Keras 3.

Names load on first use, so that `keras_mtnet.layers` and the networks work on a machine without
TensorFlow and `keras-mtnet --help` answers at once.
"""

import importlib
import os
from typing import Any

# On many CPUs TensorFlow leaves oneDNN off, and the gradient of a strided Conv3D then takes sixty
# times as long. TensorFlow reads this when it is imported, so import keras_mtnet first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

# public name -> the module that defines it
_NAMES = {
    "MTNet": "models",
    "MTNetS": "models",
    "MTNetM": "models",
    "MTNetL": "models",
    "preprocess_input": "models",
    "decode_predictions": "models",
    "count_costs": "costs",
    "predict_video": "prediction",
    "evaluate_views": "evaluation",
    "export_savedmodel": "export",
}
_MODULES = ("callbacks", "data", "layers", "models", "optimizers", "training", "video")

__all__ = [*sorted(_NAMES), *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
