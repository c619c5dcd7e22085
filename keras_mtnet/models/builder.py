"""Helpers shared by the model builders: argument checks, input, normalization, head, model."""

import dataclasses
import difflib
import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import keras

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.layers.clip_normalization import ClipNormalization
from keras_mtnet.layers.shapes import check_channels_last
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import Normalization, Preset, lookup
from keras_mtnet.weights.load import load_weights

P = ParamSpec("P")
Weights = str | os.PathLike | Preset | None

# public name -> builder, filled by `builder` and `sized`
BUILDERS: dict[str, Callable[..., VideoModel]] = {}
# public name -> frames and pixels of the clips that the network is made for
CLIPS: dict[str, tuple[int, int]] = {}
# What other libraries call our arguments, where the spelling does not tell.
_SYNONYMS = {"pretrained": "weights", "frames": "input_shape", "size": "input_shape"}


class Size(Protocol):
    """What `sized` needs to know of a member of a family; its other numbers are the family's."""

    @property
    def model(self) -> str:
        """Public name of the builder."""

    @property
    def clip(self) -> tuple[int, int]:
        """Frames and pixels of the clips that the network is made for."""


S = TypeVar("S", bound=Size)


def builder(function: Callable[P, VideoModel]) -> Callable[P, VideoModel]:
    """Decorates a public builder: `build` finds it by name; a wrong keyword is answered.

    Raises:
        TypeError: by the decorated function, for an unknown keyword, with the nearest known one.
    """
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> VideoModel:
        for keyword in kwargs:
            if keyword not in names:
                near = difflib.get_close_matches(keyword, names, n=1, cutoff=0.5)
                near = [_SYNONYMS[keyword]] if keyword in _SYNONYMS else near
                hint = f": did you mean {near[0]!r}?" if near else f". It has: {', '.join(names)}"
                raise TypeError(f"{function.__name__}() has no argument {keyword!r}{hint}")
        return function(*args, **kwargs)

    BUILDERS[function.__name__] = checked
    return checked


def sized(
    template: Callable[Concatenate[S, P], VideoModel], size: S, summary: str
) -> Callable[P, VideoModel]:
    """Makes the public builder of one member of a family, with `summary` as first line of its help.

    `template` builds any member; its first parameter is the size. The others, with their defaults,
    are those of the public builder, and so is its docstring, in which `MODEL` stands for the name.
    """

    def build(*args: P.args, **kwargs: P.kwargs) -> VideoModel:
        return template(size, *args, **kwargs)

    signature = inspect.signature(template)
    shown = list(signature.parameters.values())[1:]
    build.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    build.__name__ = build.__qualname__ = size.model
    build.__module__ = template.__module__
    details = inspect.cleandoc(template.__doc__ or "").replace("MODEL", size.model)
    build.__doc__ = f"{summary}\n\n{details}\n"
    CLIPS[size.model] = size.clip
    return builder(build)


def build(model: str, **kwargs: Any) -> VideoModel:
    """Builds a network by the name of its public builder, as `"MTNetS"`, with its arguments.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> build("MTNet", stage_filters=(8, 16), stage_depths=(1, 1), classes=4).output_shape
    (None, 4)
    """
    if model not in BUILDERS:
        near = difflib.get_close_matches(model, BUILDERS, n=1, cutoff=0.3)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"model must be one of {', '.join(sorted(BUILDERS))}.{hint} Received: {model!r}"
        )
    return BUILDERS[model](**kwargs)


def default_clip(model: str, weights: Any = None) -> tuple[int, int]:
    """Frames and pixels of the clips that a network is made for, or that its preset knows."""
    preset = lookup(model, weights)
    if preset is not None and preset.frames and preset.size:
        return preset.frames, preset.size
    return CLIPS.get(model, (16, 224))


@dataclasses.dataclass(frozen=True)
class Draft:
    """A network that is being built."""

    inputs: Any  # clips of pixels (N, T, H, W, 3)
    clips: Any  # the same, normalized, in the compute dtype
    classes: int  # width of the classifier
    weights: Weights  # what to load at the end

    def finish(
        self, outputs: Any, name: str, torch_keys: Mapping[str, Any] | None = None
    ) -> VideoModel:
        """Makes the model, with weights if there are any; `torch_keys` as of `weights.torch`."""
        sources = keras.utils.get_source_inputs(self.inputs)
        model = VideoModel(sources[0] if len(sources) == 1 else sources, outputs, name=name)
        model.torch_keys = torch_keys or {}
        if self.weights is not None:
            load_weights(model, self.weights)
        return model


def begin(
    model: str,
    include_top: bool,
    weights: Weights,
    input_tensor: Any,
    input_shape: Sequence[int | None] | None,
    pooling: str | None,
    classes: int | None,
    include_preprocessing: bool,
    dtype: Any,
    *,
    normalization: Normalization,
    default_classes: int,
    options: Mapping[str, Any] | None = None,
) -> Draft:
    """Checks what all builders take, finds the preset, and places input and normalization.

    `normalization` and `default_classes` hold where the user gives no preset; `options` are those
    of the builder's arguments that a preset may fix, as given or None. Go on from `draft.clips`,
    and end with `draft.finish`.

    Raises:
        ValueError: naming the argument and its value, for anything outside the choices.
    """
    check_channels_last()
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling must be None, 'avg' or 'max'. Received: pooling={pooling!r}")
    check_policy(dtype)
    preset = lookup(model, weights)
    if preset is not None:
        check_preset(preset, include_top, classes, options or {})
        normalization = preset.normalization
        weights = preset
    if classes is None:
        classes = default_classes if preset is None else preset.classes
    if not isinstance(classes, Integral) or classes < 1:
        raise ValueError(f"classes must be a positive int. Received: classes={classes!r}")
    inputs = clip_input(input_shape, input_tensor)
    # Without its top, a network was not trained for any clips yet.
    spec = preset.clip_spec if preset is not None and include_top else ClipSpec()
    clips = normalize(inputs, normalization, spec, include_preprocessing, dtype)
    return Draft(inputs, clips, int(classes), weights)


