"""A copy of a video with the names of what happens drawn in."""

import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import keras
import numpy as np

from keras_mtnet.checks import check_counts
from keras_mtnet.files import write_beside
from keras_mtnet.inference.timeline import Timeline, predict_timeline
from keras_mtnet.models import decode_predictions
from keras_mtnet.video.download import local_video
from keras_mtnet.video.opening import open_video

_TICKS = 60_000  # per second: whole numbers of them at all usual rates, and MPEG-4 takes no more
_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4")


def annotate_video(
    model: keras.Model, source: Any, output: str | os.PathLike, top: int = 3, **options: Any
) -> Timeline:
    """Writes a copy of a video, with the best classes of each moment and their scores drawn in.

    H.264 where FFmpeg has it, else MPEG-4, at the video's own rate. The copy has no sound.

    Args:
        model, source: as for `predict_timeline`, but no iterator, as it is read twice.
        output: file to write, `.mp4`, `.mkv`, `.mov` or `.avi`.
        top: how many classes to name.
        options: other arguments of `predict_timeline`.

    Returns:
        The `Timeline` that was drawn.

    Raises:
        VideoError: if the video cannot be read.
        ValueError: as of `predict_timeline`, or for another suffix.
        ImportError: without Pillow, of the extra `keras-mtnet[plots]`.

    Example:

    >>> import tempfile, numpy as np, keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> video = np.zeros((40, 96, 128, 3), "uint8")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     timeline = mt.annotate_video(model, video, f"{folder}/a.mp4", rate=25, stride=5)
    ...     mt.data.count_frames(f"{folder}/a.mp4")
    40
    """
    check_counts(top=top)
    suffix = Path(output).suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"output must end in one of {_SUFFIXES}. Received: output={output}")
    if isinstance(source, Iterator):
        raise ValueError("annotate_video reads a video twice, which an iterator cannot be.")
    font_file()  # before a long computation
    with local_video(source) as local:
        timeline = predict_timeline(model, local, **options)
        video = open_video(local)
        count = video.exact_count() if timeline.damage else video.frame_count
        times = video.times(np.arange(count))
        if video.fps is None or options.get("rate"):
            times = np.arange(count) * timeline.bounds[-1] / count
        places = np.searchsorted(timeline.bounds[1:-1], times, "right")
        best = decode_predictions(timeline.scores, top, timeline.class_names)
        with write_beside(output) as beside:
            _encode(beside, video.stream(), times, [best[place] for place in places])
    if local is not source:
        timeline = dataclasses.replace(timeline, name=os.fspath(source))
    return timeline


def font_file() -> str | None:
    """DejaVu Sans, which matplotlib brings and has most scripts; None for Pillow's own font.

    Raises:
        ImportError: without Pillow.
    """
    try:
        import PIL.ImageFont  # noqa: F401
    except ImportError as error:
        message = 'Drawing names needs Pillow. Run: pip install "keras-mtnet[plots]"'
        raise ImportError(message) from error
    try:
        import matplotlib
    except ImportError:
        return None
    return os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def _encode(path: Path, frames: Any, times: np.ndarray, best: list) -> None:
    h264 = "libx264" in av.codecs_available
    options = {"crf": "20", "preset": "veryfast"} if h264 else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if h264 else "mpeg4", options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        label, shown = np.zeros((0, 0, 4)), None
        for pixels, time, names in zip(frames, times, best, strict=True):
            height, width = (length // 2 * 2 for length in pixels.shape[:2])  # even, for 4:2:0
            if shown is None:
                stream.height, stream.width = height, width
            if names is not shown:
                label, shown = _draw(names, height, width), names
            frame = av.VideoFrame.from_ndarray(_blend(pixels[:height, :width], label), "rgb24")
            frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _draw(names: list[tuple[str, float]], height: int, width: int) -> np.ndarray:
    """Lines of text, float `(h, w, 4)`: RGB of 0 to 255, and from 0 to 1 how much it covers."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(10, height // 20)
    file = font_file()
    font: Any = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    pad, line = size // 3, round(1.3 * size)
    texts = [f"{score:.2f}  {' '.join(name.split())}" for name, score in names]
    wide = round(max(font.getlength(text) for text in texts)) + 2 * pad
    picture = Image.new(
        "RGBA", (min(width, wide), min(height, line * len(texts) + pad)), "#000000a0"
    )
    draw = ImageDraw.Draw(picture)
    for row, text in enumerate(texts):
        draw.text((pad, pad // 2 + row * line), text, "#ffffff" if row == 0 else "#c0c0c0", font)
    label = np.asarray(picture).astype("float32")
    label[..., 3] /= 255
    return label


def _blend(pixels: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A copy of a frame with the label in its lower left corner."""
    frame = np.array(pixels)
    high, wide = label.shape[:2]
    place = frame[len(frame) - high :, :wide]
    cover = label[..., 3:]
    place[...] = np.round(label[..., :3] * cover + place * (1 - cover))
    return frame
