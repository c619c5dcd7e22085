"""`ClipSequence`: the batches of `clips`, on any backend and without TensorFlow."""

import dataclasses
import importlib.util
import os
import random
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_mtnet.data import Augment, ClipSequence, clips, pack, read_split
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.layers import ClipNormalization
from keras_mtnet.models.video_model import VideoModel

SMALL = {"frames": 4, "stride": 2, "size": 32, "batch_size": 6, "seed": 3}


@pytest.fixture(scope="module")
def videos(drawn):
    """14 videos of 8 classes."""
    found = read_split("folder", str(drawn), subset="all")
    return Videos(list(found)[::3][:14], found.class_names)


def arrays(batches):
    return [tuple(np.asarray(part) for part in batch) for batch in batches]


def assert_same(one, other):
    assert len(one) == len(other) > 0
    for batch, expected in zip(one, other, strict=True):
        assert [part.dtype for part in batch] == [part.dtype for part in expected]
        for part, expected_part in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(part, expected_part)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"training": True},
        {"training": True, "flip": 0, "fps": 10.0, "seed": 8},
        {"training": True, "sampling": "uniform", "augment": Augment(crop_area=(0.3, 0.6))},
        {"label_mode": "categorical", "sample_weights": True},
        {"training": True, "sample_weights": True, "parallel_calls": 1},
    ],
)
def test_the_same_batches_as_those_of_clips(videos, options):
    sequence, dataset = (kind(videos, **{**SMALL, **options}) for kind in (ClipSequence, clips))
    assert len(sequence) == len(dataset) == 3
    assert sequence.clip_spec == dataset.clip_spec and sequence.class_names == videos.class_names
    for _ in range(2):
        assert_same(arrays(sequence), arrays(dataset))
    assert sequence.position == dataset.position and sequence.position.epoch == 2


def test_clips_alone_and_two_classes(videos):
    (clip,), *_ = ClipSequence(videos, label_mode=None, **SMALL)
    assert clip.shape == (6, 4, 32, 32, 3) and clip.dtype == np.uint8
    few = [dataclasses.replace(video, label=video.label % 2) for video in videos]
    two = Videos(few, videos.class_names[:2])
    _, labels = ClipSequence(two, label_mode="binary", **SMALL)[0]
    assert labels.shape == (6, 1) and labels.dtype == np.float32


def test_where_an_iteration_begins(videos):
    sequence = ClipSequence(videos, training=True, **SMALL)
    first = arrays(sequence)
    assert sequence.position.epoch == 1
    next(iter(sequence))
    assert sequence.position.epoch == 1  # nothing was used up
    sequence.position.epoch, sequence.position.skip = 0, 2
    again = arrays(sequence)
    assert not again[0][0].any() and not again[1][0].any()
    assert_same(again[2:], first[2:])
    assert (sequence.position.epoch, sequence.position.skip) == (1, 0)
    sequence = ClipSequence(videos, training=True, **SMALL)
    sequence.position.skip = 2
    with pytest.raises(ValueError, match=r"give fit shuffle=False\. Received: step 2, skip=2"):
        sequence[2]


def test_in_any_order(videos):
    """As Keras asks where `fit` was not told `shuffle=False`."""
    sequence = ClipSequence(videos, training=True, **SMALL)
    first = arrays(sequence)
    sequence.position.epoch = 0
    assert_same(arrays([sequence[step] for step in (2, 0, 1)]), [first[k] for k in (2, 0, 1)])
    sequence.on_epoch_end()
    assert sequence.position.epoch == 1


def test_what_cannot_be_read_is_left_out_and_named(videos, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"")
    broken = Video(str(tmp_path / "broken.mp4"), 0, "broken.mp4")
    sequence = ClipSequence(Videos([*videos[:5], broken, broken], videos.class_names), **SMALL)
    assert len(sequence[0][1]) == 5
    assert sequence.report.failed == {"broken.mp4": "the file is empty"}
    with pytest.raises(ValueError, match=r"can be read, e\.g\. broken\.mp4: the file is empty"):
        sequence[1]


