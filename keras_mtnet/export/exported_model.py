"""An export behind the interface of a Keras model, so that videos are predicted with it."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.layers.clip_normalization import ClipNormalization

# uint8 clips (N, T, H, W, 3) -> scores (N, classes)
Run = Callable[[np.ndarray], np.ndarray]


class ExportedModel(keras.Model):
    """A network that another program runs, for `predict_video` and `evaluate_views`.

    Args:
        run: from uint8 clips `(N, T, H, W, 3)` to scores float32 `(N, classes)` in [0, 1].
        input_shape: of the clips, `(None, T, H, W, 3)`, None where any size is taken.
        clip_spec: of the export; its class names are known.
        multi_label: whether the scores are those of several sigmoids.
        name: what messages call it.

    Example:

    >>> spec = ClipSpec(4, stride=1, size=8, class_names=["jump", "run"])
    >>> run = lambda clips: np.full((len(clips), 2), 0.5, "float32")
    >>> model = ExportedModel(run, (None, 4, 8, 8, 3), spec)
    >>> mt.predict_video(model, np.zeros((9, 20, 20, 3), "uint8"))
    [('jump', 0.5), ('run', 0.5)]
    """

    def __init__(
        self,
        run: Run,
        input_shape: Sequence[int | None],
        clip_spec: ClipSpec,
        multi_label: bool = False,
        name: str = "export",
    ) -> None:
        super().__init__(name=name)
        self.carrier = ClipNormalization(clip_spec=clip_spec)  # where clip specs are looked for
        self.output_activation = "sigmoid" if multi_label else "softmax"
        self._run = run
        self._shape = tuple(input_shape)

    @property
    def clip_spec(self) -> ClipSpec:
        """The clips that the network was trained on."""
        return self.carrier.clip_spec

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Of the clips, `(None, T, H, W, 3)`."""
        return self._shape

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Of the scores, `(None, classes)`."""
        return None, len(self.clip_spec.class_names or ())

    def __call__(self, clips: Any, training: bool = False) -> np.ndarray:
        """Scores float32 `(N, classes)` of clips of 0 to 255, which become uint8.

        Raises:
            ValueError: in training, which an export cannot.
        """
        if training:
            raise ValueError(f"{self.name} is an export, which cannot be trained.")
        return self.predict_on_batch(clips)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """As calling it."""
        return self._run(keras.ops.convert_to_numpy(x).astype("uint8"))
