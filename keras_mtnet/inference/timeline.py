"""What happens when in a long video: the scores of windows that slide over it."""

import csv
import dataclasses
import io
import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from absl import logging

from keras_mtnet.checks import check_above_0, check_counts, given
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.windows import Sliding, Window, check_length
from keras_mtnet.files import write_text
from keras_mtnet.inference.subtitles import to_srt
from keras_mtnet.inference.views import resolve_spec
from keras_mtnet.scoring import Scorer
from keras_mtnet.video.array_video import ArrayVideo
from keras_mtnet.video.download import local_video
from keras_mtnet.video.frame_folder import FrameFolder
from keras_mtnet.video.opening import open_video
from keras_mtnet.video.source import EndsEarly, VideoError, VideoSource


class Segment(NamedTuple):
    """A part of a video in which one class goes on: seconds, name, mean score of its windows."""

    start: float
    end: float
    label: str
    score: float


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Scores of the windows of a video, one after the other.

    Attributes:
        name: the video.
        class_names: in label order.
        bounds: seconds since the first frame, float `(windows + 1,)`. Window `i` stands for what is
            between `bounds[i]` and `bounds[i + 1]`, halfway to its neighbors' centers.
        scores: float `(windows, classes)`, each in [0, 1].
        multi_label: whether scores are independent of each other (several sigmoids).
        damage: why the video ends early; None where it does not.

    Example:

    >>> scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    >>> timeline = Timeline("a.mp4", ("jump", "run"), np.array([0.0, 2.0, 4.0, 6.0]), scores)
    >>> [(s.start, s.end, s.label, round(s.score, 3)) for s in timeline.segments()]
    [(0.0, 4.0, 'jump', 0.8), (4.0, 6.0, 'run', 0.8)]
    """

    name: str
    class_names: tuple[str, ...]
    bounds: np.ndarray
    scores: np.ndarray
    multi_label: bool = False
    damage: str | None = None

    def segments(self, threshold: float = 0.5) -> list[Segment]:
        """Neighboring windows of the same class put together, in the order of their starts.

        Windows whose best score is below `threshold` have no class. Of several sigmoids every class
        that reaches it counts, so that segments may overlap.
        """
        present = self.scores >= threshold
        if not self.multi_label:
            present &= self.scores.argmax(axis=1)[:, None] == np.arange(self.scores.shape[1])
        found = []
        for label in np.flatnonzero(present.any(axis=0)):
            places = np.flatnonzero(present[:, label])
            for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
                start, end = self.bounds[run[0]], self.bounds[run[-1] + 1]
                score = float(self.scores[run, label].mean())
                found.append(Segment(float(start), float(end), self.class_names[label], score))
        return sorted(found)

    def write(self, path: str | os.PathLike, threshold: float = 0.5) -> None:
        """Writes the segments as `.csv` or `.srt`, or a picture of the scores (`.png`, `.svg`).

        CSV has the columns `start,end,label,score`, times in seconds.
        """
        kind = Path(path).suffix.lower()
        if kind == ".csv":
            text = io.StringIO()
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(Segment._fields)
            for start, end, label, score in self.segments(threshold):
                rows.writerow([f"{start:.3f}", f"{end:.3f}", label, f"{score:.4f}"])
            write_text(path, text.getvalue())
        elif kind == ".srt":
            lines = ((s.start, s.end, f"{s.label} {s.score:.2f}") for s in self.segments(threshold))
            write_text(path, to_srt(lines))
        else:
            from keras_mtnet import plots

            plots.timeline(self.bounds, self.scores, self.class_names, path, title=self.name)


def predict_timeline(
    model: keras.Model,
    source: Any,
    step: float | None = None,
    window: float | None = None,
    num_crops: int = 1,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    fps: float | None = None,
    sampling: str | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    activation: str | None = None,
    rate: float | None = None,
) -> Timeline:
    """Classifies every part of a video, of any length, by windows that slide over it.

    Memory holds a batch of clips, never the video.

    Args:
        model, source, num_crops, frames, stride, size, fps, sampling, class_names, batch_size,
            activation: as for `predict_video`. An iterator of frames may go on for any time.
        step: seconds from the start of one window to that of the next. When None, a window begins
            where the one before ends.
        window: seconds that the frames of a clip are spread over, for networks with uniform
            sampling; for others, frames and stride tell.
        rate: frames per second of an array or an iterator of frames; `fps` when None.

    Returns:
        A `Timeline`.

    Raises:
        VideoError: if the video cannot be read, or is shorter than one step.
        ValueError: as of `predict_video`.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> video = np.zeros((96, 48, 64, 3), "uint8")
    >>> timeline = mt.predict_timeline(
    ...     model, video, rate=25, stride=5, class_names=["jump", "run"])
    >>> timeline.bounds.round(2).tolist()
    [0.0, 0.8, 1.6, 2.4, 3.2, 3.84]
    """
    check_above_0(**given(step=step, window=window, rate=rate))
    scorer = Scorer(model, activation, batch_size)
    clip = {"frames": frames, "stride": stride, "size": size, "fps": fps, "sampling": sampling}
    spec = resolve_spec(model, **clip, class_names=class_names)
    check_counts(num_crops=num_crops)
    if spec.class_names is not None:
        scorer.check_classes(spec.class_names)
    if (spec.sampling == "uniform") != (window is not None):
        right = "needs" if window is None else "takes no"
        raise ValueError(
            f"{model.name}, a network of {spec.sampling or 'window'} sampling, {right} window, the "
            f"seconds that a clip covers. Received: window={window}"
        )
    with local_video(source) as local:
        name = source if isinstance(local, str) else None
        if isinstance(local, Iterator):
            found = _of_frames(scorer, local, rate, spec, (step, window, num_crops))
        else:
            video = _open(local, name, rate, spec.fps)
            found = _of_video(scorer, video, spec, (step, window, num_crops))
    names = spec.class_names or map(str, range(found.scores.shape[1]))
    return dataclasses.replace(found, class_names=tuple(names), multi_label=scorer.multi_label)


_Lying = tuple[float | None, float | None, int]  # step and window in seconds, crops


def _open(source: Any, name: str | None, rate: float | None, fps: float | None) -> VideoSource:
    if rate is None:
        return open_video(source, name, fps=fps)
    if isinstance(source, str | os.PathLike) and os.path.isdir(source):
        return FrameFolder(source, name, fps=fps, rate=rate)
    if isinstance(source, str | os.PathLike | bytes | VideoSource):
        raise ValueError(f"rate is for frames in memory; files know theirs. Received: rate={rate}")
    return ArrayVideo(source, name, fps=fps, rate=rate)


def _of_video(scorer: Scorer, video: VideoSource, spec: ClipSpec, lying: _Lying) -> Timeline:
    with video:
        try:
            return _of_readable(scorer, video, spec, lying)
        except EndsEarly:  # damage came to light: once more, up to it
            return _of_readable(scorer, video, spec, lying)


def _of_readable(scorer: Scorer, video: VideoSource, spec: ClipSpec, lying: _Lying) -> Timeline:
    count, rate = video.frame_count, video.fps
    if rate is None:
        check_length(video.name, count, 1)
        raise ValueError(f"{video.name} does not tell its frames per second: pass rate=...")
    times = video.times(np.arange(count))
    ends = np.append(times, video.end)
    sliding = _slide(spec, rate, lying, video.name, ends[-1] - ends[0])
    starts, scores = _score(scorer, sliding.of_video(video))
    if video.damage:
        logging.warning("%s: scored in part, %s", video.name, video.damage)
    bounds = np.interp(_bounds(starts, sliding, count), np.arange(count + 1), ends)
    return Timeline(video.name, (), bounds, scores, damage=video.damage)


def _of_frames(
    scorer: Scorer, frames: Iterator[Any], rate: float | None, spec: ClipSpec, lying: _Lying
) -> Timeline:
    name, rate = "the frames", rate or spec.fps
    if rate is None:
        raise ValueError("An iterator of frames does not tell its frames per second: pass rate=...")
    shown = 0

    def counted() -> Iterator[Any]:
        nonlocal shown
        for frame in frames:
            shown += 1
            yield frame

    sliding = _slide(spec, spec.fps or rate, lying, name, None)
    starts, scores = _score(scorer, sliding.of_frames(counted(), rate, name))
    end = shown / rate
    _check_step(name, end, lying[0])
    bounds = _bounds(starts, sliding, end * (spec.fps or rate)) / (spec.fps or rate)
    return Timeline(name, (), bounds, scores)


def _slide(spec: ClipSpec, rate: float, lying: _Lying, name: str, length: float | None) -> Sliding:
    """Windows in frames, of which `rate` make a second; `length` of the video is in seconds."""
    step, window, num_crops = lying
    if length is not None:
        _check_step(name, length, step)
    if window is not None:
        stride = max(1, round(window * rate / spec.frames))
        spec = dataclasses.replace(spec, sampling=None, stride=stride)
    every = spec.frames * spec.stride if step is None else max(1, round(step * rate))
    return Sliding(spec, every, num_crops)


def _check_step(name: str, length: float, step: float | None) -> None:
    if step is not None and length < step:
        raise VideoError(name, f"it lasts {length:.2f} s, shorter than one step of {step:g} s")


def _bounds(starts: np.ndarray, sliding: Sliding, count: float) -> np.ndarray:
    """Frame numbers halfway between the centers of windows, and the two ends of the video."""
    centers = starts + sliding.spec.frames * sliding.spec.stride / 2
    between = np.minimum((centers[1:] + centers[:-1]) / 2, count)
    return np.concatenate([[0.0], between, [count]])


def _score(scorer: Scorer, windows: Iterator[Window]) -> tuple[np.ndarray, np.ndarray]:
    """First frames `(windows,)` and scores `(windows, classes)`."""
    starts: list[int] = []
    parts: list[np.ndarray] = []
    for batch in _read_ahead(windows, scorer.batch_size):
        scores = scorer(np.concatenate([window.clips for window in batch]))
        if not np.isfinite(scores).all():
            raise ValueError("The model's scores are not finite.")
        starts += [window.start for window in batch]
        parts.append(scores.reshape(len(batch), -1, scores.shape[1]).mean(axis=1))
    return np.array(starts), np.concatenate(parts)


def _read_ahead(windows: Iterator[Window], batch_size: int) -> Iterator[list[Window]]:
    """Batches of windows; a thread reads one while the network looks at another."""

    def read() -> list[Window]:
        batch = list(itertools.islice(windows, 1))
        more = batch_size // len(batch[0].clips) - 1 if batch else 0
        return batch + list(itertools.islice(windows, max(0, more)))

    with ThreadPoolExecutor(1, thread_name_prefix="windows") as pool:
        waiting = pool.submit(read)
        while batch := waiting.result():
            waiting = pool.submit(read)
            yield batch
