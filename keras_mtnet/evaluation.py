"""Testing: class scores averaged over several views of each video."""

import dataclasses
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_mtnet.data import ReadReport, Videos, views


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a test found. Every listed video is scored, unreadable or missing, and counted once.

    Attributes:
        top1: share of the scored videos whose class has the highest score.
        top5: share of those whose class is among the five highest (fewer than six classes: 1).
        listed: number of videos on the list.
        scored: number of videos with scores.
        unreadable: dict from the name of a video that could not be read to the reason.
        damaged: the same for videos that were scored by the part of them that could be read.
        missing: names of listed videos that are not on disk.
        class_names: in label order.
        confusion: counts `(classes, classes)`, true classes down, predicted ones across.
    """

    top1: float
    top5: float
    listed: int
    scored: int
    unreadable: dict[str, str]
    damaged: dict[str, str]
    missing: tuple[str, ...]
    class_names: tuple[str, ...]
    confusion: np.ndarray

    @property
    def chance(self) -> float:
        """Top-1 of guessing: one in the number of classes."""
        return 1 / len(self.class_names)

    @property
    def most_frequent(self) -> float:
        """Top-1 of always naming the class that most of the scored videos have."""
        return float(self.confusion.sum(axis=1).max() / self.scored)

    @property
    def per_class(self) -> dict[str, float | None]:
        """Top-1 of each class; None for a class without a scored video."""
        totals, right = self.confusion.sum(axis=1), self.confusion.diagonal()
        return {
            name: float(r / t) if t else None
            for name, r, t in zip(self.class_names, right, totals, strict=True)
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it as numbers, strings, lists and dicts, for JSON."""
        return {
            **dataclasses.asdict(self),
            "confusion": self.confusion.tolist(),
            "chance": self.chance,
            "most_frequent": self.most_frequent,
            "per_class": self.per_class,
        }

    def __str__(self) -> str:
        counts = f"{self.scored} of {self.listed} videos scored"
        if self.unreadable:
            counts += f", {len(self.unreadable)} unreadable"
        if self.missing:
            counts += f", {len(self.missing)} missing"
        lines = [
            f"top-1 {self.top1:.4f}   top-5 {self.top5:.4f}   "
            f"(chance {self.chance:.4f}, always the most frequent class {self.most_frequent:.4f})",
            counts,
            *(f"  {name}: {reason}" for name, reason in sorted(self.unreadable.items())),
            *(
                f"  {name}: scored in part, {reason}"
                for name, reason in sorted(self.damaged.items())
            ),
            *(f"  {name}: missing" for name in self.missing),
        ]
        return "\n".join(lines)


