import keras
import numpy as np
import pytest

from keras_mtnet import predict_video
from keras_mtnet.data import VideoError, read_split, views


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 16, 16, 3))
    x = keras.layers.GlobalAveragePooling3D()(keras.layers.Conv3D(4, 3, activation="relu")(inputs))
    return keras.Model(inputs, keras.layers.Dense(8, "softmax")(x))


def test_best_classes_of_the_mean_over_views(model, drawn):
    tests = read_split("folder", str(drawn), subset="test")
    best = predict_video(
        model, tests[0].path, 3, tests.class_names, clips=2, crops=3, stride=tests.stride
    )
    clips, _, _ = next(iter(views(tests, 4, None, 16, num_clips=2, num_crops=3)))
    scores = model(clips).numpy().mean(axis=0)
    order = np.argsort(-scores)[:3]
    assert [name for name, _ in best] == [tests.class_names[i] for i in order]
    np.testing.assert_allclose([score for _, score in best], scores[order], rtol=1e-5)


def test_without_names_labels_are_numbers(model, drawn):
    path = read_split("folder", str(drawn), subset="test")[0].path
    best = predict_video(model, path, top=100, clips=1, crops=1)
    assert {name for name, _ in best} == set(map(str, range(8)))
    assert sum(score for _, score in best) == pytest.approx(1, abs=1e-5)


def test_bad_input(model, drawn, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    with pytest.raises(VideoError, match=r"text\.mp4: "):
        predict_video(model, text)
    with pytest.raises(VideoError, match="no such file"):
        predict_video(model, tmp_path / "nothing.mp4")
    path = read_split("folder", str(drawn), subset="test")[0].path
    with pytest.raises(ValueError, match="each of the 8 classes"):
        predict_video(model, path, class_names=["a", "b"], clips=1, crops=1)
    with pytest.raises(ValueError, match="top=0"):
        predict_video(model, path, top=0)
