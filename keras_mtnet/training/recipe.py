"""What a training run is made of: one dataclass, and a table of named recipes.

No TensorFlow and no Keras here, so that the command line can show it at once.
"""

import dataclasses
import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from keras_mtnet.data.catalog import DATASETS

AUGMENTS = ("none", "paper", "randaugment", "strong")
MODELS = ("MTNetS", "MTNetM", "MTNetL", "MTNet")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "auto")
STRATEGIES = ("none", "mirrored", "multi_worker")
NORMALISATIONS = ("synchronised", "local", "frozen")


def fraction(text: str) -> float:
    """Reads 0.875 or 7/8."""
    return float(Fraction(text))


def integers(text: str) -> tuple[int, ...]:
    """Reads 24,48,96."""
    return tuple(int(number) for number in text.split(","))


def _setting(
    default: Any,
    group: str,
    help: str,
    parse: Callable[[str], Any] = str,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field that is also a flag of `keras-mtnet train`; `parse` reads the flag's text.

    Where the default says nothing, `help` ends in a semicolon and what happens without the flag.
    """
    metadata = {"group": group, "help": help, "parse": parse, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All settings of a training run; None means that the run finds the value itself.

    Every field is documented by the help of its flag: `keras-mtnet train --help`.

    Raises:
        ValueError: for a value that no run can have.
    """

    data: str = _setting(
        "folder",
        "data and output",
        "how the videos lie: folder is root/<class>/<video>, csv a list path,label[,start,end]",
        choices=tuple(DATASETS),
    )
    root: str = _setting("", "data and output", "folder of the videos")
    output: str = _setting("", "data and output", "new folder for the run")
    annotations: str | None = _setting(
        None,
        "data and output",
        "folder of the lists, or a CSV file; in or beside the folder of the videos",
    )
    split: int = _setting(1, "data and output", "number of the official split", int)
    frames: int = _setting(16, "data and output", "frames of a clip", int)
    stride: int | None = _setting(
        None, "data and output", "every n-th frame; the data set's own", int
    )
    size: int | None = _setting(
        None, "data and output", "height and width in pixels; the model's own", int
    )
    augment: str = _setting(
        "none",
        "data and output",
        "what training clips go through besides random crop and flip; strong also mixes clips",
        choices=AUGMENTS,
    )

    model: str = _setting(
        "MTNetS", "model", "network, MTNet has stages of your own", choices=MODELS
    )
    variant: str | None = _setting(
        None, "model", "paper, or released by its authors; that of the weights, or paper"
    )
    weights: str | None = _setting(
        None, "model", "to start from: a file, run, address, or name as hacs; random weights"
    )
    ratio: float = _setting(7 / 8, "model", "share of the local branch, 0 < ratio <= 1", fraction)
    cell: str = _setting("gru", "model", "recurrent cell: rnn, gru, lstm or peephole_lstm")
    dropout_rate: float = _setting(0.5, "model", "dropout before the classifier", float)
    stage_filters: tuple[int, ...] | None = _setting(
        None, "model", "channels of the stages, as 24,48,96; MTNet needs them", integers
    )
    stage_depths: tuple[int, ...] | None = _setting(
        None, "model", "blocks of the stages, as 1,1,1; MTNet needs them", integers
    )

    multigrid: bool = _setting(
        False,
        "optimisation",
        "begin with larger batches of smaller and shorter clips, at a rate scaled with the batch",
        bool,
    )
    batch_size: int = _setting(8, "optimisation", "clips of a step, on all devices together", int)
    epochs: int = _setting(100, "optimisation", "passes over the videos, one clip of each", int)
    base_rate: float = _setting(
        0.1, "optimisation", "highest learning rate for 64 clips, scaled with the batch", float
    )
    learning_rate: float | None = _setting(
        None, "optimisation", "highest learning rate as it is; base_rate * batch_size / 64", float
    )
    warmup_steps: int | None = _setting(
        None, "optimisation", "steps of linear warm-up; a tenth of the run", int
    )
    weight_decay: float = _setting(
        1e-4, "optimisation", "L2 decay, none on biases and batch normalisation", float
    )
    momentum: float = _setting(0.9, "optimisation", "Nesterov momentum", float)
    label_smoothing: float = _setting(
        0.0, "optimisation", "share of each label that goes to all classes alike", float
    )
    clip_norm: float | None = _setting(
        None, "optimisation", "largest norm of all gradients together; not clipped", float
    )
    accumulate: int = _setting(
        1, "optimisation", "steps whose gradients are averaged to one update", int
    )
    ema: float | None = _setting(
        None,
        "optimisation",
        "test and keep a running average of the weights, of this momentum, as 0.999; no average",
        float,
    )
    batch_norm: str = _setting(
        "synchronised",
        "optimisation",
        "statistics of the batch on all devices, of each device's part, or frozen as they are",
        choices=NORMALISATIONS,
    )
    backbone_rate: float = _setting(
        1.0, "optimisation", "with --weights: rate factor of all but the classifier", float
    )
    frozen_epochs: int = _setting(
        0, "optimisation", "with --weights: first epochs in which only the classifier learns", int
    )
    thaw_epochs: int = _setting(
        0,
        "optimisation",
        "with --frozen_epochs: then so many epochs from one stage's beginning to learn to the "
        "next's, the last first",
        int,
    )

    checkpoint_steps: int | None = _setting(
        None, "checkpoints", "write one every so many steps; by time only", int
    )
    checkpoint_minutes: float = _setting(
        10.0, "checkpoints", "write one after so many minutes at the latest", float
    )
    keep_checkpoints: int = _setting(2, "checkpoints", "how many of the newest to keep", int)

    recompute: bool = _setting(
        False,
        "machine",
        "compute activations again for the gradient instead of keeping them: less memory, slower",
        bool,
    )
    precision: str = _setting(
        "float32",
        "machine",
        "of the computation; auto is bfloat16 or float16 on a GPU, whichever it has",
        choices=PRECISIONS,
    )
    strategy: str = _setting(
        "none",
        "machine",
        "mirrored is all GPUs, or logical CPUs, of this machine, multi_worker several machines",
        str,
        STRATEGIES,
    )
    deterministic: bool = _setting(
        False, "machine", "the same numbers in every run, bit for bit; slower", bool
    )
    seed: int = _setting(0, "machine", "of weights, clips and dropout", int)
    wandb: str | None = _setting(
        None, "machine", "project of Weights & Biases to report to; not reported"
    )

    def __post_init__(self) -> None:
        for name, (allowed, holds) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise ValueError(f"{name} must be {allowed}. Received: {name}={value}")
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
        if self.variant and self.model == "MTNet":
            raise ValueError(
                f"variant belongs to MTNetS, MTNetM and MTNetL. Received: model={self.model!r}, "
                f"variant={self.variant!r}"
            )

    @property
    def peak_rate(self) -> float:
        """The highest learning rate: as given, or that for 64 clips scaled to the batch."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.base_rate * self.batch_size * self.accumulate / 64

    def warmup(self, total_steps: int) -> int:
        """Steps of the warm-up in a run of `total_steps`."""
        return total_steps // 10 if self.warmup_steps is None else self.warmup_steps

    def model_options(self) -> dict[str, Any]:
        """What `keras_mtnet.models.build` needs beside the classes and the input shape."""
        names = (
            *("variant", "ratio", "cell", "dropout_rate", "stage_filters", "stage_depths"),
            "recompute",
        )
        options = {name: getattr(self, name) for name in names}
        options["remat"] = options.pop("recompute")
        return {name: value for name, value in options.items() if value is not None}

    def replace(self, **changes: Any) -> "Recipe":
        """The same recipe with some values changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """The recipe as a JSON object, one line a field."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The recipe that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        values |= {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
        return cls(**values)


def stored_recipe(path: str | os.PathLike) -> Recipe:
    """The recipe of the run in a folder, with everything that was filled in."""
    config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    return Recipe.from_json(json.dumps(config["recipe"]))


# field -> what it must be, in words and as a test; None is looked at nowhere
_POSITIVE = ("greater than 0", lambda v: v > 0)
_AT_LEAST_1 = ("at least 1", lambda v: v >= 1)
_NOT_NEGATIVE = ("at least 0", lambda v: v >= 0)
_BELOW_1 = ("in [0, 1)", lambda v: 0 <= v < 1)
_LIMITS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        (
            *("frames", "stride", "size", "batch_size", "epochs", "split"),
            *("accumulate", "checkpoint_steps", "keep_checkpoints"),
        ),
        _AT_LEAST_1,
    ),
    **dict.fromkeys(("base_rate", "learning_rate", "clip_norm", "checkpoint_minutes"), _POSITIVE),
    **dict.fromkeys(
        (
            *("warmup_steps", "weight_decay", "backbone_rate", "seed"),
            *("frozen_epochs", "thaw_epochs"),
        ),
        _NOT_NEGATIVE,
    ),
    **dict.fromkeys(("momentum", "dropout_rate", "label_smoothing", "ema"), _BELOW_1),
    "variant": ("paper or released", lambda v: v in ("paper", "released")),
    "ratio": ("in (0, 1]", lambda v: 0 < v <= 1),
}

# The paper's recipe from scratch (section IV-A): half precision, 8,000 steps of warm-up, multigrid.
# The paper as it is at hand lost its numbers of epochs but for UCF-101; these are the defaults of
# the authors' training scripts.
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
        base_rate=0.01,
        warmup_steps=0,
        backbone_rate=0.1,
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
