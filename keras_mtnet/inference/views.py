"""The clips that a network takes, and a video's score as the mean over several of them."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_mtnet.checks import check_counts
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.models.video_model import clip_spec_of
from keras_mtnet.scoring import Scorer
from keras_mtnet.video import EndsEarly


def resolve_spec(model: keras.Model, **given: Any) -> ClipSpec:
    """The clips to read: what the model knows of them, filled in by the arguments."""
    ClipSpec(**given)  # refuses wrong values as such, before any contradiction
    shape = getattr(model, "input_shape", None) or (None,) * 4 + (3,)
    if isinstance(shape, list | dict) or len(shape) != 5:
        raise ValueError(
            "The model must have one input, clips (N, T, H, W, 3). "
            f"Received: {model.name} with input_shape={shape}"
        )
    _, frames, height, width, _ = shape
    if height != width:
        raise ValueError(f"Clips are square. Received: a model of {height} x {width} pixels")
    for name, own in (("frames", frames), ("size", height)):
        if None not in (own, given[name]) and own != given[name]:
            raise ValueError(
                f"The model takes clips of {name}={own}. Received: {name}={given[name]}"
            )
    spec = clip_spec_of(model).merge(**given)
    own = {"frames": frames, "size": height}
    spec = dataclasses.replace(spec, **{name: value for name, value in own.items() if value})
    needed = ("frames", "size") + (("stride",) if spec.sampling != "uniform" else ())
    missing = [name for name in needed if getattr(spec, name) is None]
    if missing:
        raise ValueError(
            f"{model.name} does not know its {' and '.join(missing)}: pass "
            f"{', '.join(f'{name}=...' for name in missing)} as it was trained with, or set "
            "model.clip_spec."
        )
    return spec


def score_video(
    scorer: Scorer,
    reader: ClipReader,
    video: Any,
    num_clips: int,
    num_crops: int,
    averaging: str = "probabilities",
) -> np.ndarray:
    """The scores of a video `(classes,)`; views that take much memory are read clip by clip.

    Raises:
        VideoError: if it cannot be read.
        ValueError: if scores are not finite.
    """
    check_counts(num_clips=num_clips, num_crops=num_crops)
    with reader.open(video) as source:
        if reader.read_ahead_fits(num_clips, num_crops):
            views = reader.views(source, num_clips, num_crops)
            return mean_scores(scorer, views, source.name, averaging)
        try:
            parts = [scorer(each) for each in reader.views_by_clip(source, num_clips, num_crops)]
        except EndsEarly:  # damage came to light: choose again among the frames before it
            parts = [scorer(each) for each in reader.views_by_clip(source, num_clips, num_crops)]
        return _mean(scorer, np.concatenate(parts), source.name, averaging)


def mean_scores(
    scorer: Scorer, views: np.ndarray, name: str, averaging: str = "probabilities"
) -> np.ndarray:
    """The scores of a video `(classes,)` from its views."""
    return _mean(scorer, scorer(views), name, averaging)


def _mean(scorer: Scorer, scores: np.ndarray, name: str, averaging: str) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise ValueError(f"The model's scores of {name} are not finite.")
    return scorer.mean(scores, averaging)
