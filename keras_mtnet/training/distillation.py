"""Distillation: a network learns from the scores and features of another, without labels."""

import os
from pathlib import Path
from typing import Any

import keras
from keras import ops

from keras_mtnet.callbacks import ExactResume, StopOnNaN
from keras_mtnet.checks import check_above_0, check_counts
from keras_mtnet.data import Videos, clips
from keras_mtnet.data.batches import NUMBER
from keras_mtnet.files import write_beside
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.training.teacher_scores import (
    SMALLEST,
    TeacherScores,
    precompute_teacher,
    stream_settings,
    with_features,
)


class Distiller(VideoModel):
    """A student and what it needs to learn from a teacher in `fit`; labels are ignored.

    Both see the same augmented clip, as in Beyer et al., "Knowledge distillation: A good teacher
    is patient and consistent", CVPR 2022. The loss is the Kullback-Leibler divergence of the
    scores, both softened by a temperature (Hinton et al., 2015), times its square, plus the cosine
    distance between the features in front of the classifiers. A dense layer, which is thrown away
    afterwards, brings the student's features to the width of the teacher's.

    The weights are those of the student and of that layer; the teacher's stay as they are and
    belong to no checkpoint.

    Args:
        student: the network to train, with as many classes as the teacher.
        teacher: the network to learn from, or the `TeacherScores` of all samples: `fit` then needs
            the samples' numbers as labels.
        shrink: the student sees the clips of the teacher with height and width divided by this.
        temperature: above 1, small scores count more.
        feature_weight: of the features' cosine distance.

    Raises:
        ValueError: if the numbers of classes differ or an argument is out of range.

    Example:

    >>> import keras_mtnet as mt
    >>> sizes = {"classes": 5, "input_shape": (4, 32, 32, 3)}
    >>> teacher, student = mt.MTNet((8,), (1,), **sizes), mt.MTNet((8,), (1,), **sizes)
    >>> distiller = Distiller(student, teacher)
    >>> distiller.compile("sgd")
    >>> history = distiller.fit(keras.ops.zeros((2, 4, 32, 32, 3)), verbose=0)
    >>> sorted(history.history)
    ['agreement', 'loss']
    """

    def __init__(
        self,
        student: VideoModel,
        teacher: VideoModel | TeacherScores,
        shrink: int = 1,
        temperature: float = 1.0,
        feature_weight: float = 1.0,
        name: str = "distiller",
    ) -> None:
        taught: Any  # a network of two outputs, or two tables
        if isinstance(teacher, TeacherScores):
            taught = tuple(map(ops.convert_to_tensor, (teacher.log_scores, teacher.features)))
            shapes = [table.shape for table in taught]
        else:
            taught = with_features(teacher)
            shapes = taught.output_shape
        widths = student.output_shape[-1], shapes[0][-1]
        if widths[0] != widths[1]:
            raise ValueError(
                "The student must have the classes of the teacher. Received: a student of "
                f"{widths[0]} and a teacher of {widths[1]} classes"
            )
        check_counts(shrink=shrink)
        check_above_0(temperature=temperature)
        if feature_weight < 0:
            raise ValueError(
                f"feature_weight must not be negative. Received: feature_weight={feature_weight}"
            )
        frames, height, width = student.input_shape[1:4]
        sizes = [size if size is None else size * shrink for size in (height, width)]
        inputs = keras.Input((frames, *sizes, 3), name="clips")
        x = keras.layers.AveragePooling3D((1, shrink, shrink), name="shrink")(inputs)
        scores, features = with_features(student)(x)
        project = keras.layers.Dense(shapes[1][-1], use_bias=False, name="projection")
        super().__init__(inputs, {"scores": scores, "features": project(features)}, name=name)
        self.temperature, self.feature_weight = temperature, feature_weight
        self.agreement = keras.metrics.Mean(name="agreement")
        # Keras would train, count and save what it tracks.
        object.__setattr__(self, "student", student)
        object.__setattr__(self, "teacher", taught)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The mean loss of a batch; `agreement` counts clips whose best class is the teacher's."""
        scores, features = self._teach(x, y)
        teacher, student = self._soften(scores), self._soften(_log(y_pred["scores"]))
        divergence = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
        cosine = ops.sum(
            ops.normalize(ops.cast(features, "float32"))
            * ops.normalize(ops.cast(y_pred["features"], "float32")),
            axis=-1,
        )
        losses = self.temperature**2 * divergence + self.feature_weight * (1 - cosine)
        same = ops.equal(ops.argmax(scores, -1), ops.argmax(y_pred["scores"], -1))
        self.agreement.update_state(same, sample_weight=sample_weight)
        return ops.mean(losses if sample_weight is None else losses * sample_weight)

    def compute_metrics(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> dict[str, Any]:
        """The loss and the agreement; there are no labels to compare with."""
        return self.get_metrics_result()

    def _teach(self, x: Any, numbers: Any) -> tuple[Any, Any]:
        """The logarithms of the teacher's scores of clips, and its features of them."""
        if isinstance(self.teacher, tuple):
            scores, features = (ops.take(table, numbers, axis=0) for table in self.teacher)
            return ops.cast(scores, "float32"), features
        scores, features = (ops.stop_gradient(t) for t in self.teacher(x, training=False))
        return _log(scores), features

    def _soften(self, log_scores: Any) -> Any:
        """Logarithms of scores `(N, classes)` to those at the temperature."""
        return ops.log_softmax(log_scores / self.temperature)


def _log(scores: Any) -> Any:
    return ops.log(ops.maximum(ops.cast(scores, "float32"), SMALLEST))


def distill(
    student: VideoModel,
    teacher: Any,
    videos: Videos,
    output: str | os.PathLike,
    epochs: int = 30,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    shrink: int = 1,
    temperature: float = 1.0,
    feature_weight: float = 1.0,
    seed: int = 0,
    rounds: int | None = None,
    checkpoint_steps: int | None = None,
    verbose: Any = "auto",
    **options: Any,
) -> Path:
    """Trains a student on a teacher's scores and features, and saves it.

    The same call continues a run that was stopped, at any moment, with the very next batch.

    Args:
        student: the network to train, of known frames, height and width, with the teacher's
            classes.
        teacher: the network to learn from, or the path of what `precompute_teacher` wrote of it
            with the same settings: its epochs of clips then come again and again.
        videos: to learn on, from `read_split`; their labels are not used.
        output: folder for checkpoints, `history.csv` and the student, `model.keras`.
        epochs: passes over the videos.
        batch_size: clips per step.
        learning_rate: of AdamW at its peak; it follows half a cosine to 0.
        shrink, temperature, feature_weight: as in `Distiller`.
        seed: of the clips and their order.
        rounds: ask the teacher about the clips of so many epochs only, before the first step, and
            keep the answers in `teacher.npz` in the output.
        checkpoint_steps: write a checkpoint after so many steps, besides every ten minutes.
        verbose: as in `keras.Model.fit`.
        **options: of `keras_mtnet.data.clips`, as `stride`, `augment` or `flip`.

    Returns:
        The path of the student.

    Raises:
        ValueError: if student and teacher do not fit together, or for arguments out of range.
    """
    frames, height, width = student.input_shape[1:4]
    if height is None or height != width:
        raise ValueError(
            "The student's clips must be squares of known size: build it with input_shape=(frames, "
            f"size, size, 3). Received: {student.input_shape[1:]}"
        )
    check_counts(epochs=epochs)
    check_above_0(learning_rate=learning_rate)
    folder = Path(output)
    size = height * shrink
    stream = {"frames": frames, "size": size, "batch_size": batch_size, "seed": seed}
    if rounds is not None:
        check_counts(rounds=rounds)
        path = folder / "teacher.npz"
        teacher = precompute_teacher(teacher, videos, path, rounds, **stream, **options)
    taught: Any = teacher
    if isinstance(teacher, str | os.PathLike):
        taught = TeacherScores.load(teacher)
        taught.check_stream(stream_settings(videos, **stream, options=options), teacher)
    names = getattr(taught, "clip_spec", taught).class_names
    model = Distiller(student, taught, shrink, temperature, feature_weight)
    data = clips(videos, training=True, label_mode=NUMBER, **stream, **options)
    if isinstance(taught, TeacherScores):
        data.position.period = len(taught.features) // (len(data) * batch_size)
    spec = data.clip_spec
    data.clip_spec = None  # its classes are not those that are learned
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(data))
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0))
    folder.mkdir(parents=True, exist_ok=True)
    model.fit(
        data,
        epochs=epochs,
        shuffle=False,  # the data set does it
        verbose=verbose,
        callbacks=[
            StopOnNaN(folder / "checkpoints"),
            history := keras.callbacks.CSVLogger(str(folder / "history.csv"), append=True),
            ExactResume(folder / "checkpoints", steps=checkpoint_steps, callbacks=[history]),
        ],
    )
    student.clip_spec = type(spec)(**{**vars(spec), "size": height, "class_names": names})
    with write_beside(folder / "model.keras") as beside:
        student.save(beside)
    return folder / "model.keras"
