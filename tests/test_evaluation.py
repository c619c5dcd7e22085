import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtnet import evaluate_views
from keras_mtnet.data import Video, Videos, read_split, views
from keras_mtnet.evaluation import clip_shape


def stand_in(classes: int, shape=(4, 16, 16, 3), seed: int = 0) -> keras.Model:
    """A small 3-D CNN with random weights, scores spread widely enough to differ."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    x = keras.layers.Conv3D(4, (2, 3, 3), activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling3D()(x)
    x = keras.layers.Dense(classes, "softmax", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, x)


@pytest.fixture(scope="module")
def videos(drawn, tmp_path_factory) -> Videos:
    """16 drawn test videos, a text file among them, two names that are not on disk."""
    tests = read_split("folder", str(drawn), subset="test")
    broken = tmp_path_factory.mktemp("broken") / "broken.mp4"
    broken.write_text("not a video")
    listed = [*tests[:5], Video(str(broken), 3, "Rise/broken.mp4"), *tests[5:]]
    return Videos(listed, tests.class_names, ("Fall/gone.avi", "Spin/gone.avi"), "ucf101")


def test_scores_are_means_over_views(videos):
    """Against views scored one by one, with argmax and rank written out."""
    model = stand_in(8)
    result = evaluate_views(model, videos, clips=3, crops=2, batch_size=4, verbose=False)
    confusion, top5 = np.zeros((8, 8), int), 0
    for clips, label, _ in views(videos, frames=4, size=16, num_clips=3, num_crops=2):
        scores = np.mean([model(clip[None]).numpy()[0] for clip in clips], axis=0)
        order = np.argsort(-scores, kind="stable").tolist()
        confusion[int(label), order[0]] += 1
        top5 += int(label) in order[:5]
    np.testing.assert_array_equal(result.confusion, confusion)
    assert result.top1 == np.trace(confusion) / 16
    assert result.top5 == top5 / 16
    assert 0 < result.top5 < 1  # says something only if not all videos are alike


def test_every_listed_video_is_counted_once(videos):
    result = evaluate_views(stand_in(8), videos, clips=1, crops=1, verbose=False)
    assert (result.listed, result.scored) == (19, 16)
    assert list(result.unreadable) == ["Rise/broken.mp4"]
    assert result.missing == ("Fall/gone.avi", "Spin/gone.avi")
    assert result.scored + len(result.unreadable) + len(result.missing) == result.listed
    assert result.confusion.sum() == result.scored
    assert "16 of 19 videos scored, 1 unreadable, 2 missing" in str(result)


def test_a_perfect_and_a_blind_model(videos):
    """A model that is given the answer by the clip itself, and one that always says class 0."""

    def key(clip):
        return float(np.asarray(clip).sum())

    truth = {key(clip): int(label) for clip, label, _ in views(videos, 4, None, 16, 1, 1)}
    assert len(truth) == 16

    class Told(keras.Model):
        input_shape, output_shape = (None, 4, 16, 16, 3), (None, 8)

        def __init__(self, answer):
            super().__init__()
            self.answer = answer

        def call(self, x):
            return np.eye(8, dtype="float32")[[self.answer(key(clip)) for clip in x]]

    perfect = evaluate_views(Told(truth.get), videos, clips=1, crops=1, verbose=False)
    assert perfect.top1 == perfect.top5 == 1.0
    assert set(perfect.per_class.values()) == {1.0}
    blind = evaluate_views(Told(lambda _: 0), videos, clips=1, crops=1, verbose=False)
    assert blind.top1 == blind.chance == blind.most_frequent == 1 / 8
    # All other scores are equal: classes 1 to 4 are ahead of 5 to 7.
    assert blind.top5 == 5 / 8


def test_the_result_as_json(videos):
    result = evaluate_views(stand_in(8), videos, clips=1, crops=1, verbose=False)
    values = json.loads(json.dumps(result.to_dict()))
    assert values["top1"] == result.top1 and values["chance"] == 1 / 8
    assert values["per_class"].keys() == set(videos.class_names)
    assert values["confusion"] == result.confusion.tolist()


def test_a_few_batches_are_not_worth_a_trace(videos, monkeypatch):
    model = stand_in(8)
    options = {"clips": 1, "crops": 1, "verbose": False}
    untraced = evaluate_views(model, videos, **options)
    assert model.predict_function is None
    monkeypatch.setattr("keras_mtnet.evaluation._UNTRACED_BATCHES", 0)
    traced = evaluate_views(model, videos, **options)
    assert model.predict_function is not None
    np.testing.assert_array_equal(untraced.confusion, traced.confusion)


def test_few_traces(videos):
    """The views of all videos go through one or two compiled functions."""
    model = stand_in(8)
    evaluate_views(model, videos, clips=3, crops=3, batch_size=4, verbose=False)
    assert model.predict_function.experimental_get_tracing_count() <= 2


def test_clip_shape_of_the_model():
    fixed, free = stand_in(2), stand_in(2, (None, None, None, 3))
    assert clip_shape(fixed, None, None) == clip_shape(fixed, 4, 16) == (4, 16)
    assert clip_shape(free, 8, 32) == (8, 32)
    with pytest.raises(ValueError, match="any frames: pass frames"):
        clip_shape(free, None, 32)
    with pytest.raises(ValueError, match=r"frames=4\. Received: frames=8"):
        clip_shape(fixed, 8, 16)
    with pytest.raises(ValueError, match="square"):
        clip_shape(stand_in(2, (4, 16, 20, 3)), None, None)


def test_bad_input(videos, tmp_path):
    with pytest.raises(ValueError, match="scores 5 classes, the videos have 8"):
        evaluate_views(stand_in(5), videos)
    unlabelled = Videos([Video("x.mp4", -1, "x")], videos.class_names)
    with pytest.raises(ValueError, match="labelled"):
        evaluate_views(stand_in(8), unlabelled)
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    only_text = Videos([Video(str(text), 0, "a/text.mp4")], videos.class_names)
    with pytest.raises(ValueError, match=r"None of the 1 videos can be read[\s\S]*a/text.mp4"):
        evaluate_views(stand_in(8), only_text, verbose=False)
    broken = stand_in(8)
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    with pytest.raises(ValueError, match=f"scores of {Path(videos[0].name)} are not finite"):
        evaluate_views(broken, videos, verbose=False)