@pytest.mark.parametrize("augment", ["paper", "strong", Augment(erase=0.5)])
def test_augmentations_of_tensorflow_are_refused(videos, augment):
    with pytest.raises(ValueError, match=r"ClipSequence flips and crops only.*mt.*|use keras"):
        ClipSequence(videos, training=True, augment=augment, label_mode="categorical", **SMALL)


def test_wrong_arguments(videos):
    with pytest.raises(ValueError, match="label_mode must be one of"):
        ClipSequence(videos, label_mode="one_hot", **SMALL)
    with pytest.raises(ValueError, match="stride must be an integer of at least 1"):
        ClipSequence(videos, **{**SMALL, "stride": 0})
    with pytest.raises(ValueError, match="augment needs training=True"):
        ClipSequence(videos, augment=Augment(crop_area=(0.5, 1.0)), **SMALL)


def test_fit_on_tensorflow(videos, monkeypatch):
    """A model of this package takes the clip spec, and does not let Keras change the order."""
    inputs = keras.Input((4, 32, 32, 3), dtype="float32")
    x = ClipNormalization((0.5,) * 3, (0.5,) * 3)(inputs)
    outputs = keras.layers.Dense(8)(keras.layers.GlobalAveragePooling3D()(x))
    model = VideoModel(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    train, valid = (ClipSequence(videos, training=kind, **SMALL) for kind in (True, False))
    monkeypatch.setattr(random, "shuffle", None)
    history = model.fit(train, validation_data=valid, epochs=3, verbose=0)
    assert len(history.history["val_loss"]) == 3 and train.position.epoch == 3
    assert model.predict(valid, verbose=0).shape == (14, 8)
    assert model.clip_spec == train.clip_spec


SCRIPT = '''
import importlib.abc, importlib.machinery, sys

class Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds TensorFlow, importing which raises."""

    def find_spec(self, name, path, target=None):
        if name == "tensorflow":
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise ImportError("TensorFlow is broken")

sys.meta_path.insert(0, Broken())
import keras
import numpy as np
import keras_mtnet as mt

assert keras.backend.backend() == sys.argv[1]
for root in sys.argv[2:]:
    videos = mt.data.read_split("folder", root, subset="all")
    train = mt.data.ClipSequence(videos, 4, 2, 32, 6, training=True, seed=3)
    model = keras.Sequential([
        keras.Input((4, 32, 32, 3)),
        keras.layers.Rescaling(1 / 127.5, offset=-1),
        keras.layers.Conv3D(4, 3, activation="relu"),
        keras.layers.GlobalAveragePooling3D(),
        keras.layers.Dense(len(train.class_names)),
    ])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    history = model.fit(train, epochs=2, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all() and train.position.epoch == 2
    assert model.evaluate(mt.data.ClipSequence(videos, 4, 2, 32, 6), verbose=0)[1] >= 0
    print(*(int(x) for x in np.sum(train[0][0], (1, 2, 3, 4), dtype="int64")))
assert "tensorflow" not in sys.modules
'''


def test_what_needs_tensorflow_says_so():
    script = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import keras_mtnet.data as data\n"
        "for name in ('clips', 'views', 'video_dataset_from_directory'):\n"
        "    try: getattr(data, name)\n"
        "    except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all("needs TensorFlow" in line for line in lines), done.stderr
    assert "ClipSequence" in lines[0]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_fit_without_tensorflow(drawn, tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    packed = str(tmp_path / "packed")
    pack("folder", str(drawn), packed, shards=2)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", SCRIPT, backend, str(drawn), packed]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    sums = [[int(value) for value in line.split()] for line in done.stdout.splitlines()]
    for root, found in zip((str(drawn), packed), sums, strict=True):
        train = clips(read_split("folder", root, subset="all"), 4, 2, 32, 6, True, 3)
        train.position.epoch = 2
        expected, _ = next(iter(train))
        assert found == expected.numpy().sum((1, 2, 3, 4), dtype="int64").tolist()
