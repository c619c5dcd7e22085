import keras
import numpy as np
import pytest
from keras import layers

import keras_mtnet as mt
from keras_mtnet.explain.kept_frames import merge, trace_frames
from keras_mtnet.layers import MTConv, TripletCosineSelection

CLIP = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype="uint8")


def frames_of(*directions: str) -> np.ndarray:
    """A clip whose frames are alike where their letters are: r, g or b."""
    return np.array([[[[255 * (c == d) for c in "rgb"]]] for d in directions], "uint8")


def test_frames_are_followed_through_selections_and_strides():
    """Which frames a selection keeps is plain here: those that differ from both neighbors."""
    inputs = keras.Input((None, 1, 1, 3))
    x = TripletCosineSelection(factor=2, name="first")(inputs)
    x = layers.MaxPooling3D((2, 1, 1))(x)
    model = keras.Model(inputs, TripletCosineSelection(factor=2, name="second")(x))
    clip = frames_of(*"rrgrrrbrrgrrrbrr")
    first, second = mt.explain.kept_frames(model, clip)
    # Frames 2, 6, 9 and 13 differ from both neighbors (score 0); then come those beside one of
    # them (score 1), the earliest first.
    assert first == mt.explain.KeptFrames("first", 16, *[(1, 2, 3, 5, 6, 7, 9, 13)] * 2)
    assert second.total == 4
    groups = [(1, 2), (3, 5), (6, 7), (9, 13)]
    assert second.frames == tuple(sorted(groups[second.kept[0]] + groups[second.kept[1]]))
    assert [each.stage for each in (first, second)] == ["first", "second"]


def test_network():
    model = mt.MTNet((8, 16), (1, 2), classes=2)
    found = mt.explain.kept_frames(model, CLIP)
    stem = keras.Model(model.input, model.get_layer("stem_relu").output)(CLIP[None])
    expected = keras.ops.convert_to_numpy(model.get_layer("stem_selection").kept_frames(stem))
    assert found[0].frames == tuple(expected[0])
    # Each of four convolutions in three blocks chooses for both of its inputs, or for both at once.
    assert {each.stage for each in found} == {"stem", "stage1", "stage2"}
    assert len({each.layer for each in found}) == 13
    for each in found:
        assert set(each.frames) <= set(found[0].frames)
        assert len(each.kept) == max(1, each.total // 2) and max(each.kept) < each.total


def test_released_network_has_two_streams():
    model = mt.MTNet((8, 16), (1, 1), classes=2, variant="released")
    trace, _ = trace_frames(model, CLIP, model)
    first, second = trace.kept[:2]
    assert (first.layer, first.total, second.total) == ("stem_streams/selection", 16, 8)
    assert trace.streams == [[(i,) for i in first.frames], [(i,) for i in second.frames]]
    assert set(second.frames) <= set(first.frames) and len(second.frames) == 4
    assert trace.positions(1, 4) == list(second.frames)


def test_nothing_is_left_behind():
    model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    before = model.predict(CLIP[None, :4], verbose=0)
    mt.explain.kept_frames(model, CLIP[:4])
    with pytest.raises(ValueError, match="Received: shape"):
        mt.explain.kept_frames(model, CLIP[None])
    assert "call" not in vars(model.get_layer("stem_selection"))
    np.testing.assert_array_equal(model.predict(CLIP[None, :4], verbose=0), before)


def test_networks_without_selection_and_with_it_inside_others():
    plain = keras.Sequential([keras.Input((4, 8, 8, 3)), layers.Conv3D(2, 3)])
    assert mt.explain.kept_frames(plain, CLIP[:4, :8, :8]) == []
    inner = keras.Sequential([keras.Input((8, 8, 8, 3)), MTConv(4, ratio=0.5, name="m")], name="in")
    outer = keras.Sequential([keras.Input((8, 8, 8, 3)), inner])
    paths = [each.layer for each in mt.explain.kept_frames(outer, CLIP[:8, :8, :8])]
    assert paths == ["in/m/selection"] * 2


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_merged_frames_are_spread_evenly(count):
    groups = merge([(i,) for i in range(8)], count)
    assert len(groups) == count and sorted(sum(groups, ())) == list(range(8))
