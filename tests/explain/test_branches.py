import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.explain.branches import table
from keras_mtnet.layers import MTConv

CLIP = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")


def test_energies_of_a_convolution():
    inputs = keras.Input((8, 32, 32, 3))
    conv = MTConv(6, ratio=2 / 3, strides=(2, 1, 1), name="conv")
    model = keras.Model(inputs, conv(inputs))
    (found,) = mt.explain.branch_energy(model, CLIP)
    y = keras.ops.convert_to_numpy(model(CLIP[None]))[0]
    local, prolonged = y[..., :4], y[..., 4:]
    np.testing.assert_allclose(found.local, (local**2).mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.prolonged, (prolonged**2).mean(axis=(1, 2, 3)), rtol=1e-5)
    assert (found.stage, found.channels) == ("conv", (4, 2))
    assert found.share == pytest.approx((prolonged**2).sum() / (y**2).sum(), rel=1e-5)
    assert found.local_frames == found.prolonged_frames == (0.5, 2.5, 4.5, 6.5)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_network(variant):
    model = mt.MTNet((8, 16), (2, 1), classes=2, variant=variant)
    found = mt.explain.branch_energy(model, CLIP)
    assert [each.stage for each in found] == ["stage1", "stage2"]
    assert [each.channels for each in found] == [(7, 1), (14, 2)]
    assert all(0 < each.share < 1 for each in found)
    kept = mt.explain.kept_frames(model, CLIP)
    assert found[0].local_frames == kept[0].frames
    if variant == "released":
        assert found[0].prolonged_frames == kept[1].frames
    lines = table(found).splitlines()
    assert len(lines) == 3 and lines[1].endswith(f"{found[0].share:.1%}")


def test_a_silent_branch_has_no_share():
    model = mt.MTNet((8,), (1,), classes=2)
    block = model.get_layer("stage1_block1")
    bn = block.convs[-1].prolonged_bn, block.convs[-1].lateral_bn
    for norm in bn:
        norm.gamma.assign(keras.ops.zeros_like(norm.gamma))
    (found,) = mt.explain.branch_energy(model, CLIP)
    assert found.share == 0 and max(found.local) > 0


def test_networks_without_prolonged_branches():
    assert mt.explain.branch_energy(mt.MTNet((8,), (1,), classes=2, ratio=1), CLIP) == []
