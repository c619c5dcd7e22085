"""Videos to batches of clips, as `tf.data`.

Sample k of the endless training stream is video `epoch_order(seed, k // n)[k % n]` of n, and draws
its window, crop and flip from numbers of its own: a pure function of the seed and k, whatever else
is read in parallel. A batch is a fixed range of sample numbers. A file that cannot be read leaves
its batch smaller; it is reported, and never replaced by another.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from keras_mtnet.data import sampling, transforms
from keras_mtnet.data.arrays import empty_aligned
from keras_mtnet.data.augment import PRESETS, Augment, augment_clip, find_augment
from keras_mtnet.data.catalog import read_split
from keras_mtnet.data.clip_reader import ClipDraws, ClipReader, check_positive
from keras_mtnet.data.mixing import mix_batch
from keras_mtnet.data.random_ops import sample_seed
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.video import VideoError, open_video


def clips(
    videos: Videos,
    frames: int = 16,
    stride: int | None = None,
    size: int = 224,
    batch_size: int = 8,
    training: bool = False,
    seed: int = 0,
    augment: str | Augment = "none",
    one_hot: bool = False,
    repeat: bool = False,
    start_sample: int = 0,
    steps: int | None = None,
    strict: bool = False,
    report: ReadReport | None = None,
    parallel_calls: int | None = None,
    part: tuple[int, int] | None = None,
    fps: float | None = None,
    segments: bool = False,
) -> tf.data.Dataset:
    """Batches of clips with their labels.

    Training clips are a random window, crop and flip of each video, in an order that changes with
    the epoch. Otherwise they are the middle window and the centre crop, in the order of `videos`.

    Args:
        videos: from `read_split`.
        frames: frames in a clip.
        stride: distance between neighbouring frames of a clip; the data set's own when None.
        size: height and width of a clip in pixels. A crop is a square of 0.8 of the frame's shorter
            side, resized to that.
        batch_size: clips in a batch. Batches with unreadable videos are smaller; one with nothing
            else is left out.
        training: random clips in random order.
        seed: of the order and the clips: the same seed gives the same batches, bit for bit.
        augment: what else is done to training clips: an `Augment`, or the name of one of
            `keras_mtnet.data.augment.PRESETS`: `"none"`, `"paper"`, `"randaugment"`, `"strong"`.
        one_hot: give labels as float32 `(B, classes)`. Mixed clips (MixUp, CutMix) have such labels
            in any case, and need a loss of them: `categorical_crossentropy`, with
            `one_hot=True` for the test clips as well.
        repeat: go on for ever, in full batches. Otherwise each iteration over the result is the
            next epoch, 0, 1, 2, ..., whose last batch holds what is left.
        start_sample: number of the sample to begin with, for `repeat` only: after k batches of B it
            is k * B, counting those that were left out.
        steps: end after so many batches, counting those left out; for `repeat` only.
        strict: raise at the first video that is unreadable or damaged, naming it and the reason.
        report: collects such videos; a new one when None.
        parallel_calls: clips read at the same time; as many as there are CPUs when None.
        part: `(i, n)`, for worker i of n, reads only the i-th of n equal parts of each batch. Parts
            are always full: other clips of the part once more, or grey ones, stand with weight 0
            for what is not there or cannot be read, and no batch is left out. MixUp and CutMix pair
            clips of a part.
        fps: take every video as if it had so many frames a second; as it is when None.
        segments: a clip is one frame of each of `frames` equal parts of the video, a random one in
            training (Wang et al., Temporal Segment Networks, 2016), and no window at a stride.

    Returns:
        A `tf.data.Dataset` of normalised clips float32 `(B, frames, size, size, 3)` and labels
        int32 `(B,)`, or float32 `(B, classes)`, with attributes `class_names` and `report`; for a
        `part` of `B / n` clips, labels and weights float32 `(B / n,)`, 1 for what is there.

    Raises:
        ValueError: for a wrong argument.
    """
    _check_videos(videos)
    check_positive("batch_size", batch_size)
    if part and batch_size % part[1]:
        raise ValueError(
            f"batch_size must be divisible by the {part[1]} parts. Received: {batch_size}"
        )
    if (start_sample or steps is not None) and not repeat:
        raise ValueError(
            "start_sample and steps need repeat=True. "
            f"Received: start_sample={start_sample}, steps={steps}"
        )
    stride = videos.stride if stride is None else stride
    report = ReadReport() if report is None else report
    augment = find_augment(augment)
    if augment != PRESETS["none"] and not training:
        raise ValueError(f"augment needs training=True. Received: augment={augment}")
    classes = len(videos.class_names) if one_hot or augment.mixes else None
    if classes == 0:
        raise ValueError("one_hot and mixed clips need videos with class names.")
    reader = ClipReader(
        frames, stride, size, fps, "uniform" if segments else "window", augment, report, strict
    )
    count = len(videos)

    def video(number: int) -> Video:
        epoch, place = divmod(number, count)
        return videos[sampling.epoch_order(seed, epoch, count)[place] if training else place]

    def read(video: Video, number: int) -> np.ndarray:
        if not training:
            return reader.views(video)[0]
        draws = ClipDraws.draw(sampling.sample_generator(seed, number), frames)
        return reader.random_clip(video, draws)

    calls = parallel_calls or os.cpu_count()
    numbers = tf.data.Dataset.counter(start_sample) if repeat else _epochs(count)
    numbers = numbers.batch(batch_size)
    if steps is not None:
        numbers = numbers.take(steps)
    full = batch_size // part[1] if part else None
    if full:
        begin = part[0] * full
        numbers = numbers.map(lambda batch: batch[begin : begin + full])
    ahead = -(-calls // (full or batch_size)) + 1  # enough batches to keep all readers busy
    changes = augment.changes_pixels
    batches = _map_batches(
        reader, numbers, video, read, ahead, calls, normalise=not changes, leave_out=not part
    )
    if changes:
        change = functools.partial(_augment, augment=augment, seed=seed, calls=calls)
        batches = batches.map(change, num_parallel_calls=2, deterministic=True)
    finish = functools.partial(_finish, classes=classes, augment=augment, seed=seed, full=full)
    batches = batches.map(finish)
    batches = _as_set(batches.prefetch(2))
    batches.class_names = videos.class_names
    batches.report = report
    return batches


def clips_from_directory(
    directory: str,
    frames: int = 16,
    stride: int | None = None,
    size: int = 224,
    batch_size: int = 8,
    validation_split: float | None = None,
    subset: str | None = None,
    seed: int = 0,
    **options,
) -> tf.data.Dataset:
    """Batches of clips from a folder `<directory>/<class>/<video>`.

    Args:
        directory: the folder. Labels are the places of the class folders in sorted order.
        frames: as for `clips`.
        stride: as for `clips`.
        size: as for `clips`.
        batch_size: as for `clips`.
        validation_split: share of the videos kept for validation, None for no split. A folder with
            UCF-101 lists in it is split as they say.
        subset: `"training"` or `"validation"`, with `validation_split` only.
        seed: of the split, and as for `clips`.
        **options: more arguments of `clips`. `training` is True by default for all videos and
            for the training subset, and False for the validation subset.

    Returns:
        As for `clips`.

    Raises:
        ValueError: for a wrong argument or fewer than two classes.
        FileNotFoundError: if there is no such folder.
    """
    parts = {None: "all", "training": "train", "validation": "test"}
    if subset not in parts:
        raise ValueError(f"subset must be 'training' or 'validation'. Received: {subset!r}")
    if (subset is None) != (validation_split is None):
        raise ValueError(
            "subset and validation_split are given together or not at all. "
            f"Received: subset={subset!r}, validation_split={validation_split}"
        )
    share = {} if validation_split is None else {"validation_split": validation_split}
    videos = read_split("folder", directory, subset=parts[subset], seed=seed, **share)
    options = {"training": subset != "validation", "seed": seed, **options}
    return clips(videos, frames, stride, size, batch_size, **options)


def views(
    videos: Videos,
    frames: int = 16,
    stride: int | None = None,
    size: int = 224,
    clips: int = 10,
    crops: int = 3,
    strict: bool = False,
    report: ReadReport | None = None,
    parallel_calls: int | None = None,
    fps: float | None = None,
) -> tf.data.Dataset:
    """The views of each video that a test averages over, one element a video.

    Args:
        videos: from `read_split` or `read_videos`.
        frames: as for `clips`.
        stride: as for `clips`.
        size: as for `clips`.
        clips: windows, spread uniformly over the video.
        crops: crops of each window, spread along the longer side; 1 is the centre.
        strict: as for `clips`.
        report: as for `clips`.
        parallel_calls: videos read at the same time; as many as there are CPUs when None.
        fps: as for `clips`.

    Returns:
        A `tf.data.Dataset` of views float32 `(clips * crops, frames, size, size, 3)`, label int32
        and place in `videos` int64, with attributes `class_names` and `report`. An unreadable
        video has no element.

    Raises:
        ValueError: for a wrong argument.
    """
    _check_videos(videos)
    check_positive("clips", clips)
    check_positive("crops", crops)
    stride = videos.stride if stride is None else stride
    report = ReadReport() if report is None else report
    reader = ClipReader(frames, stride, size, fps, report=report, strict=strict)

    def read(video: Video, _: int) -> np.ndarray:
        return reader.views(video, clips, crops)

    # A batch is a video: its views are many clips already.
    numbers = tf.data.Dataset.range(len(videos)).batch(1)
    calls = parallel_calls or os.cpu_count()
    lead = (clips * crops,)
    found = _map_batches(reader, numbers, videos.__getitem__, read, calls, calls, lead)
    found = found.map(lambda x, y, number, _: (x[0], y[0], number[0]))
    found = _as_set(found.prefetch(1))
    found.class_names = videos.class_names
    found.report = report
    return found


def read_clip(path: str, frames: int = 16, stride: int = 1, size: int | None = None) -> np.ndarray:
    """The middle clip of one video, for looking at it.

    Args:
        path: a video file, or a folder of pictures.
        frames: frames in the clip.
        stride: distance between neighbouring frames.
        size: side in pixels of a centre crop, cut as for `clips`; the whole frames when None.

    Returns:
        RGB, uint8 `(frames, height, width, 3)`.

    Raises:
        VideoError: if the file cannot be read.
    """
    if size is not None:
        return ClipReader(frames, stride, size).views(path)[0]
    with open_video(path) as video:
        return video.read(sampling.uniform_windows(video.frame_count, frames, stride, 1)[0])


# --- Inside --------------------------------------------------------------------------------------


def _as_set(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same without autotuning: all numbers of calls and of batches ahead are set already.

    The thread that tunes is waited for where an iterator is dropped, which took up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def _epochs(count: int) -> tf.data.Dataset:
    """Sample numbers of one epoch; each iteration over the result gives the next one's."""
    epochs = itertools.count()

    def numbers() -> Iterator[int]:
        epoch = next(epochs)
        yield from range(epoch * count, (epoch + 1) * count)

    return tf.data.Dataset.from_generator(numbers, output_signature=tf.TensorSpec((), tf.int64))


