import numpy as np
import pytest
from command_line import run

import keras_mtnet as mt

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    model.clip_spec = mt.ClipSpec(stride=2, class_names=["jump", "run"])
    path = tmp_path_factory.mktemp("network") / "small.keras"
    model.save(path)
    return path


def test_explain(capfd, drawn, network_file, tmp_path):
    video, output = next(drawn.glob("Spin/*.mp4")), tmp_path / "out"
    command = ("explain", "--model", network_file, video, "--label", "run", "--output", output)
    status, out, err = run(capfd, *command)
    assert status == 0, err
    assert "stem_selection keeps frames" in out and "share of prolonged" in out
    assert f"What speaks for run is in {output}" in out
    assert (output / "saliency.gif").read_bytes()[:3] == b"GIF"
    status, _, err = run(capfd, *command)
    assert status == 1 and "not empty" in err


def test_explain_a_file_that_is_no_video(capfd, network_file, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(np.random.default_rng(0).bytes(1000))
    status, _, err = run(
        *(capfd, "explain", "--model", network_file, tmp_path / "clip.mp4"),
        *("--output", tmp_path / "out"),
    )
    assert status == 1 and "clip.mp4" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
