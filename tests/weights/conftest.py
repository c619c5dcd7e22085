"""What the tests of weights share: a cache of their own, and networks small enough to ship."""

import pytest

from keras_mtnet.models import ReleasedMTNet
from keras_mtnet.models.configs import RELEASED_CONFIGS, Config
from keras_mtnet.weights import convert, registry

TINY = Config("mtnet_s", (8, 16), (2, 1), frames=4, size=16)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The cache, empty."""
    folder = tmp_path / "home"
    monkeypatch.setenv("KERAS_MTNET_HOME", str(folder))
    return folder


@pytest.fixture
def tiny(monkeypatch):
    """Makes `MTNetS(variant="released")` a network of two narrow stages, with weights "tiny".

    Like "hacs", they are to be converted, and were trained on a data set "fives" of 5 classes.
    """
    entry = registry.Entry(
        name="tiny",
        model="MTNetS",
        variant="released",
        dataset="fives",
        classes=5,
        frames=4,
        size=16,
        file="mtnet_s_tiny.weights.h5",
        preprocessing="Blue first.",
        checkpoint="https://example.com/mtnet_s.pth",
        source="https://example.com",
    )
    monkeypatch.setitem(RELEASED_CONFIGS, "MTNetS", TINY)
    monkeypatch.setitem(convert.DATASETS, "fives", 5)
    monkeypatch.setitem(convert.DATASETS, "sevens", 7)
    published = registry.entries()
    monkeypatch.setattr(registry, "entries", lambda: (*published, entry))
    return entry


@pytest.fixture(scope="session")
def network():
    """A released network of the widths of `tiny`, with random statistics."""
    import numpy as np

    model = ReleasedMTNet(TINY.stage_filters, TINY.stage_depths, classes=5, name="mtnet_s")
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.3, w.shape) for w in model.get_weights()])
    return model
