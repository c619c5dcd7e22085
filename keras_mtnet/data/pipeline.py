"""Videos to batches of clips, as `tf.data`.

Which video is in which batch, and how its clip is cut, is a pure function of seed, epoch and step:
see `stream.py`. Whole batches pass from the reading threads to TensorFlow and not single clips:
handing one over costs as much as decoding a few frames.
"""

import functools
import weakref
from typing import Any

import numpy as np
import tensorflow as tf

from keras_mtnet.checks import check_counts, given
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.augment import Augment, augment_clip, find_augment
from keras_mtnet.data.batches import Batch, BatchReader, check_videos
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.mixing import mix_batch
from keras_mtnet.data.random_ops import sample_seed
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.stream import ClipStream, Position
from keras_mtnet.data.videos import Videos
from keras_mtnet.video import VideoError

_AHEAD = 2  # finished batches that wait for the consumer


def clips(
    videos: Videos,
    frames: int = 16,
    stride: int | None = None,
    size: int = 224,
    batch_size: int = 8,
    training: bool = False,
    seed: int = 0,
    augment: str | Augment = "none",
    flip: float | None = None,
    label_mode: str | None = "int",
    fps: float | None = None,
    sampling: str = "window",
    sample_weights: bool = False,
    strict: bool = False,
    report: ReadReport | None = None,
    parallel_calls: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of clips with their labels.

    In training, clips are a random window, crop and flip of each video, in an order that changes
    with the epoch. All batches are full: the last batch of an epoch is filled from the next pass
    over the videos. Otherwise clips are the middle window and the center crop, in the order of
    `videos`, each once; the last batch may be smaller.

    A video that cannot be read makes its batch smaller. It is logged and named in the report, and
    never replaced by another.

    Args:
        videos: from `read_split`.
        frames: frames in a clip.
        stride: distance between neighboring frames of a clip; the data set's own when None.
        size: height and width of a clip in pixels. A crop is a square of 0.8 of the frame's shorter
            side, resized to that.
        batch_size: clips in a batch.
        training: random clips in random order.
        seed: of the order and the clips: the same seed gives the same batches, bit for bit, however
            many videos are read in parallel.
        augment: what else is done to training clips: an `Augment`, or the name of one of
            `keras_mtnet.data.augment.PRESETS`: `"none"`, `"paper"`, `"randaugment"`, `"strong"`.
        flip: probability of mirroring a training clip left to right; that of `augment` (0.5 in all
            presets) when None. 0 where left and right make the difference.
        label_mode: `"int"`, `"categorical"`, `"binary"` or None (clips alone), as for
            `keras.utils.image_dataset_from_directory`. MixUp and CutMix (`"strong"`) need
            `"categorical"` or `"binary"`, also for the validation clips.
        fps: rate in frames per second to which videos are resampled before frames are picked; their
            own rate when None.
        sampling: `"window"` (frames at `stride`) or `"uniform"` (one frame of each of `frames`
            equal segments, a random one in training; Wang et al., Temporal Segment Networks, 2016).
        sample_weights: give batches of `(clips, labels, weights)` that all have `batch_size` clips.
            Other clips of the batch stand in, with weight 0, for what cannot be read or lies beyond
            the end of the list. In training the weights of the real clips make up for these, so
            that Keras' mean over the batch is the mean over the real clips. In evaluation all real
            clips weigh the same, so that the mean over all batches is that over all videos.
        strict: raise at the first video that is unreadable or damaged, naming it and the reason.
        report: collects such videos; a new one when None.
        parallel_calls: clips read at the same time; as many as there are CPUs when None.
        part: `(i, n)`, for worker i of n, reads the i-th of n equal parts of each batch. With
            `sample_weights`, real clips weigh 1 in training, which is exact for losses with
            `reduction="mean_with_sample_weight"`.

    Returns:
        A `tf.data.Dataset` of known length: clips uint8 RGB `(B, frames, size, size, 3)` (float32
        of 0 to 255 after MixUp and CutMix) and labels int32 `(B,)`, or float32 `(B, classes)` for
        `"categorical"`, `(B, 1)` for `"binary"`. Its attributes are `class_names`, `clip_spec`,
        `report`, `position`, a `Position`: each iteration to the end reads the next epoch, and
        `batch_names(epoch, step)`, the names of the videos of a batch.

    Raises:
        ValueError: for a wrong argument. During iteration: where nothing of a batch can be read,
            without `sample_weights`, or no video at all can be.

    Example:

    >>> import tempfile
    >>> import keras_mtnet as mt
    >>> root = tempfile.mkdtemp() + "/videos"
    >>> mt.data.draw_dataset(root, groups=2, clips_per_group=1, frames=8, size=(48, 32))
    >>> videos = mt.data.read_split("folder", root)
    >>> train = mt.data.clips(videos, frames=4, size=16, batch_size=4, training=True)
    >>> [clips.shape for clips, labels in train.take(1)]
    [TensorShape([4, 4, 16, 16, 3])]
    """
    check_videos(videos)
    augment = find_augment(augment, flip, training)
    stride = videos.stride if stride is None else stride
    report = report or ReadReport()
    spec = ClipSpec(frames, stride, size, fps, sampling, videos.class_names or None)
    clip_reader = ClipReader(spec, augment, report, strict)
    stream = ClipStream(len(videos), batch_size, training, seed, part)
    reader = BatchReader(videos, clip_reader, stream, label_mode, sample_weights, parallel_calls)
    position = Position()
    # Enough batches at a time to keep all threads busy.
    batches = _read_batches(reader, position, at_once=-(-reader.calls // stream.clips) + 1)
    if augment.changes_pixels:
        change = functools.partial(_augment, augment, seed, reader.calls)
        batches = batches.map(change, num_parallel_calls=2, deterministic=True)
    batches = batches.map(functools.partial(_finish, reader, augment, seed)).prefetch(_AHEAD)
    batches = _deliver(batches, position, stream.steps)
    weakref.finalize(batches, reader.close)
    batches.class_names = videos.class_names
    batches.clip_spec = spec
    batches.report = report
    batches.position = position
    batches.batch_names = reader.names
    return batches


def views(
    videos: Videos,
    frames: int = 16,
    stride: int | None = None,
    size: int = 224,
    num_clips: int = 10,
    num_crops: int = 3,
    strict: bool = False,
    report: ReadReport | None = None,
    parallel_calls: int | None = None,
    fps: float | None = None,
    sampling: str = "window",
) -> tf.data.Dataset:
    """The views of each video that a test averages over, one element per video.

    Args:
        videos, frames, stride, size, strict, report, fps, sampling: as for `clips`.
        num_clips: windows, spread uniformly over the video.
        num_crops: crops of each window, spread along the longer side; 1 is the center.
        parallel_calls: videos read at the same time; None for one per CPU, as long as their views
            stay below 512 MB.

    Returns:
        A `tf.data.Dataset` of views uint8 `(num_clips * num_crops, frames, size, size, 3)`, label
        int32 and place in `videos` int64, with attributes `class_names` and `report`. An unreadable
        video has no element.

    Raises:
        ValueError: for a wrong argument.
    """
    check_videos(videos)
    check_counts(num_clips=num_clips, num_crops=num_crops, **given(parallel_calls=parallel_calls))
    report = report or ReadReport()
    stride = videos.stride if stride is None else stride
    spec = ClipSpec(frames, stride, size, fps, sampling)
    reader = ClipReader(spec, report=report, strict=strict)

    def read(place: int) -> tuple[np.ndarray, np.int32]:
        video = videos[place]
        try:
            found = reader.views(video, num_clips, num_crops)
        except VideoError as error:
            report.failed[video.name] = error.reason
            if strict:
                raise VideoError(video.name, error.reason) from error
            found = np.zeros((0, *reader.shape), "uint8")
        return found, np.int32(video.label)

    def read_in_graph(place: tf.Tensor) -> tuple[tf.Tensor, ...]:
        found, label = tf.numpy_function(read, [place], (tf.uint8, tf.int32))
        return tf.ensure_shape(found, (None, *reader.shape)), tf.ensure_shape(label, ()), place

    whole = (num_clips * num_crops, *reader.shape)
    found = tf.data.Dataset.range(len(videos))
    calls = parallel_calls or reader.parallel_views(num_clips, num_crops)
    found = found.map(read_in_graph, num_parallel_calls=calls, deterministic=True)
    found = found.filter(lambda x, y, place: tf.shape(x)[0] > 0)
    found = found.map(lambda x, y, place: (tf.ensure_shape(x, whole), y, place))
    found = _as_set(found.prefetch(1))
    found.class_names = videos.class_names
    found.report = report
    return found


def _read_batches(reader: BatchReader, position: Position, at_once: int) -> tf.data.Dataset:
    """A data set of `Batch`es and their place: epoch, step, and whether it is a placeholder."""

    def place(step: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        return tf.stack([start[0], step, tf.cast(step < start[1], tf.int64)])

    def read(place: np.ndarray) -> Batch:
        epoch, step, placeholder = map(int, place)
        return reader.placeholder(epoch, step) if placeholder else reader.read(epoch, step)

    def read_in_graph(place: tf.Tensor) -> tuple[tf.Tensor, ...]:
        like: tuple[Any, ...] = reader.placeholder(0, 0)
        batch = tf.numpy_function(read, [place], [part.dtype for part in like])
        size = (reader.stream.clips if reader.full else None,)
        for tensor, part in zip(batch, like, strict=True):
            tensor.set_shape((*size, *part.shape[1:])[: part.ndim])
        return place, *batch

    def start() -> np.ndarray:
        # An older iterator may still be reading ahead, so what to skip is taken here and at once.
        skip, position.skip = position.skip, 0
        return np.array([position.stream_epoch, skip], "int64")

    def begin(_: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(start, [], tf.int64), [2])

    # Where an iteration begins is asked when its first batch is.
    starts = tf.data.Dataset.range(1).map(begin)
    steps = tf.data.Dataset.range(reader.stream.steps)
    places = starts.flat_map(lambda start: steps.map(lambda step: place(step, start)))
    return places.map(read_in_graph, num_parallel_calls=at_once, deterministic=True)


def _deliver(batches: tf.data.Dataset, position: Position, steps: int) -> tf.data.Dataset:
    """Notes what the consumer takes, and gives the data set its length."""

    def note(place: np.ndarray) -> np.int64:
        epoch, step, _ = map(int, place)
        if step + 1 == steps and position.stream_epoch == epoch:
            position.epoch += 1
        return np.int64(step)

    def noted(place: tf.Tensor, *batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.control_dependencies([tf.numpy_function(note, [place], tf.int64)]):
            batch = tuple(map(tf.identity, batch))
        return batch if len(batch) > 1 else batch[0]

    return _as_set(batches.map(noted).apply(tf.data.experimental.assert_cardinality(steps)))


def _as_set(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same without autotuning: all numbers of calls and of batches ahead are set already.

    Destroying an iterator joins the autotuning thread, which could block for up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def _augment(
    augment: Augment, seed: int, calls: int, place: tf.Tensor, clips: tf.Tensor, *others: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Does to each clip what `augment` says, by its number."""

    def change(clip_and_number: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        clip, number = clip_and_number
        return augment_clip(clip, sample_seed(seed, number), augment)

    numbers = others[2]
    like = tf.TensorSpec(clips.shape[1:], tf.uint8)
    how = {"parallel_iterations": calls, "fn_output_signature": like}
    changed = tf.cond(
        place[2] > 0, lambda: clips, lambda: tf.map_fn(change, (clips, numbers), **how)
    )
    return place, tf.ensure_shape(changed, clips.shape), *others


def _finish(
    reader: BatchReader, augment: Augment, seed: int, place: tf.Tensor, *batch: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Mixes the clips of a batch, and leaves out what is not asked for."""
    clips, labels, weights, _, first = batch
    if augment.mixes:
        clips = tf.cast(clips, tf.float32)
        batch_seed = tf.random.fold_in(sample_seed(seed, first), 2)
        mixed = tf.cond(
            place[2] > 0,
            lambda: (clips, labels),
            lambda: mix_batch(clips, labels, batch_seed, augment),
        )
        clips, labels = (
            tf.ensure_shape(x, y.shape) for x, y in zip(mixed, (clips, labels), strict=True)
        )
    return place, *reader.asked_for(clips, labels, weights)
