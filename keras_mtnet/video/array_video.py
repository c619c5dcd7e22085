"""Frames that are in memory already."""

from collections.abc import Generator, Sequence

import av
import numpy as np

from keras_mtnet.video.frame_index import FrameIndex
from keras_mtnet.video.source import VideoSource

_USUAL_RATE = 25.0


class ArrayVideo(VideoSource):
    """Frames in memory, as a camera or another decoder returns them.

    Args:
        frames: RGB, uint8 `(T, H, W, 3)`, or a list of `(H, W, 3)`.
        rate: their own frames per second; taken to be `fps` when None.
        name, start, end, fps: as for `open_video`.

    Raises:
        ValueError: if they are no such frames.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> video = mt.video.ArrayVideo(np.zeros((10, 32, 48, 3), "uint8"))
    >>> video.frame_count, video.read([0, 9], size=16).shape
    (10, (2, 16, 24, 3))
    """

    def __init__(
        self,
        frames: np.ndarray | Sequence[np.ndarray],
        name: str | None = None,
        start: float | None = None,
        end: float | None = None,
        fps: float | None = None,
        rate: float | None = None,
    ):
        self._frames = [np.asarray(frame) for frame in frames]
        if not self._frames:
            raise ValueError("frames must not be empty. Received: no frame")
        for frame in self._frames:
            if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
                raise ValueError(
                    "frames must be RGB, uint8 (T, H, W, 3) with values of 0 to 255. "
                    f"Received: a frame of {frame.dtype} {frame.shape}"
                )
        super().__init__(name or f"<{len(self._frames)} frames>", start, end, fps)
        self._rate = rate

    @property
    def fps(self) -> float | None:
        return self._fps or self._rate

    @property
    def index(self) -> FrameIndex:
        return FrameIndex.even(len(self._frames), self._rate or self._fps or _USUAL_RATE)

    def _decode(self, index: FrameIndex, wanted: np.ndarray) -> Generator[av.VideoFrame]:
        for number in wanted:
            yield av.VideoFrame.from_ndarray(np.ascontiguousarray(self._frames[number]), "rgb24")