def _map_batches(
    reader: ClipReader,
    batches: tf.data.Dataset,
    videos: Callable[[int], Video],
    read: Callable[[Video, int], np.ndarray],
    parallel_batches: int,
    parallel_calls: int,
    lead: tuple[int, ...] = (),
    normalise: bool = True,
    leave_out: bool = True,
) -> tf.data.Dataset:
    """Reads the videos of each batch of numbers.

    Whole batches pass through TensorFlow and not single clips: handing one over costs as much
    as decoding a few frames.

    Args:
        reader: reads them.
        batches: data set of int64 numbers `(B,)`.
        videos: number to video.
        read: video and number to clips, uint8 `(*lead, T, S, S, 3)`.
        parallel_batches: batches read at the same time.
        parallel_calls: videos read at the same time.
        lead: axes before T.
        normalise: give normalised float32 clips, not uint8.
        leave_out: whether to leave out batches of which nothing can be read.

    Returns:
        A data set of what could be read of each batch: clips `(b, *lead, T, S, S, 3)`, labels
        int32 `(b,)`, numbers `(b,)`; and of the batch's first number, 0 if it has none.
    """
    shape = (*lead, reader.frames, reader.size, reader.size, 3)
    threads = _threads(parallel_calls)
    dtype = "float32" if normalise else "uint8"
    put = transforms.normalise_into if normalise else np.copyto

    def read_batch(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = empty_aligned((len(numbers), *shape), dtype)
        labels = np.empty(len(numbers), "int32")
        readable = np.empty(len(numbers), "bool")

        def read_one(place: int) -> None:
            number = int(numbers[place])
            video = videos(number)
            labels[place] = video.label
            clip = _read_or_report(reader, video, lambda: read(video, number))
            readable[place] = clip is not None
            if clip is not None:
                put(found[place], clip)

        list(threads.map(read_one, range(len(numbers))))
        if readable.all():
            return found, labels, numbers
        if leave_out and not readable.any():
            reader.report.left_out.add(int(numbers[0]))
        return found[readable], labels[readable], numbers[readable]

    def read_in_graph(numbers: tf.Tensor) -> tuple[tf.Tensor, ...]:
        types = (tf.as_dtype(dtype), tf.int32, tf.int64)
        found = tf.numpy_function(read_batch, [numbers], types)
        for tensor, each in zip(found, (shape, (), ()), strict=True):
            tensor.set_shape((None, *each))
        return *found, tf.reduce_sum(numbers[:1])

    found = batches.map(read_in_graph, num_parallel_calls=parallel_batches, deterministic=True)
    return found.filter(lambda x, y, *_: tf.size(y) > 0) if leave_out else found


def _read_or_report(
    reader: ClipReader, video: Video, read: Callable[[], np.ndarray]
) -> np.ndarray | None:
    try:
        return read()
    except VideoError as error:
        reader.report.add_failed(video.name, error.reason)
        if reader.strict:
            raise VideoError(video.name, error.reason) from error
        return None


@functools.lru_cache
def _threads(count: int) -> ThreadPoolExecutor:
    """The threads of all pipelines that read so many videos at a time.

    TensorFlow keeps what a data set calls in Python for as long as the process lives: with threads
    of their own, data sets that are long gone would leave theirs behind.
    """
    return ThreadPoolExecutor(count, thread_name_prefix="read")


def _augment(
    clips: tf.Tensor,
    labels: tf.Tensor,
    numbers: tf.Tensor,
    first: tf.Tensor,
    augment: Augment,
    seed: int,
    calls: int,
) -> tuple[tf.Tensor, ...]:
    """Does to each clip what `augment` says, by its number, and normalises them."""

    def change(clip_and_number: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        clip, number = clip_and_number
        return augment_clip(clip, sample_seed(seed, number), augment)

    like = tf.TensorSpec(clips.shape[1:], tf.uint8)
    changed = tf.map_fn(change, (clips, numbers), calls, fn_output_signature=like)
    return transforms.normalise(changed), labels, numbers, first


def _finish(
    clips: tf.Tensor,
    labels: tf.Tensor,
    _: tf.Tensor,
    first: tf.Tensor,
    classes: int | None,
    augment: Augment,
    seed: int,
    full: int | None,
) -> tuple[tf.Tensor, ...]:
    """Makes the labels of a batch `classes` wide unless that is None, and mixes it.

    With a number of clips, `full`, it is filled up to that and has weights.
    """
    if classes is not None:
        labels = tf.one_hot(labels, classes)
    weights = ()
    if full:
        weights = (tf.cast(tf.range(full) < tf.shape(labels)[0], tf.float32),)
        clips, labels = _fill(clips, full), _fill(labels, full)
    if augment.mixes:
        batch_seed = tf.random.fold_in(sample_seed(seed, first), 2)
        clips, labels = mix_batch(clips, labels, batch_seed, augment)
    return clips, labels, *weights


def _fill(x: tf.Tensor, full: int) -> tf.Tensor:
    """Repeats `(n, ...)` up to `(full, ...)`; zeros where n is 0."""
    count = tf.shape(x)[0]
    some = tf.cond(count > 0, lambda: x, lambda: tf.zeros([1, *x.shape[1:]], x.dtype))
    filled = tf.cond(
        count == full, lambda: x, lambda: tf.gather(some, tf.range(full) % tf.maximum(count, 1))
    )
    return tf.ensure_shape(filled, [full, *x.shape[1:]])


def _check_videos(videos: Videos) -> None:
    if not videos:
        raise ValueError("there are no videos to read. Received: an empty list")
