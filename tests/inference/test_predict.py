import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from range_server import serve
from small_networks import ONE, stand_in, views_of

from keras_mtnet import evaluate_views, predict_video
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import VideoError, count_frames, read_frames
from keras_mtnet.video import opening


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
    assert predict_video(model, iter(frames), **options) == predict_video(model, frames, **options)
    with serve(Path(path).parent) as (url, _):
        assert predict_video(model, f"{url}/{Path(path).name}", **options) == expected
        with pytest.raises(VideoError, match=f"^{url}/gone.mp4: the server answers 404"):
            predict_video(model, f"{url}/gone.mp4", **options)
    with pytest.raises(VideoError, match="address"):
        predict_video(model, "rtsp://camera/1", **options)
    with pytest.raises(ValueError, match="camera"):
        predict_video(model, 0, **options)


def test_a_video_shorter_than_one_step():
    """All frames of its clip would be the same one."""
    frames = np.zeros((6, 32, 48, 3), "uint8")
    assert predict_video(stand_in(), frames, stride=5)
    for count, stride in ((5, 5), (1, 1)):
        with pytest.raises(VideoError, match=f"{count} frames; from one frame of a clip to the ne"):
            predict_video(stand_in(), frames[:count], stride=stride)
    uniform = stand_in(spec=ClipSpec(sampling="uniform"))
    assert predict_video(uniform, frames[:1])


def test_an_iterator_that_does_not_fit_into_memory(monkeypatch):
    monkeypatch.setattr(opening, "_MOST_BYTES", 2**16)
    endless = itertools.repeat(np.zeros((32, 48, 3), "uint8"))
    with pytest.raises(ValueError, match=r"the first 15 do not\. .*predict_timeline"):
        predict_video(stand_in(), endless, stride=2)


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
