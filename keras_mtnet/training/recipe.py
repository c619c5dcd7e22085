"""The settings of a training run: one dataclass, and a table of named recipes.

No TensorFlow and no Keras here, so that the command line can show it at once.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

from keras_mtnet.clip_spec import SAMPLINGS
from keras_mtnet.data.augment import PRESETS, Augment
from keras_mtnet.data.catalog import DATASETS
from keras_mtnet.networks import NETWORKS

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "auto")
STRATEGIES = ("none", "mirrored", "multi_worker")
NORMALIZATIONS = ("synchronized", "local", "frozen")
# The default of each comes first.
VARIANTS = {
    **dict.fromkeys(("MTNetS", "MTNetM", "MTNetL"), ("paper", "released")),
    "SlowFast50": ("8x8", "4x16"),
    "SlowFast101": ("paper", "pytorchvideo"),
}
_OF_MTNETS = ("ratio", "cell", "stage_filters", "stage_depths")
_PATHS = ("root", "output", "annotations", "weights")


def fraction(text: str) -> float:
    """Reads 0.875 or 7/8."""
    return float(Fraction(text))


def integers(text: str) -> tuple[int, ...]:
    """Reads 24,48,96."""
    return tuple(int(number) for number in text.split(","))


def _setting(
    group: str,
    default: Any,
    help: str,
    parse: Callable[[str], Any] = str,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field that is also a flag of `keras-mtnet train`; `parse` reads the flag's text.

    Where the default says nothing, `help` ends in a semicolon and what happens without the flag.
    """
    metadata = {"group": group, "help": help, "parse": parse, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


_data = functools.partial(_setting, "data and output")
_augment = functools.partial(_setting, "augmentation", None, parse=float)
_model = functools.partial(_setting, "model")
_optimize = functools.partial(_setting, "optimization")
_checkpoint = functools.partial(_setting, "checkpoints")
_machine = functools.partial(_setting, "machine")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All settings of a training run; None leaves a value to the run.

    Every field is documented by the help of its flag: `keras-mtnet train --help`.

    Raises:
        ValueError: for a value that no run can have.

    Example:

    >>> import keras_mtnet as mt
    >>> recipe = mt.training.RECIPES["ucf101"].replace(batch_size=16)
    >>> recipe.peak_learning_rate
    0.0025
    """

    data: str = _data(
        "folder",
        "dataset layout: folder is root/<class>/<video>, csv a list path,label[,start,end]",
        choices=tuple(DATASETS),
    )
    root: str = _data("", "folder of the videos")
    output: str = _data("", "new folder for the run, outside the videos")
    annotations: str | None = _data(None, "folder of the lists, or a CSV file; in or beside root")
    split: int = _data(1, "number of the official split", int)
    frames: int = _data(16, "frames of a clip", int)
    stride: int | None = _data(None, "every n-th frame; the dataset's own", int)
    size: int | None = _data(None, "height and width in pixels; the model's own", int)
    fps: float | None = _data(
        None, "frames per second to resample videos to; their own rate", float
    )
    sampling: str = _data(
        "window", "window: frames at the stride, uniform: one of each segment", choices=SAMPLINGS
    )

    augment: str = _setting(
        "augmentation",
        "none",
        "preset for training clips besides random crop and flip (strong also mixes clips)",
        choices=tuple(PRESETS),
    )
    flip: float | None = _augment("probability of mirroring a clip; the preset's, 0.5")
    brightness: float | None = _augment("jitter, 0 to 1; the preset's")
    contrast: float | None = _augment("jitter, 0 to 1; the preset's")
    saturation: float | None = _augment("jitter, 0 to 1; the preset's")
    hue: float | None = _augment("jitter in turns of the color circle, 0 to 0.5; the preset's")
    erase: float | None = _augment("probability of covering a box with noise; the preset's")
    mix_up: float | None = _augment("concentration for blending two clips; the preset's")
    cut_mix: float | None = _augment("concentration for pasting a box; the preset's")

    model: str = _model("MTNetS", "network; MTNet has stages of your own", choices=NETWORKS)
    variant: str | None = _model(
        None,
        "of MTNets paper or released, of SlowFast50 8x8 or 4x16, of SlowFast101 paper or "
        "pytorchvideo; that of the weights",
    )
    weights: str | None = _model(None, "a file, run, address or name as hacs; random weights")
    ratio: float = _model(7 / 8, "share of the local branch, 0 < ratio <= 1", fraction)
    cell: str = _model("gru", "recurrent cell: rnn, gru, lstm or peephole_lstm")
    dropout_rate: float = _model(0.5, "dropout before the classifier", float)
    stage_filters: tuple[int, ...] | None = _model(
        None, "channels of the stages, as 24,48,96; MTNet needs them", integers
    )
    stage_depths: tuple[int, ...] | None = _model(
        None, "blocks of the stages, as 1,1,1; MTNet needs them", integers
    )

    multigrid: bool = _optimize(
        False, "begin with larger batches of smaller, shorter clips and scale the rate", bool
    )
    batch_size: int = _optimize(8, "clips of a step, on all devices together", int)
    epochs: int = _optimize(100, "passes over the videos, one clip of each", int)
    base_learning_rate: float = _optimize(0.1, "peak for 64 clips, scaled with the batch", float)
    learning_rate: float | None = _optimize(None, "peak; base_learning_rate * batch / 64", float)
    warmup_steps: int | None = _optimize(None, "steps of linear warm-up; a tenth of the run", int)
    weight_decay: float = _optimize(1e-4, "L2 decay, none on biases and batch normalization", float)
    momentum: float = _optimize(0.9, "Nesterov momentum", float)
    label_smoothing: float = _optimize(0.0, "share of a label spread over all classes", float)
    global_clipnorm: float | None = _optimize(None, "norm of all gradients; not clipped", float)
    gradient_accumulation_steps: int = _optimize(1, "steps averaged to one update", int)
    ema_momentum: float | None = _optimize(
        None, "validate and keep a moving average of the weights, as 0.999; no average", float
    )
    batch_norm: str = _optimize(
        "synchronized",
        "statistics over all devices, over each device's part, or frozen",
        choices=NORMALIZATIONS,
    )
    backbone_lr_multiplier: float = _optimize(
        1.0, "with --weights: learning rate multiplier of all but the classifier", float
    )
    freeze_epochs: int = _optimize(
        0, "with --weights: first epochs in which only the classifier learns", int
    )
    unfreeze_every: int = _optimize(
        0,
        "with --freeze_epochs: epochs between unfreezing consecutive stages, last stage first",
        int,
    )

    checkpoint_steps: int | None = _checkpoint(None, "steps between them; by time only", int)
    checkpoint_minutes: float = _checkpoint(10.0, "most minutes between them", float)
    keep_checkpoints: int = _checkpoint(2, "how many of the newest to keep", int)

    remat: bool = _machine(False, "recompute activations: less memory, slower", bool)
    precision: str = _machine(
        "float32",
        "of the computation (auto: bfloat16 or float16 where the GPU has it)",
        choices=PRECISIONS,
    )
    strategy: str = _machine(
        "none",
        "mirrored: all GPUs, or logical CPUs, of this machine, multi_worker: several machines",
        choices=STRATEGIES,
    )
    deterministic: bool = _machine(False, "the same numbers in every run, bit for bit", bool)
    seed: int = _machine(0, "seed of weights, clips and dropout", int)
    wandb: str | None = _machine(None, "Weights & Biases project to report to; not reported")

    def __post_init__(self) -> None:
        for name in _PATHS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, os.fspath(getattr(self, name)))
        for name, (allowed, holds) in _LIMITS.items():
            value = getattr(self, name)
            if value is None and self.__dataclass_fields__[name].default is None:
                continue
            if not isinstance(value, Real) or not holds(value):
                raise ValueError(f"{name} must be {allowed}. Received: {name}={value!r}")
        for name, field in self.__dataclass_fields__.items():
            choices = field.metadata["choices"]
            if choices and getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        stages = (self.stage_filters is not None, self.stage_depths is not None)
        if stages != (self.model == "MTNet",) * 2:
            raise ValueError(
                "stage_filters and stage_depths belong to model='MTNet', which needs both. "
                f"Received: model={self.model!r}, stage_filters={self.stage_filters}, "
                f"stage_depths={self.stage_depths}"
            )
        for name in _OF_MTNETS if not self.model.startswith("MTNet") else ():
            if getattr(self, name) != self.__dataclass_fields__[name].default:
                raise ValueError(
                    f"model={self.model!r} has no {name}. Received: {name}={getattr(self, name)!r}"
                )
        variants = VARIANTS.get(self.model, ())
        if self.variant is not None and self.variant not in variants:
            has = f"has the variants {', '.join(variants)}" if variants else "has no variant"
            raise ValueError(f"model={self.model!r} {has}. Received: variant={self.variant!r}")
        self.augmentation()

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate: as given, or that for 64 clips scaled to the update."""
        if self.learning_rate is not None:
            return self.learning_rate
        update = self.batch_size * self.gradient_accumulation_steps
        return self.base_learning_rate * update / 64

    @property
    def soft_labels(self) -> bool:
        """Whether labels are shares of classes."""
        return self.augmentation().mixes or self.label_smoothing > 0

    def augmentation(self) -> Augment:
        """The preset, with single settings replaced."""
        names = {field.name for field in dataclasses.fields(Augment)}
        given = {name: value for name, value in vars(self).items() if name in names}
        given = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(PRESETS[self.augment], **given)

    def clip_options(self) -> dict[str, Any]:
        """What `keras_mtnet.data.clips` needs to know of the clips."""
        names = ("frames", "stride", "size", "fps", "sampling")
        return {name: getattr(self, name) for name in names}

    def model_options(self) -> dict[str, Any]:
        """What `keras_mtnet.models.build` needs beside the classes and the input shape."""
        own = _OF_MTNETS if self.model.startswith("MTNet") else ()
        names = ("dropout_rate", "variant", *own)
        options = {name: getattr(self, name) for name in names}
        options["remat"] = self.remat or None  # not every network can
        return {name: value for name, value in options.items() if value is not None}

    def replace(self, **changes: Any) -> "Recipe":
        """The same recipe with some values changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """The recipe as a JSON object, one line per field."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The recipe that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        values |= {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
        return cls(**values)


# field -> what it must be, in words and as a test
_POSITIVE = ("greater than 0", lambda v: v > 0)
_COUNT = ("an integer of at least 1", lambda v: isinstance(v, Integral) and int(v) >= 1)
_COUNT_OR_0 = ("an integer of at least 0", lambda v: isinstance(v, Integral) and int(v) >= 0)
_NOT_NEGATIVE = ("at least 0", lambda v: v >= 0)
_BELOW_1 = ("in [0, 1)", lambda v: 0 <= v < 1)
_LIMITS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("frames", "stride", "size", "batch_size", "epochs", "split"), _COUNT),
    **dict.fromkeys(("checkpoint_steps", "keep_checkpoints"), _COUNT),
    "gradient_accumulation_steps": _COUNT,
    **dict.fromkeys(("seed", "warmup_steps", "freeze_epochs", "unfreeze_every"), _COUNT_OR_0),
    **dict.fromkeys(("base_learning_rate", "learning_rate", "fps"), _POSITIVE),
    **dict.fromkeys(("global_clipnorm", "checkpoint_minutes"), _POSITIVE),
    **dict.fromkeys(("weight_decay", "backbone_lr_multiplier"), _NOT_NEGATIVE),
    **dict.fromkeys(("momentum", "dropout_rate", "label_smoothing", "ema_momentum"), _BELOW_1),
    "ratio": ("in (0, 1]", lambda v: 0 < v <= 1),
}

