"""Pre-trains the MTNetXS that the package ships: distillation from I3D on small sets of real clips.

    python benchmarks/distill_mtnet_xs.py --videos VIDEOS --cache CACHE --output runs/xs

`VIDEOS` has the folders jhmdb, ut_interaction and weizmann in UCF-101's layout. Of each the
training list of split 1 is read, and no labels. I3D sees every second frame of the views of
`i3d_views.py`, once; the student sees every fourth at 96 x 96, mirrored at random. Start it again
to continue.
"""

import argparse
import hashlib
from pathlib import Path

import i3d_views
import keras_mtnet as mt
from keras_mtnet.data.stream import Position
from keras_mtnet.training import Distiller, TeacherScores

import h5py
import keras
import numpy as np

SETS = ("jhmdb", "ut_interaction", "weizmann")
VIEWS = (0, 1)
SHAPE = (8, 96, 96, 3)
BATCH = 16
FILE = "mtnet_xs_kinetics400_distilled.weights.h5"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", required=True, type=Path)
    parser.add_argument("--cache", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--weights", default="kinetics400", help="of I3D")
    parser.add_argument("--epochs", type=int, default=20, help="passes over all views")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    clips, teacher = clips_and_teacher(arguments)
    keras.utils.set_random_seed(0)
    student = mt.MTNetXS(classes=400, input_shape=SHAPE, dropout_rate=0.0)
    distiller = Distiller(student, teacher)
    data = Views(clips, np.arange(len(clips)))
    steps = arguments.epochs * len(data)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=2e-3, warmup_steps=len(data)
    )
    distiller.compile(keras.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0))
    log = keras.callbacks.CSVLogger(str(arguments.output / "history.csv"), append=True)
    resume = mt.callbacks.ExactResume(
        arguments.output / "checkpoints", data=data, minutes=3, callbacks=[log]
    )
    distiller.fit(data, epochs=arguments.epochs, shuffle=False, verbose=2, callbacks=[log, resume])
    file = arguments.output / FILE
    write_float16(student, file)
    print(file, file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())


class Views(keras.utils.PyDataset):
    """Clips in an order of each epoch's own, mirrored at random, with what belongs to each."""

    def __init__(self, clips: np.ndarray, targets: np.ndarray, seed: int = 0) -> None:
        super().__init__()
        self.clips, self.targets, self.seed = clips, targets, seed
        self.position = Position()  # lets ExactResume say which epoch it is

    def __len__(self) -> int:
        return len(self.clips) // BATCH

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng([self.seed, self.position.epoch])
        order = generator.permutation(len(self.clips))
        mirrored = generator.random(len(order)) < 0.5
        own = slice(step * BATCH, (step + 1) * BATCH)
        clips = self.clips[order[own]]
        clips[mirrored[own]] = clips[mirrored[own], :, :, ::-1]
        return clips, self.targets[order[own]]

    def on_epoch_end(self) -> None:
        self.position.epoch += 1


def clips_and_teacher(arguments: argparse.Namespace) -> tuple[np.ndarray, TeacherScores]:
    """The students' clips `(n, 8, 96, 96, 3)`, and what I3D says of them."""
    clips, scores, features = [], [], []
    for name in SETS:
        root = arguments.videos / name
        videos = i3d_views.read_all(root)
        videos = [videos[i] for i in i3d_views.places(root, videos, 1, "train")]
        cache = arguments.cache / f"{name}_train_every_second_frame"
        for view in VIEWS:
            taught = i3d_views.cached(videos, cache, view, arguments.weights, step=2)
            scores.append(np.log(np.maximum(taught["score"], 1e-7, dtype="float32")))
            features.append(taught["feat"])
            clips.append(i3d_views.read_views(videos, view, 96, 4))
    names = mt.presets.find("I3D", "kinetics400").clip_spec.class_names
    tables = (np.concatenate(table).astype("float16") for table in (scores, features))
    return np.concatenate(clips), TeacherScores(*tables, {}, names)


def write_float16(model: keras.Model, path: Path) -> None:
    """Writes weights in half precision, which Keras reads as well."""
    path.unlink(missing_ok=True)
    whole = path.with_name("float32.weights.h5")
    model.save_weights(whole)
    with h5py.File(whole) as source, h5py.File(path, "w") as target:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                half = item.dtype.kind == "f"
                target.create_dataset(name, data=item[()].astype("float16" if half else item.dtype))
            else:
                target.require_group(name).attrs.update(item.attrs)

        source.visititems(copy)
        target.attrs.update(source.attrs)
    whole.unlink()


if __name__ == "__main__":
    main()
