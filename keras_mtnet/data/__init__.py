"""Video data: catalogs of data sets, decoding, augmentation, clips as `tf.data`.

Names load on first use: decoding and checking files need no TensorFlow.
"""

import importlib
from typing import Any

# public name -> the module that defines it
_NAMES = {
    "DATASETS": "data.catalog",
    "Augment": "data.augment",
    "ClipSequence": "data.clip_sequence",
    "ReadReport": "data.report",
    "Video": "data.videos",
    "VideoCheck": "video.check",
    "VideoError": "video.source",
    "Videos": "data.videos",
    "check_videos": "video.check",
    "clips": "data.pipeline",
    "count_frames": "video.opening",
    "draw_dataset": "data.synthetic",
    "pack": "data.packing.writer",
    "read_clip": "data.clip_reader",
    "read_frames": "video.opening",
    "read_split": "data.splits",
    "read_videos": "data.videos",
    "video_dataset_from_directory": "data.directory",
    "views": "data.pipeline",
}

__all__ = [*_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        try:
            return getattr(importlib.import_module(f"keras_mtnet.{_NAMES[name]}"), name)
        except ModuleNotFoundError as error:
            if error.name != "tensorflow":
                raise
            raise ImportError(
                f"keras_mtnet.data.{name} needs TensorFlow, which is not installed. Without it, "
                "keras_mtnet.data.ClipSequence gives the same clips."
            ) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
