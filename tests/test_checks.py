"""Numbers that cannot be: whichever function they are given to, the argument is named."""

import doctest
from fractions import Fraction

import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet import checks
from keras_mtnet.checks import check_above_0, check_counts, check_integer

COUNTS = (0, -1, 2.5, "3", float("nan"))
RATES = (0, -0.5, "3", float("nan"), float("inf"))
NETWORK = {"stage_filters": (8,), "stage_depths": (1,), "classes": 2}


@pytest.fixture(scope="module")
def videos(drawn):
    return mt.data.read_split("folder", drawn, subset="test")


@pytest.fixture(scope="module")
def model():
    return mt.MTNet((8,), (1,), classes=8, input_shape=(4, 16, 16, 3))


def test_examples():
    assert doctest.testmod(checks).failed == 0


def assert_named(function, values, **arguments):
    """Each wrong value of each argument is refused by a ValueError that tells both."""
    for name, default in arguments.items():
        wrong = values if default is None else (*values, None)
        for value in wrong:
            with pytest.raises(ValueError, match=name) as error:
                function(**{name: value})
            assert repr(value) in str(error.value), (name, value, str(error.value))


def test_checks():
    check_counts(batch_size=np.int64(3), frames=1)
    check_above_0(fps=Fraction(25, 2), ratio=np.float32(0.5))
    check_integer(seed=-1)
    assert_named(check_counts, COUNTS, batch_size=1)
    assert_named(check_above_0, RATES, fps=1)
    assert_named(check_integer, (2.5, "3"), seed=0)


def test_data(videos, drawn, tmp_path):
    def clips(**options):
        mt.data.clips(videos, **{"frames": 4, "size": 16, **options})

    def sequence(**options):
        mt.data.ClipSequence(videos, **{"frames": 4, "size": 16, **options})

    def views(**options):
        mt.data.views(videos, **{"frames": 4, "size": 16, **options})

    def directory(**options):
        split = {"validation_split": 0.3, "subset": "both", "verbose": False}
        mt.data.video_dataset_from_directory(drawn, **{**split, **options})

    def read_clip(**options):
        mt.data.read_clip(videos[0].path, **{"frames": 4, **options})

    def pack(**options):
        mt.data.pack("folder", drawn, tmp_path / "packed", **options)

    def draw(**options):
        mt.data.draw_dataset(tmp_path / "drawn", **options)

    for function in (clips, sequence):
        assert_named(function, COUNTS, batch_size=8, frames=16, stride=None, size=224)
        assert_named(function, COUNTS, parallel_calls=None)
        assert_named(function, RATES, fps=None)
        assert_named(function, (2.5, "3"), seed=0)
    assert_named(views, COUNTS, num_clips=10, num_crops=3, parallel_calls=None)
    assert_named(directory, (0, -1, 2.5), image_size=224)
    assert_named(directory, COUNTS, batch_size=8, frames=16, stride=None)
    assert_named(directory, (2.5, "3"), seed=0)
    assert_named(read_clip, COUNTS, frames=16, stride=1, size=None)
    assert_named(pack, (0, 2.5, "3"), shards=64, quality=85, short_side=320, workers=None)
    assert_named(draw, COUNTS, groups=12, clips_per_group=4, frames=40)
    assert_named(lambda **k: mt.data.check_videos(drawn, **k), COUNTS, workers=None)
    assert not list(tmp_path.iterdir())  # refused before anything is written


def test_shares_of_a_folder(drawn, tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(5):
            (tmp_path / label / f"{number}.mp4").touch()

    def split(**options):
        mt.data.read_split("folder", tmp_path, **options)

    assert_named(split, (0, 1, -1, 20), validation_split=0.2)
    assert_named(split, (2.5, "3"), split_seed=0)  # None would choose anew each time


def test_scores(videos, model):
    common = {"stride": 1, "num_clips": 1, "num_crops": 1}

    def predict(**options):
        mt.predict_video(model, videos[0].path, **{**common, **options})

    def evaluate(**options):
        mt.evaluate_views(model, videos[:2], **{**common, "verbose": False, **options})

    for function in (predict, evaluate):
        assert_named(function, COUNTS, num_clips=10, num_crops=3, batch_size=8)
        assert_named(function, COUNTS, frames=None, stride=None, size=None)
        assert_named(function, RATES, fps=None)
    assert_named(predict, COUNTS, top=5)
    assert_named(evaluate, COUNTS, parallel_calls=None)
    assert_named(evaluate, (-0.1, 50, "3"), threshold=0.5)
    assert_named(lambda **k: mt.decode_predictions(np.eye(3), **k), COUNTS, top=5)
    assert_named(mt.ClipSpec, COUNTS, frames=None, stride=None, size=None)
    assert_named(mt.ClipSpec, RATES, fps=None)


def test_training(tmp_path):
    recipe = mt.training.Recipe
    assert_named(recipe, COUNTS, batch_size=8, epochs=100, frames=16, keep_checkpoints=2)
    assert_named(recipe, COUNTS, stride=None, size=None, checkpoint_steps=None)
    assert_named(recipe, (-1, 2.5, "3"), seed=0, freeze_epochs=0, warmup_steps=None)
    assert_named(recipe, (0, -1, "3"), learning_rate=None, base_learning_rate=0.1)

    def resume(**options):
        mt.callbacks.ExactResume(tmp_path / "run", **options)

    assert_named(resume, COUNTS, steps=None, keep=2)
    assert_named(resume, RATES, minutes=10)
    assert_named(mt.callbacks.Throughput, COUNTS, batch_size=8)
    assert not list(tmp_path.iterdir())


def test_networks(model):
    def network(**options):
        mt.MTNet(**{**NETWORK, **options})

    assert_named(network, COUNTS, stem_filters=None, head_filters=432, head_units=2048)
    assert_named(network, COUNTS, classes=None)
    assert_named(network, RATES, bottleneck=2.25, ratio=7 / 8)
    assert_named(network, (1, -0.1, "0.5"), dropout_rate=None)
    assert_named(network, ((0,), (2.5,), ("3",)), stage_filters=None, stage_depths=None)
    assert_named(network, ((0, 16, 16, 3), ("4", 16, 16, 3), (4, 16, 16)), input_shape=None)
    with pytest.raises(ValueError, match=r"input_shape\[0\] must be .*=0"):
        mt.count_costs(model, (0, 16, 16, 3))
