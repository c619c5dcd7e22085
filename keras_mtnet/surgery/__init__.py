"""Networks rebuilt with other layers: MTConv in any 3-D CNN, batch normalization folded."""

import keras  # noqa: F401  before our own modules: see keras_mtnet/__init__.py

from keras_mtnet.surgery.folding import fuse
from keras_mtnet.surgery.mtconv import to_mtconv
from keras_mtnet.surgery.rebuild import Surgery

__all__ = ["Surgery", "fuse", "to_mtconv"]
