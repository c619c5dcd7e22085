"""What a camera, or a stream on a network, shows right now."""

import functools
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from keras_mtnet.checks import check_above_0, check_counts, given
from keras_mtnet.data import geometry
from keras_mtnet.inference.views import mean_scores, resolve_spec
from keras_mtnet.models import decode_predictions
from keras_mtnet.scoring import Scorer
from keras_mtnet.video.camera import Camera


def predict_camera(
    model: keras.Model,
    address: str | int,
    step: float | None = None,
    top: int = 5,
    num_crops: int = 1,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    fps: float | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    activation: str | None = None,
) -> Iterator[tuple[float, list[tuple[str, float]]]]:
    """Classifies the newest frames of a camera or stream, again and again until it ends.

    Frames that come while the network computes are left out, so answers are never late.

    Args:
        model, top, num_crops, frames, stride, size, fps, class_names, batch_size, activation: as
            for `predict_video`.
        address: of a stream (`rtsp://`, `udp://`, `tcp://`, `http://` and the like), or a camera
            of this machine: `/dev/video0` or its number.
        step: least seconds from one answer to the next; as often as the network can when None.

    Yields:
        When the last frame of the clip was shown, in seconds since the first one, and pairs of
        name and score in [0, 1], best first.

    Raises:
        VideoError: if the camera cannot be read, or ends before one clip.
        ValueError: as of `predict_video`; for a network with uniform sampling, whose clips have no
            length of their own.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> next(mt.predict_camera(model, "tcp://127.0.0.1:9", stride=2))
    Traceback (most recent call last):
    keras_mtnet.video.source.VideoError: tcp://127.0.0.1:9: it cannot be read ...
    """
    check_counts(top=top, num_crops=num_crops)
    check_above_0(**given(step=step))
    scorer = Scorer(model, activation, batch_size)
    spec = resolve_spec(
        model,
        frames=frames,
        stride=stride,
        size=size,
        fps=fps,
        class_names=class_names,
        sampling=None,
    )
    if spec.class_names is not None:
        scorer.check_classes(spec.class_names)
    if spec.sampling == "uniform":
        raise ValueError(
            f"{model.name} samples frames uniformly from a whole video, which a camera has no end "
            "of: pass clips of its frames to predict_timeline, with window=..."
        )
    boxes = functools.partial(geometry.uniform_squares, crops=num_crops)
    span = (spec.frames - 1) * spec.stride + 1
    camera = Camera(address, span, (spec.size, spec.size), boxes, spec.fps)
    return _watch(scorer, camera, spec.stride, step or 0.0, top, spec.class_names)


def _watch(
    scorer: Scorer,
    camera: Camera,
    stride: int,
    step: float,
    top: int,
    class_names: Sequence[str] | None,
) -> Iterator[tuple[float, list[tuple[str, float]]]]:
    for time, pixels in camera.newest(step):
        clips = np.ascontiguousarray(pixels[::stride].swapaxes(0, 1))
        scores = mean_scores(scorer, clips, camera.name)
        yield time, decode_predictions(scores[None], top, class_names)[0]
