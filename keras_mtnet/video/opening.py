"""Opens whatever a user may pass as a video."""

import numbers
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_mtnet.video.array_video import ArrayVideo
from keras_mtnet.video.frame_folder import FrameFolder
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.source import VideoError, VideoSource
from keras_mtnet.video.video_file import VideoFile

_MOST_BYTES = 2**31  # of frames that an iterator gives
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def open_video(
    source: Any,
    name: str | None = None,
    start: float | None = None,
    end: float | None = None,
    fps: float | None = None,
    cache: ReadCache | None = None,
) -> VideoSource:
    """Describes a video that is to be read; nothing is opened yet.

    Args:
        source: path of a video file or of a folder of pictures, bytes of a file, frames as an
            array uint8 `(T, H, W, 3)`, a list or an iterator of arrays, or what `open_video`
            returned. Frames of an iterator are kept in memory, up to 2 GB.
        name: what messages call it.
        start: where the part to read begins, in seconds; None for the start of the video.
        end: where it ends, in seconds; None for the end of the video.
        fps: number frames at this rate, each being the one nearest in time.
        cache: keeps what was learned about files between reads.

    Raises:
        VideoError: for an address.
        ValueError: for anything else that is no video.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> with mt.video.open_video([np.zeros((32, 48, 3), "uint8")] * 20) as video:
    ...     video.frame_count
    20
    """
    if isinstance(source, VideoSource):
        return source
    part: dict[str, Any] = {"name": name, "start": start, "end": end, "fps": fps}
    if isinstance(source, str | os.PathLike):
        if is_address(source):
            raise VideoError(name or source, "an address; download the file and give its path")
        if os.path.isdir(source):
            return FrameFolder(source, **part, cache=cache)
        return VideoFile(source, **part, cache=cache)
    if isinstance(source, bytes | bytearray | memoryview):
        return VideoFile(bytes(source), **part)
    if isinstance(source, Iterator):
        source = _collect(source)
    number = isinstance(source, numbers.Number | np.generic)
    if not number and (isinstance(source, Sequence) or hasattr(source, "__array__")):
        return ArrayVideo(source, **part)
    camera = ", a camera: pass its frames as a list of arrays" if number else ""
    raise ValueError(
        "A video must be the path of a file or of a folder of pictures, bytes, or RGB frames. "
        f"Received: {source!r:.99}{camera}"
    )


def _collect(frames: Iterator[Any]) -> list[np.ndarray]:
    kept, size = [], 0
    for frame in frames:
        kept.append(np.asarray(frame))
        size += kept[-1].nbytes
        if size > _MOST_BYTES:
            raise ValueError(
                f"The frames of an iterator must fit into {_MOST_BYTES / 2**30:g} GB; the first "
                f"{len(kept)} do not. keras_mtnet.predict_timeline takes as many as there are."
            )
    return kept


def is_address(source: Any) -> bool:
    """Whether a source is the address of something on a network."""
    is_text = isinstance(source, str | os.PathLike)
    return is_text and bool(_ADDRESS.match(os.fspath(source))) and not os.path.exists(source)


def read_frames(
    source: Any, indices: np.ndarray, size: int | tuple[int, int] | None = None
) -> np.ndarray:
    """Reads single frames of a video.

    Args:
        source: as for `open_video`.
        indices: frame numbers `(n,)` in presentation order, from 0; any order, repeats allowed.
        size: length of the shorter side of the result in pixels, or `(height, width)`; the
            video's own size when None.

    Returns:
        RGB frames, uint8 `(n, height, width, 3)`.

    Raises:
        VideoError: if the video has fewer readable frames than `max(indices) + 1`.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> mt.data.read_frames(np.zeros((10, 32, 48, 3), "uint8"), [9, 0]).shape
    (2, 32, 48, 3)
    """
    with open_video(source) as video:
        return video.read(indices, size=size)


def count_frames(source: Any) -> int:
    """How many frames of a video can be decoded, by decoding them all.

    `source` is as for `open_video`. VideoError if there is none.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> mt.data.count_frames(np.zeros((10, 32, 48, 3), "uint8"))
    10
    """
    with open_video(source) as video:
        return video.exact_count()
