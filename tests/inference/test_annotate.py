import av
import numpy as np
import pytest
from numbered_videos import encode
from small_networks import color_network, colored

from keras_mtnet import annotate_video
from keras_mtnet.data import VideoError
from keras_mtnet.inference import annotate

GRAY = 128


def decode(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return np.stack([f.to_ndarray(format="rgb24") for f in frames]), [f.time for f in frames]


def test_the_copy_shows_the_video_and_its_classes(tmp_path):
    """Every frame at its time; the label stands below left and changes with the class."""
    times = [*range(50), *range(50, 90, 2)]  # the rate changes
    video = np.pad(colored((0, 40), (2, 30)), ((0, 0), (0, 97), (0, 97), (0, 0)), mode="edge")
    source = encode(tmp_path / "a.mkv", video[:, :145, :161], "ffv1", "bgr0", times=times)
    timeline = annotate_video(color_network(), source, tmp_path / "b.mp4", top=2)
    frames, shown = decode(tmp_path / "b.mp4")
    assert frames.shape == (70, 144, 160, 3)  # even sides
    np.testing.assert_allclose(shown, np.array(times) / 25, atol=1e-4)
    assert [s.label for s in timeline.segments()] == ["red", "blue"]
    upper = frames[:, :60].mean(axis=(1, 2))
    assert (upper[:40].argmax(axis=1) == 0).all() and (upper[40:].argmax(axis=1) == 2).all()
    corner = frames[:, 120:, :100].astype(int)
    white = (corner.min(axis=-1) > GRAY).sum(axis=(1, 2))
    assert (white > 20).all()  # letters
    changes = np.abs(np.diff(corner, axis=0)).mean(axis=(1, 2, 3))
    assert changes.argmax() == 39 and np.delete(changes, 39).max() < changes[39] / 4


def test_arrays_and_rates(tmp_path):
    video = colored((0, 30))
    for options, last in (({"rate": 10}, 2.9), ({"fps": 20}, 29 / 20)):
        annotate_video(color_network(), video, tmp_path / "a.avi", **options)
        frames, shown = decode(tmp_path / "a.avi")
        assert len(frames) == 30 and shown[-1] == pytest.approx(last, abs=0.05)


def test_names_of_any_length_fit(tmp_path):
    label = annotate._draw([("x" * 500, 0.5), ("日本 \n <b>", 0.4)], 48, 64)
    assert label.shape[0] <= 48 and label.shape[1] <= 64
    frame = np.full((48, 64, 3), 200, "uint8")
    assert annotate._blend(frame, label).shape == frame.shape and (frame == 200).all()


def test_bad_input(tmp_path):
    model, video = color_network(), colored((0, 30))
    with pytest.raises(ValueError, match=r"output must end in one of .*Received: output=a\.gif"):
        annotate_video(model, video, "a.gif", rate=25)
    with pytest.raises(ValueError, match="reads a video twice"):
        annotate_video(model, iter(video), tmp_path / "a.mp4", rate=25)
    with pytest.raises(VideoError, match="no such file"):
        annotate_video(model, tmp_path / "gone.mp4", tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="top=0"):
        annotate_video(model, video, tmp_path / "a.mp4", top=0, rate=25)
    assert list(tmp_path.iterdir()) == []
