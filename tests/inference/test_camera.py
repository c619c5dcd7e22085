import numpy as np
import pytest
from small_networks import stand_in
from streams import free_port, sending

from keras_mtnet import predict_camera
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import VideoError
from keras_mtnet.data.clip_reader import ClipReader

FRAMES = (
    np.random.default_rng(0)
    .integers(0, 256, (50, 6, 8, 3))
    .astype("uint8")
    .repeat(8, 1)
    .repeat(8, 2)
)


@pytest.mark.parametrize("kind", ["tcp", "udp", "http"])
def test_answers_are_those_of_the_newest_frames(kind):
    model = stand_in()
    found = []
    with sending(FRAMES, kind, pause=0.02 if kind == "udp" else 0.004) as address:
        answers = predict_camera(model, address, stride=2, top=8, num_crops=3)
        for answer in answers:
            found.append(answer)
            if kind == "udp" and len(found) == 3:  # it has no end
                break
        answers.close()
    assert found
    for time, best in found if kind != "udp" else ():
        last = round(time * 25)
        clips = ClipReader(ClipSpec(4, 2, 16)).views(FRAMES[last - 6 : last + 1], 1, 3)
        scores = model(clips).numpy().mean(axis=0)
        assert dict(best) == pytest.approx({str(i): s for i, s in enumerate(scores)}, abs=0.1)


def test_bad_input():
    model = stand_in()
    with pytest.raises(ValueError, match=r"A camera must be .*Received: 'clip\.mp4'"):
        predict_camera(model, "clip.mp4", stride=2)
    uniform = stand_in(spec=ClipSpec(sampling="uniform"))
    with pytest.raises(ValueError, match="samples frames uniformly from a whole video"):
        predict_camera(uniform, "0")
    with pytest.raises(ValueError, match="top=0"):
        predict_camera(model, "0", stride=2, top=0)
    with pytest.raises(VideoError, match="it cannot be read"):
        next(predict_camera(model, f"tcp://127.0.0.1:{free_port()}", stride=2))
