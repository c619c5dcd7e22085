import keras
import numpy as np
import pytest
from small_networks import stand_in

import keras_mtnet as mt
from keras_mtnet.export import compare_export, is_export


@pytest.mark.parametrize("kind", ["savedmodel", "onnx", "litert"])
def test_videos_are_predicted_as_with_the_network(model, exports, kind):
    export = mt.load_export(exports[kind])
    assert export.clip_spec == model.clip_spec.merge(frames=4, size=24)
    assert export.output_shape == (None, 3)
    frames = np.random.default_rng(1).integers(0, 256, (20, 48, 64, 3), "uint8")
    found, expected = (mt.predict_video(each, frames, num_clips=3) for each in (export, model))
    assert [name for name, _ in found] == [name for name, _ in expected]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], atol=1e-4)


def test_several_sigmoids_stay_independent(clips, tmp_path):
    pytest.importorskip("tf2onnx")
    network = stand_in(3, (4, 24, 24, 3), "sigmoid", mt.ClipSpec(stride=1))
    for path in (
        mt.export_onnx(network, tmp_path / "m.onnx", list("abc")),
        mt.export_litert(network, tmp_path / "m.tflite", list("abc")),
    ):
        export = mt.load_export(path)
        assert export.output_activation == "sigmoid"
        np.testing.assert_allclose(export(clips), network.predict_on_batch(clips), atol=1e-4)


def test_a_wrong_export_is_found_out(model, exports, clips):
    found = compare_export(model, exports["onnx"], clips)
    assert found.difference < 1e-4 and found.clips == found.same_best == 3
    other = keras.models.clone_model(model)  # of other weights
    assert compare_export(other, exports["onnx"], clips).difference > 1e-2


def test_what_is_no_export_is_refused(model, exports, tmp_path):
    with pytest.raises(FileNotFoundError, match="no export at"):
        mt.load_export(tmp_path / "gone.onnx")
    with pytest.raises(ValueError, match=r"neither \.onnx, \.tflite nor"):
        mt.load_export(tmp_path)
    for name in ("text.onnx", "text.tflite"):
        (tmp_path / name).write_text("text")
        with pytest.raises(
            ValueError, match=rf"{name} (cannot be read as ONNX|holds no clip spec)"
        ):
            mt.load_export(tmp_path / name)
    model.export(tmp_path / "foreign", verbose=False)
    with pytest.raises(ValueError, match="foreign holds no clip spec: it is no export of keras"):
        mt.load_export(tmp_path / "foreign")
    assert is_export(tmp_path / "foreign") and not is_export(tmp_path)
    export = mt.load_export(exports["onnx"])
    with pytest.raises(ValueError, match="cannot be trained"):
        export(np.zeros((1, 4, 24, 24, 3)), training=True)
    with pytest.raises(ValueError, match="is an export already"):
        mt.export_litert(export, tmp_path / "m.tflite")
