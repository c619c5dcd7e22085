"""What one video shows."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.checks import check_counts
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.windows import check_length
from keras_mtnet.inference.views import resolve_spec, score_video
from keras_mtnet.models import decode_predictions
from keras_mtnet.scoring import Scorer
from keras_mtnet.video.download import local_video
from keras_mtnet.video.opening import open_video


def predict_video(
    model: keras.Model,
    source: Any,
    top: int = 5,
    num_clips: int = 10,
    num_crops: int = 3,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    fps: float | None = None,
    sampling: str | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    activation: str | None = None,
    averaging: str = "probabilities",
) -> list[tuple[str, float]]:
    """Classifies one video by the mean of its scores over several views.

    Args:
        model: from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to one output `(N, classes)`. Of one
            sigmoid, its value is the score of the second class.
        source: path of a video file or of a folder of pictures, an http or https address of a
            file, bytes of one, or RGB frames: uint8 `(T, H, W, 3)`, a list or an iterator of
            arrays. What an address holds, up to 1 GB, is kept in a temporary file meanwhile.
        top: how many classes to return.
        num_clips: clips spread uniformly over the video.
        num_crops: crops of each clip, spread along the longer side.
        frames, stride, size, fps, sampling: the clips, as for `keras_mtnet.data.clips`. Like
            `class_names`, None takes it from `model.clip_spec`.
        class_names: in label order; the labels' numbers if the model does not know them either.
        batch_size: views in the network at a time.
        activation: what the outputs need to become scores in [0, 1]: `"softmax"` or `"sigmoid"`
            for logits, `"linear"` for nothing. None finds it from the last layer, and asks for it
            where that does not tell.
        averaging: what the mean over the views is taken of: `"probabilities"` (scores) or
            `"logits"`, where a single view that is certain counts for more.

    Returns:
        Pairs of name and score in [0, 1], best first.

    Raises:
        VideoError: if the video cannot be read, or has no more frames than one stride.
        ValueError: for a wrong argument, one that contradicts `model.clip_spec`, or one that is
            missing there and here.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> video = np.zeros((20, 48, 64, 3), "uint8")
    >>> best = mt.predict_video(model, video, stride=2, num_clips=2, class_names=["jump", "run"])
    >>> sorted(name for name, score in best)
    ['jump', 'run']
    """
    check_counts(top=top)
    scorer = Scorer(model, activation, batch_size)
    given = {"frames": frames, "stride": stride, "size": size, "fps": fps, "sampling": sampling}
    spec = resolve_spec(model, **given, class_names=class_names)
    if spec.class_names is not None:
        scorer.check_classes(spec.class_names)
    scorer.check_averaging(averaging)
    reader = ClipReader(spec)
    with local_video(source) as local:
        video = open_video(local, source if isinstance(local, str) else None, fps=spec.fps)
        if spec.sampling != "uniform":
            check_length(video.name, video.frame_count, spec.stride)
        scores = score_video(scorer, reader, video, num_clips, num_crops, averaging)
    return decode_predictions(scores[None], top, spec.class_names)[0]
