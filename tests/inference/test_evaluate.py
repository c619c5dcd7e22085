import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from small_networks import ONE, stand_in, views_of

from keras_mtnet import evaluate_views
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import Video, Videos
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.inference.evaluate import _read_ahead


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
