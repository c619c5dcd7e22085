"""Video data: catalogs of data sets, decoding, augmentation, clips as `tf.data`.

Names load on first use: decoding and checking files need no TensorFlow.
"""

import importlib
from typing import Any

# public name -> the module that defines it
_NAMES = {
    "STRIDES": "videos",
    "Augment": "augment",
    "ReadReport": "report",
    "Video": "videos",
    "VideoCheck": "check",
    "VideoError": "decode",
    "Videos": "videos",
    "check_videos": "check",
    "clips": "pipeline",
    "clips_from_directory": "pipeline",
    "count_frames": "decode",
    "draw_dataset": "synthetic",
    "pack": "packing.writer",
    "read_clip": "pipeline",
    "read_frames": "decode",
    "read_split": "catalog",
    "read_videos": "videos",
    "read_window": "decode",
    "views": "pipeline",
}

__all__ = [*_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