def check_preset(
    preset: Preset, include_top: bool, classes: int | None, options: Mapping[str, Any]
) -> None:
    """Raises ValueError, naming both sides and the way out, where a preset cannot be had so."""
    name = f"weights={preset.weights!r} of {preset.model}"
    for key, value in preset.options.items():
        given = options.get(key)
        if given is not None and given != value:
            raise ValueError(f"{name} are for {key}={value!r}. Received: {key}={given!r}")
    if include_top and classes not in (None, preset.classes):
        fixed = "".join(f"{key}={value!r}, " for key, value in preset.options.items())
        raise ValueError(
            f"{name} come with a classifier of {preset.classes} classes ({preset.dataset}). "
            f"Received: classes={classes}. For a new classifier on them: model = keras_mtnet."
            f"{preset.model}({fixed}classes={classes}), then keras_mtnet.weights.load_weights("
            f"model, {preset.weights!r}). For features: include_top=False."
        )


def check_policy(dtype: Any) -> None:
    """Refuses policies whose variables are in half precision: training loses small updates."""
    policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
    if policy.variable_dtype in ("float16", "bfloat16"):
        raise ValueError(
            f"Weights in {policy.variable_dtype} lose the small updates of training and the "
            f"statistics of batch normalization. Use dtype='mixed_{policy.variable_dtype}', which "
            f"computes in it and keeps float32 weights. Received: dtype={policy.name!r}"
        )


def check_stages(stage_filters: Sequence[int], stage_depths: Sequence[int]) -> None:
    """Raises ValueError unless there is a positive number per stage in both."""
    given = f"Received: stage_filters={stage_filters}, stage_depths={stage_depths}"
    lists = isinstance(stage_filters, Sequence) and isinstance(stage_depths, Sequence)
    if not lists or len(stage_filters) != len(stage_depths) or not stage_filters:
        raise ValueError(f"stage_filters and stage_depths must hold one number per stage. {given}")
    if not all(isinstance(n, Integral) and n > 0 for n in (*stage_filters, *stage_depths)):
        raise ValueError(f"stage_filters and stage_depths must be positive integers. {given}")


def clip_input(input_shape: Sequence[int | None] | None, input_tensor: Any) -> Any:
    """The input tensor, float32 `(N, frames, height, width, 3)`.

    It is float32 although clips are mostly uint8: Keras casts what is fed to the dtype of the
    input, and uint8 would truncate clips that were mixed.
    """
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor):
            raise ValueError(
                "input_tensor must be a Keras tensor, as keras.Input returns. Received: "
                f"{type(input_tensor).__name__}"
            )
        input_shape = input_tensor.shape[1:]
    shape = (None, None, None, 3) if input_shape is None else tuple(input_shape)
    sizes = [size for size in shape if size is not None]
    if (
        len(shape) != 4
        or shape[-1] != 3
        or not all(isinstance(size, Integral) and size > 0 for size in sizes)
    ):
        raise ValueError(
            "input_shape must be (frames, height, width, 3) with positive sizes or None. "
            f"Received: input_shape={shape}"
        )
    if input_tensor is not None:
        return input_tensor
    return keras.Input(shape, dtype="float32", name="clips")


def normalize(
    inputs: Any,
    normalization: Normalization,
    clip_spec: ClipSpec,
    include_preprocessing: bool,
    dtype: Any,
) -> Any:
    """Places the layer that normalizes clips and carries the clip spec; see `ClipNormalization`."""
    values = dataclasses.asdict(normalization) if include_preprocessing else {}
    layer = ClipNormalization(**values, clip_spec=clip_spec, dtype=dtype, name="normalization")
    return layer(inputs)


def pool(x: Any, pooling: str | None, dtype: Any, name: str = "head_pool") -> Any:
    """`(N, T, H, W, C)` as it is, or to `(N, C)` by `pooling="avg"` or `"max"`."""
    if pooling is None:
        return x
    kinds = {"avg": keras.layers.GlobalAveragePooling3D, "max": keras.layers.GlobalMaxPooling3D}
    return kinds[pooling](dtype=dtype, name=name)(x)


def classifier(x: Any, classes: int, activation: Any, dropout_rate: float, dtype: Any) -> Any:
    """`(N, C)` to scores `(N, classes)`: dropout, and a dense layer named "predictions"."""
    if not isinstance(dropout_rate, Real) or not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate must be in [0, 1). Received: dropout_rate={dropout_rate!r}")
    x = keras.layers.Dropout(dropout_rate, name="head_dropout", dtype=dtype)(x)
    return keras.layers.Dense(
        classes,
        activation,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",  # a softmax in half precision loses small scores
        name="predictions",
    )(x)
