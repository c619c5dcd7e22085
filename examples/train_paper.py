"""Trains an MTNet on HACS Clips, Kinetics-400 or -700 or Moments in Time as the paper does.

    python examples/train_paper.py cost
    python examples/train_paper.py hacs --root HACS --annotations HACS_clips_v1.1.1.csv \\
        --output runs/hacs --strategy mirrored --resume
    python examples/train_paper.py kinetics400 --root K400 --output runs/k400 \\
        --weights runs/hacs --strategy mirrored --resume

`cost` prints what each run computes, and how long that takes at a number of clips per second that
`--dry_run` or `keras-mtnet benchmark` has measured on your machine (`--clips_per_second`). Then
comes the name of a data set, and any flags of `keras-mtnet train`, as `--model MTNetL`. Stop it
whenever you like: with `--resume` it continues with the very next batch. docs/large_sets.md says
what was tried of all this, and in which size.
"""

import sys
from typing import NamedTuple

import keras_mtnet as mt
from keras_mtnet import cli
from keras_mtnet.models.builder import default_clip
from keras_mtnet.training.plan import plan, total_steps


class DataSet(NamedTuple):
    """What a run needs to know beside its recipe, `mt.training.RECIPES[name]`."""

    clips: int  # for training, rounded; `--dry_run` counts those of your lists
    stride: int
    start: str  # weights that the paper starts from
    reported: str  # top-1 of MTNet-S, -M and -L in the paper; none of them measured here


DATA_SETS = {
    "hacs": DataSet(500_000, 2, "random", "80.7, 83.4, 86.6 (Table V)"),
    "kinetics400": DataSet(240_000, 5, "runs/hacs", "74.8, 76.6, 78.1 (Table I)"),
    "kinetics700": DataSet(540_000, 5, "runs/hacs", "our copy lacks Table IV"),
    "moments": DataSet(800_000, 3, "runs/hacs", "L: 35.2 (Section IV-D)"),
}
PASSES = 3  # multiply-adds of a training step over those of a prediction


def cost(model: str = "MTNetM", clips_per_second: float = 100.0) -> str:
    """A table of what the runs compute, and their days at a measured throughput."""
    frames, size = default_clip(model)
    macs = mt.count_costs(getattr(mt, model)(classes=400), (frames, size, size, 3)).macs
    lines = [f"{model}, clips of {frames} x {size} x {size}, {macs / 1e9:.1f} G multiply-adds each"]
    lines.append("data set     clips    epochs  steps      multiply-adds  days  without multigrid")
    for name, data in DATA_SETS.items():
        recipe = mt.training.RECIPES[name].replace(size=size, stride=data.stride)
        # With multigrid all steps have about the arithmetic of a full one.
        runs = [recipe, recipe.replace(multigrid=False)]
        steps = [total_steps(plan(run, data.clips)) for run in runs]
        days = [n * recipe.batch_size / clips_per_second / 86400 for n in steps]
        total = steps[0] * recipe.batch_size * PASSES * macs
        lines.append(
            f"{name:12} {data.clips:<8,} {recipe.epochs:<7} {steps[0]:<10,} {total:<14.1e} "
            f"{days[0]:<5.1f} {days[1]:.1f}"
        )
    lines.append(f"Days at {clips_per_second:g} clips per second on all devices together.")
    return "\n".join(lines)


def main() -> None:
    name, *flags = sys.argv[1:] or ["--help"]
    if name == "cost":
        options = dict(flag.lstrip("-").split("=") for flag in flags)
        rate = float(options.pop("clips_per_second", 100))
        print(cost(clips_per_second=rate, **options))
    elif name in DATA_SETS:
        start = DATA_SETS[name].start
        if start != "random" and not {"--weights", "--resume"} & {f.split("=")[0] for f in flags}:
            print(f"The paper starts from its HACS weights: --weights {start}", file=sys.stderr)
        cli.main(["train", "--recipe", name, *flags])
    else:
        print(__doc__)
        sys.exit(0 if name in ("-h", "--help") else 2)


if __name__ == "__main__":
    main()
