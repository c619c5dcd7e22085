"""Pre-trains MTNetXS by distillation from I3D on small sets of real clips.

    python benchmarks/distill_mtnet_xs.py --videos VIDEOS --output runs/xs

`VIDEOS` has the folders jhmdb, ut_interaction, weizmann and arid6 in UCF-101's layout. Of each the
training list of split 1 is read, and no labels. I3D, at 192 x 192, sees the random windows and
crops of the first passes, once; the student sees the same clips at 96 x 96, again and again. Start
it again to continue.
"""

import argparse
import dataclasses
from pathlib import Path

import i3d_views
import keras_mtnet as mt
from keras_mtnet.data.augment import Augment
from keras_mtnet.training import distill

import keras

SETS = ("jhmdb", "ut_interaction", "weizmann", "arid6")
SHAPE = (16, 96, 96, 3)
STRIDE, SHRINK, BATCH = 2, 2, 16
AUGMENT = Augment(crop_area=(0.4, 1.0), flip=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--weights", default="kinetics400", help="of I3D")
    parser.add_argument("--epochs", type=int, default=40, help="passes over the videos")
    parser.add_argument("--rounds", type=int, default=8, help="passes that I3D sees")
    arguments = parser.parse_args()
    frames, size = SHAPE[0], SHAPE[1] * SHRINK
    teacher = mt.I3D(
        weights=arguments.weights,
        input_shape=(frames, size, size, 3),
        dtype=i3d_views.fastest_dtype(),
    )
    keras.utils.set_random_seed(0)
    student = mt.MTNetXS(classes=400, input_shape=SHAPE, dropout_rate=0.0)
    path = distill(
        *(student, teacher, training_videos(arguments.videos), arguments.output),
        epochs=arguments.epochs,
        batch_size=BATCH,
        learning_rate=2e-3,
        shrink=SHRINK,
        rounds=arguments.rounds,
        verbose=2,
        stride=STRIDE,
        augment=AUGMENT,
    )
    print(path)


def training_videos(folder: Path) -> mt.data.Videos:
    """Those of all sets, without labels."""
    return mt.data.Videos(
        [
            dataclasses.replace(video, name=f"{name}/{video.name}", label=-1)
            for name in SETS
            for video in mt.data.read_split("ucf101", str(folder / name), subset="train")
        ]
    )


if __name__ == "__main__":
    main()
