import doctest
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtnet import evaluate_views, inference, predict_video
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import Video, VideoError, Videos, count_frames, read_frames, read_split
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.inference import _read_ahead
from keras_mtnet.layers.clip_normalization import ClipNormalization

ONE = {"num_clips": 1, "num_crops": 1}


def stand_in(classes: int = 8, shape=(4, 16, 16, 3), activation="softmax", spec=None, seed=0):
    """A small 3-D CNN with random weights whose scores differ."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    x = ClipNormalization((0.5,) * 3, (0.5,) * 3, clip_spec=spec)(inputs)
    x = keras.layers.Conv3D(4, (2, 3, 3), activation="relu")(x)
    x = keras.layers.GlobalAveragePooling3D()(x)
    init = keras.initializers.RandomNormal(stddev=3)
    return keras.Model(inputs, keras.layers.Dense(classes, activation, kernel_initializer=init)(x))


@pytest.fixture(scope="module")
def tests(drawn) -> Videos:
    return read_split("folder", str(drawn), subset="test")


@pytest.fixture(scope="module")
def videos(tests, tmp_path_factory) -> Videos:
    """16 drawn test videos, a text file among them, two names that are not on disk."""
    broken = tmp_path_factory.mktemp("broken") / "broken.mp4"
    broken.write_text("not a video")
    listed = [*tests[:5], Video(str(broken), 3, "Rise/broken.mp4"), *tests[5:]]
    return Videos(listed, tests.class_names, ("Fall/gone.avi", "Spin/gone.avi"), "ucf101")


def views_of(video, stride=2, num_clips=3, num_crops=2, **options) -> np.ndarray:
    return ClipReader(ClipSpec(4, stride, 16, **options)).views(video, num_clips, num_crops)


def test_examples():
    assert doctest.testmod(inference).failed == 0


# --- One video -----------------------------------------------------------------------------------


def test_best_classes_of_the_mean_over_views(tests):
    model, names = stand_in(), tests.class_names
    options = {"num_clips": 3, "num_crops": 2, "stride": 2, "batch_size": 4}
    best = predict_video(model, tests[0].path, 3, class_names=names, **options)
    scores = np.mean([model(view[None]).numpy()[0] for view in views_of(tests[0])], axis=0)
    order = np.argsort(-scores)[:3]
    assert [name for name, _ in best] == [names[i] for i in order]
    np.testing.assert_allclose([score for _, score in best], scores[order], rtol=1e-5)


def test_the_clip_spec_of_the_model_is_the_default(tests):
    spec = ClipSpec(stride=3, fps=12, class_names=tests.class_names)
    model, plain = stand_in(spec=spec), stand_in()
    given = {"stride": 3, "fps": 12, "class_names": tests.class_names}
    path = tests[0].path
    assert predict_video(model, path) == predict_video(plain, path, **given)
    assert predict_video(model, path) != predict_video(plain, path, **given | {"fps": None})
    wrapped = keras.Sequential([keras.Input((4, 16, 16, 3)), model])
    assert predict_video(wrapped, path) == predict_video(model, path)
    uniform = stand_in(spec=ClipSpec(sampling="uniform"))  # needs no stride
    expected = uniform(views_of(path, sampling="uniform")).numpy().mean(axis=0)
    found = dict(predict_video(uniform, path, top=8, num_clips=3, num_crops=2))
    np.testing.assert_allclose([found[str(i)] for i in range(8)], expected, rtol=1e-5)


def test_contradictions_and_gaps_say_what_to_pass(tests):
    path = tests[0].path
    model = stand_in(spec=ClipSpec(stride=3, class_names=tests.class_names))
    with pytest.raises(ValueError, match=r"trained with stride=3\. Received: stride=2"):
        predict_video(model, path, stride=2)
    with pytest.raises(ValueError, match=r"class_names=\('DriftFast'.*Received: class_names="):
        predict_video(model, path, class_names=list("abcdefgh"))
    with pytest.raises(ValueError, match=r"clips of frames=4\. Received: frames=8"):
        predict_video(model, path, frames=8)
    with pytest.raises(ValueError, match=r"does not know its stride: pass stride=\.\.\."):
        predict_video(stand_in(), path)
    free = stand_in(shape=(None, None, None, 3))
    with pytest.raises(ValueError, match=r"frames and size and stride: pass frames=\.\.\., size="):
        predict_video(free, path)
    assert len(predict_video(free, path, frames=4, size=16, stride=2, **ONE)) == 5
    with pytest.raises(ValueError, match="square"):
        predict_video(stand_in(shape=(4, 16, 20, 3)), path, stride=2)
    with pytest.raises(ValueError, match="one input"):
        predict_video(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), path)


def test_every_kind_of_source(tests, tmp_path):
    model, options = stand_in(), {"stride": 2, "top": 8}
    path = tests[0].path
    frames = read_frames(path, np.arange(count_frames(path)))
    expected = predict_video(model, path, **options)
    for source in (Path(path), Path(path).read_bytes()):
        assert predict_video(model, source, **options) == expected
    for source in (frames, list(frames)):  # RGB already when they are resized
        found = dict(predict_video(model, source, **options))
        assert found == pytest.approx(dict(expected), abs=0.02)
    for address in ("http://127.0.0.1:9/v.mp4", "rtsp://camera/1"):
        with pytest.raises(VideoError, match="address"):
            predict_video(model, address, **options)
    with pytest.raises(ValueError, match="camera"):
        predict_video(model, 0, **options)


def test_without_names_labels_are_numbers(tests):
    best = predict_video(stand_in(), tests[0].path, top=100, stride=2, **ONE)
    assert {name for name, _ in best} == set(map(str, range(8)))
    assert sum(score for _, score in best) == pytest.approx(1, abs=1e-5)


def test_heads(tests):
    """Scores lie in [0, 1] whatever the head is."""
    path, options = tests[0].path, {"stride": 2, **ONE}
    logits = dict(predict_video(stand_in(activation=None), path, top=8, **options))
    assert logits == pytest.approx(dict(predict_video(stand_in(), path, top=8, **options)))
    binary = stand_in(1, activation="sigmoid")
    best = dict(predict_video(binary, path, class_names=["no", "yes"], **options))
    assert best["yes"] == pytest.approx(float(binary(views_of(path, 2, 1, 1))[0, 0]))
    assert best["no"] == pytest.approx(1 - best["yes"])
    several = stand_in(3, activation="sigmoid")
    found = [score for _, score in predict_video(several, path, **options)]
    assert found == pytest.approx(sorted(several(views_of(path, 2, 1, 1)).numpy()[0])[::-1])


def test_bad_input(tests, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    model, path = stand_in(), tests[0].path
    with pytest.raises(VideoError, match=r"text\.mp4: "):
        predict_video(model, text, stride=2)
    with pytest.raises(VideoError, match="no such file"):
        predict_video(model, tmp_path / "nothing.mp4", stride=2)
    with pytest.raises(ValueError, match="each of the 8 classes"):
        predict_video(model, path, class_names=["a", "b"], stride=2)
    for name in ("top", "num_clips", "num_crops", "batch_size", "frames", "stride", "size", "fps"):
        with pytest.raises(ValueError, match=f"{name} must be .*Received: {name}=0"):
            predict_video(model, path, **{"stride": 2, name: 0})
    with pytest.raises(ValueError, match="sampling='dense'"):
        predict_video(model, path, sampling="dense")
    with pytest.raises(ValueError, match="parallel_calls=0"):
        evaluate_views(model, tests, stride=2, parallel_calls=0)


# --- A test --------------------------------------------------------------------------------------


def test_scores_are_means_over_views(videos):
    """Against views scored one by one."""
    model = stand_in()
    options = {"num_clips": 3, "num_crops": 2, "stride": 2, "batch_size": 4, "verbose": False}
    result = evaluate_views(model, videos, **options)
    readable = [video for video in videos if "broken" not in video.name]
    expected = [
        np.mean([model(view[None]).numpy()[0] for view in views_of(video)], axis=0)
        for video in readable
    ]
    np.testing.assert_allclose(result.scores, expected, rtol=1e-4)
    assert result.names == tuple(video.name for video in readable)
    assert result.labels.tolist() == [video.label for video in readable]
    assert 0 < result.top5 < 1  # says something only if not all videos are alike


def test_every_listed_video_is_counted_once(videos):
    result = evaluate_views(stand_in(), videos, stride=2, verbose=False, **ONE)
    assert (result.listed, result.scored) == (19, 16)
    assert list(result.unreadable) == ["Rise/broken.mp4"]
    assert result.missing == ("Fall/gone.avi", "Spin/gone.avi")
    assert "16 of 19 videos scored, 1 unreadable, 2 missing" in str(result)


def test_damaged_videos_are_named(tests, tmp_path):
    content = bytearray(next(Path(v.path) for v in tests if v.path.endswith(".mp4")).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = b"\xff" * 200
    spoilt = tmp_path / "spoilt.mp4"
    spoilt.write_bytes(content)
    listed = Videos([Video(str(spoilt), 0, "spoilt"), tests[1]], tests.class_names)
    result = evaluate_views(stand_in(), listed, stride=2, verbose=False)
    assert list(result.damaged) == ["spoilt"] and result.scored == 2
    assert "spoilt: scored in part, " in str(result)


def test_heads_of_a_test(tests):
    options = {"stride": 2, "verbose": False, **ONE}
    two = Videos([v for v in tests if v.label < 2], tests.class_names[:2])
    binary = evaluate_views(stand_in(1, activation="sigmoid"), two, threshold=0.0, **options)
    assert binary.predicted.tolist() == [1] * 4 and binary.top1 == 0.5
    several = evaluate_views(stand_in(activation="sigmoid"), tests, **options)
    assert several.multi_label and "mAP" in str(several)
    logits = evaluate_views(stand_in(activation=None), tests, **options)
    np.testing.assert_allclose(logits.scores.sum(axis=1), 1, rtol=1e-5)


def test_wrong_tests(videos, tmp_path):
    with pytest.raises(ValueError, match=r"each of the 5 classes of the model\. Received: 8 names"):
        evaluate_views(stand_in(5), videos, stride=2)
    known = stand_in(spec=ClipSpec(stride=2, class_names=list("abcdefgh")))
    with pytest.raises(ValueError, match=r"class_names=\('a', .*Received: class_names=\('Drift"):
        evaluate_views(known, videos)
    unlabeled = Videos([Video("x.mp4", -1, "x")], videos.class_names)
    with pytest.raises(ValueError, match="labeled"):
        evaluate_views(stand_in(), unlabeled, stride=2)
    with pytest.raises(ValueError, match=r"read_split; model\.evaluate.*Received: str"):
        evaluate_views(stand_in(), "videos", stride=2)
    with pytest.raises(ValueError, match="threshold=50"):
        evaluate_views(stand_in(), videos, stride=2, threshold=50)
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    only_text = Videos([Video(str(text), 0, "a/text.mp4")], videos.class_names)
    with pytest.raises(ValueError, match=r"None of the 1 videos can be read.* a/text.mp4: "):
        evaluate_views(stand_in(), only_text, stride=2, verbose=False)
    broken = stand_in()
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    with pytest.raises(ValueError, match=f"scores of {Path(videos[0].name)} are not finite"):
        evaluate_views(broken, videos, stride=2, verbose=False)


@pytest.mark.parametrize("calls", [1, 3])
def test_reading_ahead_is_bounded(calls):
    """Never more results than threads and the one that is looked at; in order, errors raised."""
    begun, done, lock = [0], [0], threading.Lock()

    def read(item):
        with lock:
            begun[0] += 1
        time.sleep(0.002 * (item % 3))
        return item

    for item in _read_ahead(read, range(30), calls):
        assert item == done[0]
        assert begun[0] <= done[0] + calls + 1
        done[0] += 1
    assert done[0] == 30
    with pytest.raises(ZeroDivisionError):
        list(_read_ahead(lambda item: 1 / item, range(3), calls))
    stopped = _read_ahead(read, range(1000), calls)
    next(stopped)
    before = begun[0]
    stopped.close()
    assert begun[0] <= before + calls + 1


@pytest.mark.parametrize("cpus", [1, 16, 64])
def test_views_of_a_test_take_half_a_gigabyte(monkeypatch, cpus):
    """However many CPUs there are; of clips of 16 x 256 x 256, five videos."""
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    for (frames, size), views, expected in (
        ((16, 256), (10, 3), min(cpus, 5)),
        ((16, 64), (1, 1), cpus),
        ((64, 1024), (10, 3), 1),
    ):
        reader = ClipReader(ClipSpec(frames=frames, stride=2, size=size))
        assert reader.parallel_views(*views) == expected


# Predicts and tests on a backend, in a process of its own, where TensorFlow cannot be imported.
ON_BACKEND = """
import sys
if sys.argv[1] != "tensorflow":
    sys.modules["tensorflow"] = None
import json
import numpy as np, keras, keras_mtnet as mt
model = keras.models.load_model(sys.argv[2])
assert keras.backend.backend() == sys.argv[1]
root = sys.argv[3]
videos = mt.data.read_split("folder", root, subset="test")
best = mt.predict_video(model, videos[0].path, top=8, num_clips=2, batch_size=4)
result = mt.evaluate_views(model, videos[:4], num_clips=2, num_crops=1, verbose=False)
print(json.dumps([dict(best), result.scores.tolist()]))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_scores_on_every_backend(backend, tests, drawn, tmp_path):
    pytest.importorskip(backend)
    model = stand_in(spec=ClipSpec(stride=2, class_names=tests.class_names))
    model.save(tmp_path / "model.keras")
    command = [sys.executable, "-c", ON_BACKEND, backend, tmp_path / "model.keras", drawn]
    done = subprocess.run(
        command,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    best, scores = json.loads(done.stdout)
    assert best == pytest.approx(
        dict(predict_video(model, tests[0].path, top=8, num_clips=2)), abs=1e-5
    )
    expected = evaluate_views(model, tests[:4], num_clips=2, num_crops=1, verbose=False).scores
    np.testing.assert_allclose(scores, expected, atol=1e-5)
