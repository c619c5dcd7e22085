import os
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from numbered_videos import encode
from small_networks import ONE, stand_in, views_of

from keras_mtnet import evaluate_views, predict_video
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import Video, Videos, clip_reader
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.inference.evaluate import _read_ahead
from keras_mtnet.scoring import Scorer


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


def test_labels_of_several_classes(tests):
    labels = np.zeros((len(tests), 8), bool)
    labels[np.arange(len(tests)), [video.label for video in tests]] = True
    options = {"stride": 2, "verbose": False, **ONE}
    one = evaluate_views(stand_in(activation="sigmoid"), tests, **options)
    several = evaluate_views(stand_in(activation="sigmoid"), tests, labels=labels, **options)
    for measure in ("top1", "top5", "mean_average_precision", "precision", "recall"):
        assert getattr(one, measure) == pytest.approx(getattr(several, measure))
    more = evaluate_views(stand_in(), tests, labels=np.ones_like(labels), **options)
    assert more.multi_label and more.top1 == 1 and more.threshold == 0.5
    for wrong in (labels[:3], labels[:, :3], labels * 2, np.zeros(len(tests))):
        with pytest.raises(ValueError, match=r"labels must be bool of the shape \(16, 8\)"):
            evaluate_views(stand_in(), tests, labels=wrong, **options)


def test_averaging(tests):
    options = {"stride": 2, "verbose": False, "num_clips": 2, "num_crops": 1}
    found = evaluate_views(stand_in(), tests[:2], averaging="logits", **options)
    logits = stand_in(activation=None)
    for scores, video in zip(found.scores, tests[:2], strict=True):
        mean = logits(views_of(video, 2, 2, 1)).numpy().mean(axis=0)
        np.testing.assert_allclose(scores, np.exp(mean) / np.exp(mean).sum(), rtol=1e-4)
    with pytest.raises(ValueError, match="averaging='sum'"):
        evaluate_views(stand_in(), tests, averaging="sum", **options)


def test_groups_are_those_of_the_names(tests):
    parts = [Video(v.path, v.label, f"{v.name} 0-0.5 s", 0.0, 0.5) for v in tests[:4]]
    plain = Video(tests[4].path, 0, "other.mp4")
    listed = Videos([*parts, plain], tests.class_names)
    found = evaluate_views(stand_in(), listed, stride=2, verbose=False, **ONE)
    assert found.groups == ("group 3",) * 4 + ("other.mp4",)


# --- Scores that are written as they come ---------------------------------------------------------


def stopping(model, after: int):
    """The model, which fails after so many batches."""
    done, call = [0], model.predict_on_batch

    def fail(clips):
        done[0] += 1
        if done[0] > after:
            raise KeyboardInterrupt
        return call(clips)

    model.predict_on_batch, model._eager_batches = fail, 10**6
    return model


def test_a_stopped_test_continues(videos, tmp_path):
    options = {"stride": 2, "verbose": False, **ONE}
    expected = evaluate_views(stand_in(), videos, **options)
    path = tmp_path / "scores.csv"
    for after, rows in ((3, 3), (0, 3), (6, 10)):  # the sixth video cannot be read
        with pytest.raises(KeyboardInterrupt):
            evaluate_views(stopping(stand_in(), after), videos, scores_file=path, **options)
        assert len(path.read_text().splitlines()) == 2 + rows
    found = evaluate_views(stopping(stand_in(), 7), videos, scores_file=path, **options)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert found.names == expected.names and found.unreadable == expected.unreadable
    assert found.missing == expected.missing and found.groups == expected.groups
    again = evaluate_views(stopping(stand_in(), 0), videos, scores_file=path, **options)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert str(again) == str(found)