# The paper's recipe from scratch (section IV-A): half precision, 8,000 steps of warm-up, multigrid.
# Our text copy of the paper is missing its numbers of epochs but for UCF-101; these are the
# defaults of the authors' training scripts.
_PAPER = Recipe(
    model="MTNetM",
    batch_size=64,
    warmup_steps=8000,
    weight_decay=1e-4,
    multigrid=True,
    precision="auto",
)

RECIPES: dict[str, Recipe] = {
    # Anything, from scratch, on one small device.
    "scratch": Recipe(),
    "hacs": _PAPER.replace(data="hacs", epochs=120),
    # The paper starts the following from its HACS weights: name yours by `weights`.
    "kinetics400": _PAPER.replace(data="kinetics400", epochs=130),
    "kinetics700": _PAPER.replace(data="kinetics700", epochs=130),
    "moments": _PAPER.replace(data="moments", epochs=110),
    "ucf101": Recipe(
        data="ucf101",
        model="MTNetM",
        epochs=150,
        base_learning_rate=0.01,
        warmup_steps=0,
        backbone_lr_multiplier=0.1,
        precision="auto",
    ),
    # What `make demo` trains on the videos it draws.
    "demo": Recipe(
        model="MTNet",
        stage_filters=(24, 48),
        stage_depths=(1, 1),
        dropout_rate=0.2,
        stride=2,
        size=64,
        epochs=16,
        learning_rate=0.05,
    ),
}
