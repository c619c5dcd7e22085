"""Frames of a camera or of a stream on a network, as they come."""

import re
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from keras_mtnet.checks import check_above_0, check_counts, given
from keras_mtnet.video.rgb import Boxes, Converter
from keras_mtnet.video.source import VideoError

_SCHEMES = ("http", "https", "rtmp", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
_OPTIONS = {
    # A playlist of a server must not open files of this machine.
    "protocol_whitelist": "crypto,hls,http,https,httpproxy,rtmp,rtp,rtsp,srt,tcp,tls,udp",
    "max_pixels": str(2**26),
}


class Camera:
    """The newest frames of a camera, which a thread reads. Whoever is late misses the others.

    Args:
        address: of a stream (`rtsp://`, `udp://`, `tcp://`, `http://` and the like), or a camera
            of this machine: `/dev/video0` or its number.
        keep: how many frames are kept.
        size, boxes: as for `VideoSource.read`.
        fps: keep so many frames of each second; all when None.
        timeout: seconds to wait for a frame.

    Raises:
        ValueError: for what is no such address.

    Example:

    >>> Camera("clip.mp4", keep=16)
    Traceback (most recent call last):
    ValueError: A camera must be ... Received: 'clip.mp4'
    """

    def __init__(
        self,
        address: str | int,
        keep: int,
        size: int | tuple[int, int] | None = None,
        boxes: Boxes | None = None,
        fps: float | None = None,
        timeout: float = 10.0,
    ):
        check_counts(keep=keep)
        check_above_0(**given(fps=fps, timeout=timeout))
        self.name = str(address)
        if self.name.isdecimal():
            self.name = f"/dev/video{self.name}"
        scheme = re.match(r"([a-z]+)://", self.name)
        if not self.name.startswith("/dev/video") and not (scheme and scheme[1] in _SCHEMES):
            raise ValueError(
                f"A camera must be its number, /dev/video0 or the like, or an address of "
                f"{', '.join(each + '://' for each in _SCHEMES)}. Received: {address!r}"
            )
        self._keep, self._fps, self._timeout = keep, fps, timeout
        self._convert = Converter(size, boxes)
        self._frames: deque[tuple[float, np.ndarray]] = deque(maxlen=keep)
        self._read = 0  # frames so far
        self._changed = threading.Condition()
        self._end: str | None = None
        self._stopped = False

    def newest(self, step: float = 0.0) -> Iterator[tuple[float, np.ndarray]]:
        """Yields the newest `keep` frames, uint8 `(keep, ...)`, and when the last one was shown.

        Times are seconds since the first frame, at least `step` apart. It ends with the stream.

        Raises:
            VideoError: if the camera cannot be read, or a stream ends before `keep` frames.
        """
        thread = threading.Thread(target=self._run, name="camera", daemon=True)
        thread.start()
        last = -np.inf
        try:
            while (found := self._wait(last + step)) is not None:
                last = found[0]
                yield found
        finally:
            self._stopped = True
            thread.join()

    def _wait(self, after: float) -> tuple[float, np.ndarray] | None:
        """The newest frames once there are enough that are new; None at the end."""

        def ready() -> bool:
            whole = len(self._frames) == self._keep
            return self._end is not None or (whole and self._frames[-1][0] > after)

        with self._changed:
            self._changed.wait_for(ready)
            if len(self._frames) < self._keep:
                reason = f"it ended after {self._read} frames; a clip needs {self._keep}"
                raise VideoError(self.name, self._end or reason)
            if self._end and self._frames[-1][0] <= after:
                raise VideoError(self.name, self._end)
            if self._frames[-1][0] <= after:
                return None
            return self._frames[-1][0], np.stack([pixels for _, pixels in self._frames])

    def _run(self) -> None:
        end = ""
        try:
            self._read_all()
        except Exception as error:  # whatever it is, nobody shall wait for frames any more
            late = isinstance(error, av.error.ExitError)
            text = getattr(error, "strerror", None) or str(error)
            end = (
                f"no frame for {self._timeout:g} seconds" if late else f"it cannot be read ({text})"
            )
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _read_all(self) -> None:
        device = self.name.startswith("/dev/")
        options: dict[str, Any] = {"format": "v4l2"} if device else {"options": _OPTIONS}
        with av.open(self.name, "r", timeout=self._timeout, **options) as container:
            if not container.streams.video:
                raise ValueError("no video stream in it")
            first, shown = None, 0
            for frame in container.decode(video=0):
                if self._stopped:
                    return
                time = frame.time if frame.time is not None else self._read / 25
                first = time if first is None else first
                # At a rate of its own, a frame stands for all moments since the one before.
                due = 1 if self._fps is None else int((time - first) * self._fps + 1e-3) + 1 - shown
                if due > 0:
                    shown += due
                    self._add(time - first, self._convert(frame).copy(), due)

    def _add(self, time: float, pixels: np.ndarray, times: int) -> None:
        with self._changed:
            self._frames.extend([(time, pixels)] * min(times, self._keep))
            self._read += times
            self._changed.notify_all()
