"""Videos: opening, indexing, decoding and checking them, with PyAV and NumPy alone.

Names load on first use: the lists of suffixes need no decoder.
"""

import importlib
from typing import Any

# public name -> the module that defines it
_NAMES = {
    "ArrayVideo": "array_video",
    "EndsEarly": "source",
    "FrameFolder": "frame_folder",
    "ReadCache": "read_cache",
    "VideoCheck": "check",
    "VideoError": "source",
    "VideoFile": "video_file",
    "VideoSource": "source",
    "check_videos": "check",
    "count_frames": "opening",
    "open_video": "opening",
    "read_frames": "opening",
}

__all__ = [*_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
