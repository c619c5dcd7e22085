"""Every network and every preset, at a depth of one block per stage: that all parts meet."""

import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet import cli
from keras_mtnet.models import build
from keras_mtnet.models.builder import BUILDERS
from keras_mtnet.weights.hub import cache_folder

ROWS = {f"{row.model}-{row.weights}": row for row in mt.list_presets()}

pytestmark = pytest.mark.usefixtures("shallow")


@pytest.mark.parametrize("name", sorted(BUILDERS.keys() - {"MTNet"}))
def test_info(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["info", name, "--input", "4x32x32"])
    assert not stopped.value.code
    assert "one clip of 4x32x32x3" in capsys.readouterr().out


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_preset(row, home):
    """What a user gets who has converted its checkpoint: weights, normalization, clip spec."""
    if row.package:
        pytest.skip("its weights are tested where they can be installed")
    keras.utils.set_random_seed(0)
    model = build(row.model, classes=row.classes, **row.options)
    cache_folder().mkdir(parents=True)
    model.save_weights(cache_folder() / row.file)
    loaded = build(row.model, weights=row.weights)
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded.clip_spec == row.clip_spec
    assert np.isfinite(loaded(np.zeros((2, 1, 1, 1, 3), "uint8"))).all()
    scores = loaded(clips(1)[:, :3, :29, :21], training=False)
    assert scores.shape == (1, row.classes) and np.allclose(np.sum(scores), 1, atol=1e-4)


def clips(count):
    return np.random.default_rng(0).integers(0, 256, (count, 4, 32, 32, 3), "uint8")
