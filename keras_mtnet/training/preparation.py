"""Making the data, the network and the optimizer of a run."""

from collections.abc import Sequence

import keras
import numpy as np
from absl import logging

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import VideoError, Videos, read_split
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.models import build
from keras_mtnet.models.builder import default_clip
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import lookup
from keras_mtnet.training.devices import resolve_precision
from keras_mtnet.training.plan import Epoch, plan, total_steps
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.schedules import make_optimizer
from keras_mtnet.weights import load_weights


def read_videos(recipe: Recipe) -> tuple[Videos, Videos]:
    """The videos to train and to validate on; ValueError if one of the two lists is empty."""
    place = recipe.data, recipe.root, recipe.annotations, recipe.split
    training, validation = (read_split(*place, subset=subset) for subset in ("train", "validation"))
    for part, videos in (("training", training), ("validation", validation)):
        if not videos:
            raise ValueError(f"There is no {part} video: every class needs at least two videos.")
    return training, validation


def resolve(recipe: Recipe, training: Videos) -> Recipe:
    """Fills in what the recipe leaves to the data, the model and the machine."""
    recipe = recipe.replace(
        stride=recipe.stride or training.stride,
        size=recipe.size or default_clip(recipe.model, recipe.weights)[1],
        learning_rate=recipe.peak_learning_rate,
        precision=resolve_precision(recipe.precision),
    )
    if recipe.warmup_steps is None:
        steps = total_steps(plan(recipe, len(training)))
        recipe = recipe.replace(warmup_steps=steps // 10)
    return recipe


def check_readable(videos: Videos, part: str, recipe: Recipe) -> None:
    """Raises ValueError unless at least one of the videos can be read."""
    reader = ClipReader(ClipSpec(**recipe.clip_options()))
    reasons = []
    for video in videos:
        try:
            reader.views(video)
            return
        except VideoError as error:
            reasons.append(str(error))
    raise ValueError(f"None of the {len(videos)} {part} videos can be read, e.g. {reasons[0]}")


def build_model(
    recipe: Recipe, classes: int, synchronized: bool = False, any_shape: bool = False
) -> VideoModel:
    """The network of a resolved recipe with random weights."""
    shape = (None,) * 3 if any_shape else (recipe.frames, recipe.size, recipe.size)
    preset = lookup(recipe.model, recipe.weights)
    options = {**(preset.options if preset else {}), **recipe.model_options()}
    if synchronized:
        options["synchronized"] = True
    return build(recipe.model, classes=classes, input_shape=(*shape, 3), **options)


def make_model(recipe: Recipe, training: Videos, replicas: int, fresh: bool = True) -> VideoModel:
    """The network of a resolved recipe as a run begins, trained on `replicas` devices together.

    It names what `training` holds, and `fresh` begins with the weights of the recipe.
    """
    synchronized = replicas > 1 and recipe.batch_norm == "synchronized"
    model = build_model(recipe, len(training.class_names), synchronized, recipe.multigrid)
    if recipe.batch_norm == "frozen":
        for layer in _layers_within(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    if recipe.weights and fresh:
        new = load_weights(model, recipe.weights)
        logging.info(f"Weights from {recipe.weights}. Re-initialized: {', '.join(new) or 'none'}.")
    model.clip_spec = ClipSpec(**recipe.clip_options(), class_names=training.class_names)
    return model


def _layers_within(layer: keras.Layer) -> list[keras.Layer]:
    """All layers inside a layer, at any depth."""
    found: dict[int, keras.Layer] = {}
    waiting = list(vars(layer).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, keras.Layer) and id(value) not in found:
            found[id(value)] = value
            waiting += vars(value).values()
    return list(found.values())


def compile_model(model: keras.Model, recipe: Recipe, epochs: Sequence[Epoch]) -> None:
    """Gives a model its optimizer, loss and metric, with all their variables.

    Variables that are first made while the step is traced make TensorFlow trace it twice.
    """
    if recipe.soft_labels:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    else:
        loss = keras.losses.SparseCategoricalCrossentropy()
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    stages = len({v.path[:6] for v in model.variables if v.path.startswith("stage")})
    # Weighted: clips that stand in for others have weight 0.
    model.compile(make_optimizer(recipe, epochs, stages), loss=loss, weighted_metrics=[accuracy])
    model.optimizer.build(model.trainable_variables)
    classes = model.output_shape[-1]
    scores = np.full((1, classes), 1 / classes, "float32")
    labels = scores if recipe.soft_labels else np.zeros((1,), "int32")
    model.compute_metrics(None, labels, scores)
    model.reset_metrics()
