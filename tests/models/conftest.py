"""What tests of networks share."""

import keras
import pytest

from keras_mtnet.models import blvnet_tam, csn, parts, slow_only, x3d


@pytest.fixture
def zeros(monkeypatch):
    """Kernels are zeros, which is faster than random numbers."""
    for module in (blvnet_tam, csn, parts, slow_only, x3d):
        monkeypatch.setattr(module, "he_fan_out", keras.initializers.Zeros)
