"""Tests of a network on labeled videos."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from numbers import Real
from typing import Any

import keras
import numpy as np

from keras_mtnet.checks import check_counts
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.evaluation import Evaluation
from keras_mtnet.inference.views import mean_scores, resolve_spec
from keras_mtnet.scoring import Scorer
from keras_mtnet.video import VideoError


def evaluate_views(
    model: keras.Model,
    videos: Videos,
    num_clips: int = 10,
    num_crops: int = 3,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    fps: float | None = None,
    sampling: str | None = None,
    batch_size: int = 8,
    activation: str | None = None,
    threshold: float = 0.5,
    parallel_calls: int | None = None,
    verbose: bool = True,
) -> Evaluation:
    """Tests a classifier on videos, each by the mean of its scores over several views.

    Args:
        model: as for `predict_video`.
        videos: labeled videos, from `read_split`.
        num_clips, num_crops, frames, stride, size, fps, sampling, batch_size, activation: as for
            `predict_video`.
        threshold: score from which a class counts as present, for a head of sigmoids.
        parallel_calls: videos read at the same time. None takes one per CPU, as long as their
            views stay below 512 MB.
        verbose: show a progress bar where the output is a terminal.

    Returns:
        An `Evaluation`; `str` of it is a short report.

    Raises:
        ValueError: as of `predict_video`; if videos and model differ in their classes, a video
            has no label, scores are not finite, or no video can be read.

    Example:

    >>> import tempfile
    >>> import keras_mtnet as mt
    >>> with tempfile.TemporaryDirectory() as root:
    ...     _ = mt.data.draw_dataset(root, groups=2, clips_per_group=1, test_groups=1, frames=16)
    ...     videos = mt.data.read_split("folder", root, subset="test")
    ...     model = mt.MTNet((8,), (1,), classes=8, input_shape=(4, 32, 32, 3))
    ...     result = mt.evaluate_views(model, videos, num_clips=1, num_crops=1, stride=2)
    >>> result.scored
    8
    """
    if not isinstance(videos, Videos):
        raise ValueError(
            "videos must be a list of videos from mt.data.read_split; model.evaluate takes data "
            f"sets. Received: {type(videos).__name__}"
        )
    if not isinstance(threshold, Real) or not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1]. Received: threshold={threshold!r}")
    if any(video.label < 0 for video in videos):
        raise ValueError("evaluate_views needs labeled videos; predict_video needs no labels.")
    scorer = Scorer(model, activation, batch_size)
    given = {"frames": frames, "stride": stride, "size": size, "fps": fps, "sampling": sampling}
    spec = resolve_spec(model, **given, class_names=videos.class_names)
    scorer.check_classes(videos.class_names)
    reader, failed = ClipReader(spec), {}
    found: list[tuple[Video, np.ndarray]] = []
    shown = int(verbose and sys.stdout.isatty())
    bar = keras.utils.Progbar(len(videos), unit_name="video", verbose=shown)
    views = num_clips, num_crops, parallel_calls
    for video, scores in _score_videos(scorer, reader, videos, *views):
        if isinstance(scores, VideoError):
            failed[video.name] = scores.reason
        else:
            found.append((video, scores))
        bar.update(len(found) + len(failed), finalize=False)
    bar.update(len(videos), finalize=True)
    if not found:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(failed.items())[:5])
        raise ValueError(f"None of the {len(videos)} videos can be read. {reasons}")
    return Evaluation(
        class_names=tuple(videos.class_names),
        names=tuple(video.name for video, _ in found),
        labels=np.array([video.label for video, _ in found]),
        scores=np.stack([scores for _, scores in found]),
        multi_label=scorer.multi_label,
        threshold=threshold if scorer.multi_label or scorer.binary else None,
        unreadable=failed,
        damaged=dict(reader.report.damaged),
        missing=videos.missing,
    )


def _score_videos(
    scorer: Scorer,
    reader: ClipReader,
    videos: Videos,
    num_clips: int,
    num_crops: int,
    parallel_calls: int | None,
) -> Iterator[tuple[Video, np.ndarray | VideoError]]:
    """Yields each video with its scores `(classes,)`, or with the reason why it has none."""
    check_counts(num_clips=num_clips, num_crops=num_crops)
    if parallel_calls is None:
        parallel_calls = reader.parallel_views(num_clips, num_crops)
    check_counts(parallel_calls=parallel_calls)

    def read(video: Video) -> np.ndarray | VideoError:
        try:
            return reader.views(video, num_clips, num_crops)
        except VideoError as error:
            return error

    for video, views in zip(videos, _read_ahead(read, videos, parallel_calls), strict=True):
        if isinstance(views, VideoError):
            yield video, views
        else:
            yield video, mean_scores(scorer, views, video.name)


def _read_ahead(read: Callable[[Any], Any], items: Iterable[Any], calls: int) -> Iterator[Any]:
    """Yields `read(item)` in order; `calls` threads read, and no more results wait."""
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(calls, thread_name_prefix="views") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(read, item))
                if len(waiting) > calls:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
