import csv
import itertools

import av
import numpy as np
import pytest
from numbered_videos import encode
from range_server import serve
from small_networks import COLORS, color_network, colored, stand_in

from keras_mtnet import predict_timeline
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import VideoError
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.inference.timeline import Timeline

PARTS = ((0, 100), (2, 60), (0, 80), (1, 40))  # at 25 frames a second: 4, 2.4, 3.2, 1.6 s
SEGMENTS = [(0.0, 4.0, "red"), (4.0, 6.4, "blue"), (6.4, 9.6, "red"), (9.6, 11.2, "green")]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("colors") / "a.mp4", colored(*PARTS), "mpeg4")


def rounded(segments):
    return [(round(s.start, 6), round(s.end, 6), s.label) for s in segments]


def test_segments_are_where_they_are_drawn(path):
    """Windows of 0.8 s that follow each other: every change is at the edge of one."""
    timeline = predict_timeline(color_network(), path)
    assert rounded(timeline.segments()) == SEGMENTS
    assert timeline.name == path and timeline.class_names == COLORS
    assert min(segment.score for segment in timeline.segments()) > 0.95
    np.testing.assert_allclose(timeline.bounds[:14], np.arange(14) * 0.8)


def test_every_kind_of_source(path):
    frames = colored(*PARTS)
    expected = predict_timeline(color_network(), frames, rate=25)
    assert rounded(expected.segments()) == SEGMENTS
    for source in (iter(frames), (frame for frame in frames), list(frames)):
        found = predict_timeline(color_network(), source, rate=25, batch_size=3)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
        np.testing.assert_allclose(found.bounds, expected.bounds)
    with open(path, "rb") as file:
        assert rounded(predict_timeline(color_network(), file.read()).segments()) == SEGMENTS
    folder, name = path.rsplit("/", 1)
    with serve(folder) as (url, _):
        found = predict_timeline(color_network(), f"{url}/{name}")
    assert rounded(found.segments()) == SEGMENTS and found.name == f"{url}/{name}"


def test_scores_are_those_of_the_windows(path):
    """Against windows read one by one: overlapping ones, three crops, another rate."""
    model, spec = stand_in(), ClipSpec(4, 2, 16, fps=10)
    found = predict_timeline(model, path, step=0.5, num_crops=3, stride=2, fps=10)
    frames = ClipReader(ClipSpec(112, 1, 16, fps=10)).views(path, 1, 3)
    starts = [*range(0, 105, 5), 105]
    assert len(found.scores) == len(starts)
    for start, scores in zip(starts, found.scores, strict=True):
        clips = frames[:, start : start + 7 : spec.stride]
        np.testing.assert_allclose(scores, model(clips).numpy().mean(axis=0), rtol=1e-3, atol=1e-5)
    centers = (np.array(starts) + 4) / 10
    np.testing.assert_allclose(found.bounds[1:-1], (centers[1:] + centers[:-1]) / 2, atol=0.021)
    assert found.bounds[0] == 0 and found.bounds[-1] == pytest.approx(11.2)


def test_times_of_a_video_with_a_changing_rate(tmp_path):
    """Frames are shown for one 25th of a second, later for four."""
    times = [*range(40), *range(40, 200, 4)]
    path = encode(tmp_path / "a.mkv", colored((0, 60), (2, 20)), "ffv1", "bgr0", times=times)
    timeline = predict_timeline(color_network(stride=5), path)
    assert rounded(timeline.segments()) == [(0.0, 4.8, "red"), (4.8, 8.0, "blue")]


def test_uniform_sampling_needs_a_window(path):
    model = color_network(sampling="uniform", stride=None)
    timeline = predict_timeline(model, path, window=0.8)
    assert rounded(timeline.segments()) == SEGMENTS
    with pytest.raises(ValueError, match="uniform sampling, needs window"):
        predict_timeline(model, path)
    with pytest.raises(ValueError, match=r"window sampling, takes no window.*window=2"):
        predict_timeline(color_network(), path, window=2)


def test_segments_by_threshold():
    scores = np.array([[0.6, 0.4], [0.55, 0.45], [0.3, 0.7], [0.9, 0.1]])
    one = Timeline("a", ("x", "y"), np.arange(5.0), scores)
    assert rounded(one.segments(0.5)) == [(0, 2, "x"), (2, 3, "y"), (3, 4, "x")]
    assert rounded(one.segments(0.6)) == [(0, 1, "x"), (2, 3, "y"), (3, 4, "x")]
    assert one.segments(0.95) == []
    several = Timeline("a", ("x", "y"), np.arange(5.0), scores, multi_label=True)
    assert rounded(several.segments(0.4)) == [(0, 2, "x"), (0, 3, "y"), (3, 4, "x")]
    assert several.segments(0.4)[1].score == pytest.approx((0.4 + 0.45 + 0.7) / 3)


def test_files(path, tmp_path):
    timeline = predict_timeline(color_network(), path)
    for name in ("a.csv", "a.srt", "a.png"):
        timeline.write(tmp_path / name)
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(float(r["start"]), float(r["end"]), r["label"]) for r in rows] == SEGMENTS
    with av.open(str(tmp_path / "a.srt")) as container:
        stream = container.streams.subtitles[0]
        shown = [p for p in container.demux(stream) if p.size]
        assert [float(p.pts * stream.time_base) for p in shown] == [s for s, *_ in SEGMENTS]
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_a_damaged_video_is_told_up_to_the_damage(path, tmp_path):
    content = bytearray(open(path, "rb").read())
    with av.open(path) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[120]
    content[position : position + size] = bytes(size)
    spoilt = tmp_path / "spoilt.mp4"
    spoilt.write_bytes(content)
    found = predict_timeline(color_network(), spoilt)
    whole = predict_timeline(color_network(), path)
    assert found.damage or len(found.scores) == len(whole.scores)
    assert rounded(found.segments())[0] == SEGMENTS[0]


def test_endless_frames_stop_with_whoever_gives_them():
    class Stop(Exception):
        pass

    def frames():
        yield from itertools.islice(itertools.cycle(colored((0, 5))), 100)
        raise Stop

    with pytest.raises(Stop):
        predict_timeline(color_network(), frames(), rate=25)


def test_bad_input(path, tmp_path):
    model, frames = color_network(), colored((0, 30))
    with pytest.raises(VideoError, match=r"a\.mp4: it lasts 11\.20 s, shorter than one step of 12"):
        predict_timeline(model, path, step=12)
    with pytest.raises(VideoError, match=r"the frames: it lasts 1\.20 s, shorter than one step"):
        predict_timeline(model, iter(frames), rate=25, step=2)
    with pytest.raises(VideoError, match="4 frames; from one frame of a clip to the next"):
        predict_timeline(model, frames[:4], rate=25)
    with pytest.raises(ValueError, match=r"pass rate=\.\.\."):
        predict_timeline(model, frames)
    with pytest.raises(ValueError, match=r"pass rate=\.\.\."):
        predict_timeline(model, iter(frames))
    with pytest.raises(ValueError, match=r"files know theirs\. Received: rate=25"):
        predict_timeline(model, path, rate=25)
    with pytest.raises(VideoError, match="no such file"):
        predict_timeline(model, tmp_path / "gone.mp4")
    for name in ("step", "window", "rate", "num_crops", "batch_size"):
        with pytest.raises(ValueError, match=f"{name} must be .*Received: {name}=0"):
            predict_timeline(model, path, **{name: 0})
