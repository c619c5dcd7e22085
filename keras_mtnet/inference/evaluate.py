"""Tests of a network on labeled videos."""

import contextlib
import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from numbers import Real
from typing import Any

import keras
import numpy as np

from keras_mtnet.checks import check_counts
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.datasets.lists import part_name
from keras_mtnet.data.groups import find_groups
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.evaluation import Evaluation
from keras_mtnet.evaluation.score_file import Row, ScoreFile
from keras_mtnet.inference.views import mean_scores, resolve_spec, score_video
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
    averaging: str = "probabilities",
    threshold: float = 0.5,
    labels: np.ndarray | None = None,
    scores_file: str | os.PathLike | None = None,
    parallel_calls: int | None = None,
    verbose: bool = True,
) -> Evaluation:
    """Tests a classifier on videos, each by the mean of its scores over several views.

    Args:
        model: as for `predict_video`. One that was made under a `tf.distribute` strategy, or
            under `keras.distribution.DataParallel`, computes on all of its devices.
        videos: labeled videos, from `read_split`.
        num_clips, num_crops, frames, stride, size, fps, sampling, batch_size, activation,
            averaging: as for `predict_video`.
        threshold: score from which a class counts as present, for a head of sigmoids.
        labels: bool `(len(videos), classes)`, where a video may have several classes; None takes
            the one that the list names for each.
        scores_file: CSV that scores are written to as they come, a row per video. A test that was
            stopped goes on from it.
        parallel_calls: videos read at the same time. None takes one per CPU, as long as their
            views stay below 512 MB. Views of one video that take more are read clip by clip.
        verbose: show a progress bar where the output is a terminal.

    Returns:
        An `Evaluation`; `str` of it is a short report.

    Raises:
        ValueError: as of `predict_video`; if videos and model differ in their classes, a video
            has no label, scores are not finite, or no video can be read; if `scores_file` is of
            another test, with what differs.

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
    _check(videos, labels, threshold)
    scorer = Scorer(model, activation, batch_size)
    scorer.check_averaging(averaging)
    given = {"frames": frames, "stride": stride, "size": size, "fps": fps, "sampling": sampling}
    spec = resolve_spec(model, **given, class_names=videos.class_names)
    scorer.check_classes(videos.class_names)
    views = {"num_clips": num_clips, "num_crops": num_crops}
    check_counts(**views)
    reader = ClipReader(spec)
    if parallel_calls is None:
        parallel_calls = reader.parallel_views(**views)
    check_counts(parallel_calls=parallel_calls)
    truth = np.array([video.label for video in videos]) if labels is None else np.asarray(labels)
    rows: dict[str, Row] = {}
    with contextlib.ExitStack() as stack:
        file = None
        if scores_file is not None:
            settings: dict[str, Any] = {
                "weights": _weights_digest(model),
                "videos": _list_digest(videos, truth),
                **views,
                "averaging": averaging,
                "activation": activation,
                **spec.to_dict(),
            }
            file = stack.enter_context(ScoreFile(scores_file, settings, videos.class_names))
            rows = file.rows
        wanted = [i for i, video in enumerate(videos) if video.name not in rows]
        bar = keras.utils.Progbar(
            len(videos), unit_name="video", verbose=int(verbose and sys.stdout.isatty())
        )
        todo = [videos[place] for place in wanted]
        scored = _score_videos(scorer, reader, todo, views, averaging, parallel_calls)
        for place, row in zip(wanted, scored, strict=True):
            name = videos[place].name
            rows[name] = row
            if file is not None:
                file.add(name, _label_text(videos.class_names, truth[place]), row)
            bar.update(len(rows), finalize=False)
        bar.update(len(videos), finalize=True)
    several = scorer.multi_label or truth.ndim == 2
    return _collect(
        videos,
        truth,
        rows,
        multi_label=several,
        threshold=threshold if several or scorer.binary else None,
    )


def _check(videos: Videos, labels: np.ndarray | None, threshold: float) -> None:
    if not isinstance(videos, Videos):
        raise ValueError(
            "videos must be a list of videos from mt.data.read_split; model.evaluate takes data "
            f"sets. Received: {type(videos).__name__}"
        )
    if not isinstance(threshold, Real) or not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1]. Received: threshold={threshold!r}")
    if labels is None and any(video.label < 0 for video in videos):
        raise ValueError("evaluate_views needs labeled videos; predict_video needs no labels.")
    shape = len(videos), len(videos.class_names)
    if labels is not None and (np.shape(labels) != shape or not np.isin(labels, (0, 1)).all()):
        raise ValueError(
            f"labels must be bool of the shape {shape}, videos and classes. "
            f"Received: an array of {np.asarray(labels).dtype} {np.shape(labels)}"
        )


def _score_videos(
    scorer: Scorer,
    reader: ClipReader,
    videos: Sequence[Video],
    views: Mapping[str, int],
    averaging: str,
    parallel_calls: int,
) -> Iterator[Row]:
    """Yields a row for each video; others are read while the network looks at one."""
    fits = reader.read_ahead_fits(**views)

    def read(video: Video) -> np.ndarray | VideoError | None:
        try:
            return reader.views(video, **views) if fits else None
        except VideoError as error:
            return error

    for video, found in zip(videos, _read_ahead(read, videos, parallel_calls), strict=True):
        try:
            if isinstance(found, VideoError):
                raise found
            if found is None:
                scores = score_video(scorer, reader, video, **views, averaging=averaging)
            else:
                scores = mean_scores(scorer, found, video.name, averaging)
            yield Row(scores, reader.report.damaged.get(video.name, ""))
        except VideoError as error:
            yield Row(None, error.reason)


def _collect(videos: Videos, truth: np.ndarray, rows: dict[str, Row], **heads: Any) -> Evaluation:
    failed = {v.name: rows[v.name].note for v in videos if rows[v.name].scores is None}
    places = [i for i, video in enumerate(videos) if video.name not in failed]
    if not places:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(failed.items())[:5])
        raise ValueError(f"None of the {len(videos)} videos can be read. {reasons}")
    names = tuple(videos[i].name for i in places)
    groups = find_groups((_file_name(video), video.label) for video in videos)[0]
    return Evaluation(
        class_names=tuple(videos.class_names),
        names=names,
        labels=truth[places],
        scores=np.stack([rows[name].scores for name in names]),
        unreadable=failed,
        damaged={name: rows[name].note for name in names if rows[name].note},
        missing=videos.missing,
        groups=tuple(groups[_file_name(videos[i])] for i in places),
        **heads,
    )


def _file_name(video: Video) -> str:
    """The name of the file that a video is, or is a part of."""
    return video.name.removesuffix(part_name("", video.start, video.end))


def _label_text(class_names: tuple[str, ...], truth: np.ndarray) -> str:
    labels = np.flatnonzero(truth) if truth.ndim else [truth]
    return "|".join(class_names[label] for label in labels)


def _weights_digest(model: keras.Model) -> str:
    if not model.weights:
        raise ValueError(
            f"scores_file knows a network by its weights, and {model.name}, an export, shows none: "
            "leave scores_file out, or test the network that it was made from."
        )
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()[:16]


def _list_digest(videos: Videos, truth: np.ndarray) -> str:
    digest = hashlib.sha256("\0".join(video.name for video in videos).encode())
    digest.update(truth.astype("int64").tobytes())
    return digest.hexdigest()[:16]


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
