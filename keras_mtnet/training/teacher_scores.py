"""A teacher's scores and features of training clips, computed once for many students or epochs."""

import dataclasses
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_mtnet.checks import check_counts
from keras_mtnet.data import Videos, clips
from keras_mtnet.data.augment import find_augment
from keras_mtnet.data.batches import NUMBER
from keras_mtnet.files import write_beside
from keras_mtnet.models.video_model import VideoModel

HEAD = "predictions"  # the classifier of every network here
SMALLEST = 1e-30  # of a score, before its logarithm


@dataclasses.dataclass(frozen=True)
class TeacherScores:
    """What a teacher says of the samples of a training stream, by their numbers.

    Attributes:
        log_scores: logarithms of its scores, float16 `(samples, classes)`.
        features: what its classifier receives, float16 `(samples, C)`.
        stream: the settings that decide the clip of each sample.
        class_names: of the scores, in label order.
    """

    log_scores: np.ndarray
    features: np.ndarray
    stream: dict[str, Any]
    class_names: tuple[str, ...] | None

    def save(self, path: Path) -> None:
        """Writes a `.npz` of plain arrays."""
        facts = json.dumps({"stream": self.stream, "class_names": self.class_names})
        with write_beside(path) as beside, open(beside, "wb") as file:
            np.savez(file, log_scores=self.log_scores, features=self.features, facts=facts)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "TeacherScores":
        """Reads what `save` wrote; ValueError for another file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                facts = json.loads(str(arrays["facts"]))
                names = facts["class_names"] and tuple(facts["class_names"])
                return cls(arrays["log_scores"], arrays["features"], facts["stream"], names)
        except (KeyError, EOFError, zipfile.BadZipFile, ValueError) as error:
            raise ValueError(f"{path} holds no scores of precompute_teacher: {error}") from error

    def check_stream(self, stream: dict[str, Any], source: Any) -> None:
        """Raises ValueError if the samples are others than those of `stream`."""
        for name, own in self.stream.items():
            if own != stream[name]:
                raise ValueError(
                    f"{source} holds a teacher's scores of other clips: {name} was {own!r} there "
                    f"and is {stream[name]!r} here. Use the same settings, or another file."
                )


def precompute_teacher(
    teacher: VideoModel,
    videos: Videos,
    path: str | os.PathLike,
    rounds: int = 4,
    frames: int = 16,
    size: int = 224,
    batch_size: int = 16,
    seed: int = 0,
    **options: Any,
) -> Path:
    """Writes a teacher's scores and features of the training clips of the first epochs.

    `distill` takes the file in the place of the teacher. A file is complete after every round; the
    same call continues with the next one.

    Args:
        teacher: the network to learn from.
        videos: to learn on, from `read_split`.
        path: of the file, `.npz`.
        rounds: how many epochs of clips. Students see them again and again.
        frames, size: of the teacher's clips.
        batch_size, seed: of the students' training, which decide the clips with the rest.
        **options: of `keras_mtnet.data.clips`, as `stride`, `augment` or `flip`.

    Returns:
        `path`.

    Raises:
        ValueError: for wrong arguments, or if the file holds scores of other clips.

    Example:

    >>> import tempfile, keras_mtnet as mt
    >>> root = tempfile.mkdtemp() + "/videos"
    >>> mt.data.draw_dataset(root, groups=2, clips_per_group=1, frames=8, size=(48, 32))
    >>> videos = mt.data.read_split("folder", root)
    >>> teacher = mt.MTNet((8,), (1,), classes=5, input_shape=(4, 32, 32, 3))
    >>> path = precompute_teacher(teacher, videos, root + ".npz", 2, frames=4, size=32)
    >>> TeacherScores.load(path).log_scores.shape
    (32, 5)
    """
    check_counts(rounds=rounds)
    path = Path(path)
    stream = stream_settings(videos, frames, size, batch_size, seed, options)
    data = clips(
        videos,
        frames,
        size=size,
        batch_size=batch_size,
        training=True,
        seed=seed,
        label_mode=NUMBER,
        **options,
    )
    network = with_features(teacher)
    epoch = len(data) * batch_size  # samples
    widths = [shape[-1] for shape in network.output_shape]
    log_scores, features = (np.zeros((rounds * epoch, width), "float16") for width in widths)
    done = 0
    if path.exists():
        earlier = TeacherScores.load(path)
        earlier.check_stream(stream, path)
        done = min(len(earlier.features), len(features))
        log_scores[:done], features[:done] = earlier.log_scores[:done], earlier.features[:done]
    names = tuple(teacher.clip_spec.class_names or ()) or None
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in range(done // epoch, rounds):
        data.position.epoch = number
        for batch, numbers in data:
            scores, of_clips = network.predict_on_batch(batch)
            log_scores[numbers] = np.log(np.maximum(scores, SMALLEST))
            features[numbers] = of_clips
        end = (number + 1) * epoch
        TeacherScores(log_scores[:end], features[:end], stream, names).save(path)
        logging.info("The teacher's scores of %d of %d rounds are in %s", number + 1, rounds, path)
    return path


def stream_settings(
    videos: Videos, frames: int, size: int, batch_size: int, seed: int, options: dict[str, Any]
) -> dict[str, Any]:
    """All that decides the clip of each sample of a training stream, for JSON."""
    given = {"stride": videos.stride, "augment": "none", "flip": None}
    given |= {name: value for name, value in options.items() if value is not None}
    given["augment"] = str(find_augment(given["augment"], given.pop("flip")))
    names = "\n".join(video.name for video in videos)
    return {
        **{name: given.get(name) for name in ("stride", "augment", "fps", "sampling")},
        **{"frames": frames, "size": size, "batch_size": batch_size, "seed": seed},
        "videos": f"{len(videos)}, SHA-256 {hashlib.sha256(names.encode()).hexdigest()}",
    }


def with_features(network: VideoModel) -> keras.Model:
    """The same network with a second output: what its classifier receives, `(N, C)`."""
    features = network.get_layer(HEAD).input
    return keras.Model(network.inputs[0], [network.output, features], name=network.name)
