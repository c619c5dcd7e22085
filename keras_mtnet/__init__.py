"""Video action recognition for Keras 3: Multi-Temporal Networks (MTNet) and their peers.

Names load on first use, so that the networks work on a machine without TensorFlow and
`keras-mtnet --help` answers at once.
"""

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from keras_mtnet.networks import NETWORKS

# ruff: noqa: F401, F403
if TYPE_CHECKING:  # what editors complete and type checkers see
    from keras_mtnet.clip_spec import ClipSpec
    from keras_mtnet.convert import convert_weights
    from keras_mtnet.costs import count_costs
    from keras_mtnet.export import export_litert, export_onnx, export_savedmodel, load_export
    from keras_mtnet.inference import (
        annotate_video,
        evaluate_views,
        predict_camera,
        predict_timeline,
        predict_video,
    )
    from keras_mtnet.models import *
    from keras_mtnet.presets import list_presets
    from keras_mtnet.surgery import fuse, to_mtconv

# On many CPUs TensorFlow leaves oneDNN off, and the gradient of a strided Conv3D then takes sixty
# times as long. TensorFlow reads this when it is imported, so import keras_mtnet first; training
# warns where it was too late.
if "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

# module -> the public names it defines
_NAMES = {
    "clip_spec": ("ClipSpec",),
    "convert": ("convert_weights",),
    "costs": ("count_costs",),
    "export": ("export_litert", "export_onnx", "export_savedmodel", "load_export"),
    "inference": (
        "annotate_video",
        "evaluate_views",
        "predict_camera",
        "predict_timeline",
        "predict_video",
    ),
    "models": (
        *NETWORKS,
        "decode_predictions",
        "feature_extractor",
        "load_model",
        "preprocess_input",
    ),
    "presets": ("list_presets",),
    "surgery": ("fuse", "to_mtconv"),
}
_MODULES = (
    *("callbacks", "data", "explain", "layers", "models", "optimizers", "presets", "training"),
    *("video", "weights"),
)
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*sorted(_MODULE_OF), *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]


# --- keras.models.load_model knows our layers ---------------------------------------------------

# Keras finds the classes that a saved model names only once they were imported, and importing them
# here would import Keras, which takes seconds. So they are imported when Keras has been.
_REGISTERING = ("layers", "models", "optimizers")


def _register() -> None:
    for module in _REGISTERING:
        importlib.import_module(f"{__name__}.{module}")


class _WhenKerasIsImported:
    """A finder of modules that finds Keras as usual, and registers our classes afterwards."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "keras":
            return None
        sys.meta_path.remove(cls)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: Any) -> None:
                execute(module)
                _register()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


if sys.modules.get("keras"):
    _register()
else:
    sys.meta_path.insert(0, _WhenKerasIsImported)
