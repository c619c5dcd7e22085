"""The clips that a network takes, and a video's score as the mean over several of them."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.models.video_model import clip_spec_of
from keras_mtnet.scoring import Scorer


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


def mean_scores(scorer: Scorer, views: np.ndarray, name: str) -> np.ndarray:
    """The scores of a video `(classes,)` from its views."""
    scores = scorer(views)
    if not np.isfinite(scores).all():
        raise ValueError(f"The model's scores of {name} are not finite.")
    return scores.mean(axis=0)