def evaluate_views(
    model: keras.Model,
    videos: Videos,
    clips: int = 10,
    crops: int = 3,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    batch_size: int = 8,
    verbose: bool = True,
) -> Evaluation:
    """Tests a classifier on videos, each by the mean of its scores over several views.

    Args:
        model: from clips `(N, T, H, W, 3)` to class probabilities `(N, classes)`.
        videos: labelled videos, from `read_split`.
        clips: clips spread uniformly over a video.
        crops: crops of each clip, spread along the longer side.
        frames: frames of a clip; those of the model's input when None.
        stride: every n-th frame is in a clip; that of the data set when None.
        size: height and width of a clip in pixels; that of the model's input when None.
        batch_size: views that go through the model at a time.
        verbose: show a progress bar where the output is a terminal.

    Returns:
        An `Evaluation`; `str` of it is a short report.

    Raises:
        ValueError: if videos and model do not have the same number of classes, a video has no
            label, the size of a clip is not known, scores are not finite, or no video can be read.
    """
    classes = model.output_shape[-1]
    if len(videos.class_names) != classes:
        raise ValueError(
            f"The model scores {classes} classes, the videos have {len(videos.class_names)}."
        )
    if any(video.label < 0 for video in videos):
        raise ValueError("evaluate_views needs labelled videos; predict_video needs no labels.")
    report = ReadReport()
    options = {"num_clips": clips, "num_crops": crops, "stride": stride, "report": report}
    confusion, top5 = np.zeros((classes, classes), "int64"), 0
    shown = int(verbose and sys.stdout.isatty())
    bar = keras.utils.Progbar(len(videos), unit_name="video", verbose=shown)
    for scores, label, _ in score_views(model, videos, batch_size, frames, size, **options):
        confusion[label, scores.argmax()] += 1
        # Of equal scores the earlier class is ahead, as in argmax.
        ahead = (scores > scores[label]).sum() + (scores[:label] == scores[label]).sum()
        top5 += int(ahead < 5)
        bar.update(int(confusion.sum()) + len(report.failed), finalize=False)
    bar.update(len(videos), finalize=True)
    scored = int(confusion.sum())
    if not scored:
        raise ValueError(f"None of the {len(videos)} videos can be read.\n{report.summary()}")
    return Evaluation(
        top1=float(confusion.trace() / scored),
        top5=top5 / scored,
        listed=len(videos) + len(videos.missing),
        scored=scored,
        unreadable=dict(report.failed),
        damaged=dict(report.damaged),
        missing=videos.missing,
        class_names=videos.class_names,
        confusion=confusion,
    )


def score_views(
    model: keras.Model,
    videos: Videos,
    batch_size: int,
    frames: int | None,
    size: int | None,
    **options: Any,
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields the mean scores `(classes,)`, the label and the place of every readable video.

    Args:
        model: as for `evaluate_views`.
        videos: from `read_split` or `read_videos`.
        batch_size: as for `evaluate_views`.
        frames: as for `evaluate_views`.
        size: as for `evaluate_views`.
        **options: more arguments of `keras_mtnet.data.views`.
    """
    frames, size = clip_shape(model, frames, size)
    for clips, label, place in views(videos, frames, size=size, **options):
        # Never more than `batch_size` views in the model. Batches of two sizes at most, so the
        # model is traced twice at most.
        parts = [clips[i : i + batch_size] for i in range(0, clips.shape[0], batch_size)]
        scores = np.concatenate([_score(model, part) for part in parts])
        if not np.isfinite(scores).all():
            raise ValueError(f"The model's scores of {videos[int(place)].name} are not finite.")
        yield scores.mean(axis=0), int(label), int(place)


# Batches that each model has scored so far, to trace only those that have enough to do.
_SCORED: weakref.WeakKeyDictionary[keras.Model, int] = weakref.WeakKeyDictionary()
# Tracing a deep network takes as long as some twenty batches cost more without.
_UNTRACED_BATCHES = 20


def _score(model: keras.Model, clips: Any) -> np.ndarray:
    """Scores `(N, classes)`: operation by operation first, then by a traced function.

    JAX is always traced: it would compile every operation by itself.
    """
    done = _SCORED.get(model, 0)
    _SCORED[model] = done + 1
    if done < _UNTRACED_BATCHES and keras.backend.backend() != "jax":
        return keras.ops.convert_to_numpy(model(clips, training=False))
    return model.predict_on_batch(clips)


def clip_shape(model: keras.Model, frames: int | None, size: int | None) -> tuple[int, int]:
    """Frames and size of the clips a model takes: its own, or the given ones if it takes any.

    Raises:
        ValueError: if neither says it, or they differ.
    """
    _, own_frames, height, width, _ = model.input_shape
    if height != width:
        raise ValueError(f"Clips are square; the model takes {height} x {width} pixels.")
    for name, given, own in (("frames", frames, own_frames), ("size", size, height)):
        if given is None and own is None:
            raise ValueError(f"The model takes clips of any {name}: pass {name}.")
        if None not in (given, own) and given != own:
            raise ValueError(f"The model takes clips of {name}={own}. Received: {name}={given}")
    return frames or own_frames, size or height