def test_scores_of_another_test_are_refused(tests, tmp_path):
    options = {"stride": 2, "verbose": False, "scores_file": tmp_path / "scores.csv", **ONE}
    evaluate_views(stand_in(), tests, **options)
    before = options["scores_file"].read_bytes()
    for model, videos, changes, message in (
        (stand_in(seed=1), tests, {}, "other weights"),
        (stand_in(), tests[:3], {}, "other videos"),
        (stand_in(), tests, {"num_crops": 3}, "num_crops was 1, now 3"),
        (stand_in(), tests, {"stride": 3, "fps": 10}, "stride was 2, now 3; fps was null, now 10"),
        (stand_in(), tests, {"averaging": "logits"}, 'averaging was "probabilities", now "logits"'),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_views(model, videos, **{**options, **changes})
    assert options["scores_file"].read_bytes() == before
    nothing = keras.Sequential([keras.Input((4, 16, 16, 3)), keras.layers.GlobalAveragePooling3D()])
    three = Videos(tests[:3], tests.class_names[:3])
    with pytest.raises(ValueError, match="knows a network by its weights"):
        evaluate_views(nothing, three, activation="softmax", **options)


# --- Views ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["array", "file"])
@pytest.mark.parametrize("height, width", [(100, 160), (150, 100)])
def test_views_are_those_of_the_published_scheme(kind, height, width, tmp_path):
    """10 clips from the start of a video to its end, 3 crops from one end to the other.

    Positions as in the testing code of SlowFast and non-local networks; pixels tell frame, column
    and row. The short side is 1.25 times the crop, as in training (256 of 320).
    """
    count, frames, stride, crop = 97, 8, 3, 80
    video = np.empty((count, height, width, 3), "uint8")
    video[..., 0] = np.arange(count)[:, None, None]
    video[..., 1] = np.arange(width)
    video[..., 2] = np.arange(height)[:, None]
    source = encode(tmp_path / "a.mkv", video, "ffv1", "bgr0") if kind == "file" else video
    views = ClipReader(ClipSpec(frames, stride, crop)).views(source, 10, 3)
    places = []
    for clip in range(10):
        start = round((count - (frames - 1) * stride - 1) * clip / 9)
        for place in range(3):
            x, y = -(-(width - crop) // 2), -(-(height - crop) // 2)
            along = max(height, width) - crop
            moved = (0, -(-along // 2), along)[place]
            places.append((start, moved, y) if width > height else (start, x, moved))
    assert len(views) == len(places) == 30
    for view, (start, x, y) in zip(views, places, strict=True):
        assert view[:, 0, 0].tolist() == [[start + i * stride, x, y] for i in range(frames)]
        assert view[-1, -1, -1].tolist() == [start + 7 * stride, x + crop - 1, y + crop - 1]


def test_views_that_take_much_memory_are_read_clip_by_clip(videos, monkeypatch):
    options = {"num_clips": 3, "num_crops": 2, "stride": 2, "verbose": False}
    expected = evaluate_views(stand_in(), videos, **options)
    best = predict_video(stand_in(spec=ClipSpec(stride=2)), videos[0].path)
    monkeypatch.setattr(clip_reader, "_READ_AHEAD", 10_000)
    seen, call = [], Scorer.__call__

    def note(self, clips):
        seen.append(len(clips))
        return call(self, clips)

    monkeypatch.setattr(Scorer, "__call__", note)
    found = evaluate_views(stand_in(), videos, **options)
    assert set(seen) == {2} and len(seen) == 3 * found.scored
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert found.unreadable == expected.unreadable
    again = predict_video(stand_in(spec=ClipSpec(stride=2)), videos[0].path)
    assert dict(again) == pytest.approx(dict(best))


def test_damage_that_comes_to_light_clip_by_clip(tests, monkeypatch, tmp_path):
    content = bytearray(next(Path(v.path) for v in tests if v.path.endswith(".mp4")).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = b"\xff" * 200
    spoilt = tmp_path / "spoilt.mp4"
    spoilt.write_bytes(content)
    listed = Videos([Video(str(spoilt), 0, "spoilt")], tests.class_names)
    options = {"num_clips": 3, "num_crops": 2, "stride": 2, "verbose": False}
    expected = evaluate_views(stand_in(), listed, **options)
    monkeypatch.setattr(clip_reader, "_READ_AHEAD", 10_000)
    found = evaluate_views(stand_in(), listed, **options)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert found.damaged == expected.damaged and list(found.damaged) == ["spoilt"]


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
