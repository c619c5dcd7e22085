"""Reads the batches that were trained on before a kill again, without training on them."""

import math
from typing import Any

import keras

from keras_mtnet.callbacks.checkpoint import Checkpoint


class SkipBatches:
    """Replaces `model.train_function`, and reads batches without training on them."""

    def __init__(self, model: keras.Model, checkpoint: Checkpoint, before: int) -> None:
        self.model, self.checkpoint, self.before = model, checkpoint, before
        self.train = model.train_function
        self.calls = math.ceil(checkpoint.state.batch / model.steps_per_execution)
        self.logs: dict[str, Any] | None = None
        # TensorFlow makes some metrics as late as in the first step.
        made = len(model.metrics_variables)
        saved = sum(n.startswith("metrics/") and "@" not in n for n in checkpoint.arrays)
        if self.calls and (keras.backend.backend() != "tensorflow" or made == saved):
            checkpoint.restore(model, ("metrics",))
            self.logs = dict(model.get_metrics_result())

    def __call__(self, *args: Any) -> Any:
        data = args[-1]  # an iterator; PyTorch's trainer has taken the batches of this step
        if self.before and not hasattr(data, "__next__"):
            raise ValueError(
                "Endless data cannot be resumed on PyTorch. Give data of a known length, or with "
                "a position."
            )
        for _ in range(self.before):
            next(data)
        self.before = 0
        if self.calls and hasattr(data, "__next__"):
            batch = next(data)
            for _ in range(self.model.steps_per_execution - 1):
                next(data, None)
            self.logs = self.logs or self._make_metrics(batch)
        self.calls -= 1
        if self.calls <= 0:
            self.model.train_function = self.train
        if self.calls < 0:
            return self.train(*args)
        return self.logs if len(args) == 1 else (self.logs, args[0])  # JAX: and its state

    def _make_metrics(self, batch: Any) -> dict[str, Any]:
        """Lets the model see a clip, so that it makes its metrics, and restores these."""
        model, one = self.model, keras.tree.map_structure(lambda x: x[:1], batch)
        x, y, weight = keras.utils.unpack_x_y_sample_weight(one)
        scores = model(x, training=False)
        model.compute_loss(x, y, scores, weight)
        model.compute_metrics(x, y, scores, weight)
        self.checkpoint.restore(model, ("metrics",))
        return dict(model.get_metrics_result())
