"""Naming what people do in one video."""

import os
from collections.abc import Sequence

import keras

from keras_mtnet.data import ReadReport, VideoError, read_videos
from keras_mtnet.evaluation import score_views
from keras_mtnet.models import decode_predictions


def predict_video(
    model: keras.Model,
    path: str | os.PathLike,
    top: int = 5,
    class_names: Sequence[str] | None = None,
    clips: int = 10,
    crops: int = 3,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    batch_size: int = 8,
) -> list[tuple[str, float]]:
    """Scores one video by the mean over several of its views.

    Args:
        model: from clips `(N, T, H, W, 3)` to class probabilities `(N, classes)`.
        path: a video file, or a folder of pictures.
        top: how many classes to return.
        class_names: in label order; the labels' numbers when None.
        clips: clips spread uniformly over the video.
        crops: crops of each clip, spread along the longer side.
        frames: frames of a clip; those of the model's input when None.
        stride: every n-th frame is in a clip; 2 when None. Give what the model was trained with.
        size: height and width of a clip in pixels; that of the model's input when None.
        batch_size: views that go through the model at a time.

    Returns:
        Pairs of name and score in [0, 1], best first.

    Raises:
        VideoError: if the video cannot be read.
        ValueError: if the names do not fit the model, or the size of a clip is not known.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1. Received: top={top}")
    options = {"num_clips": clips, "num_crops": crops, "stride": stride}
    report = ReadReport()
    videos = read_videos([os.fspath(path)])
    found = score_views(model, videos, batch_size, frames, size, report=report, **options)
    for scores, _, _ in found:
        return decode_predictions(scores[None], top, class_names)[0]
    raise VideoError(os.fspath(path), report.failed[os.fspath(path)])
