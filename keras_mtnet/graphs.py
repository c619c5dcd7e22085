"""TensorFlow's graphs: functions that several blocks share, and steps that run as traced."""

import contextlib
import contextvars
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import keras
import numpy as np


def is_shareable(x: Any) -> bool:
    """Whether a function is being traced, on TensorFlow for one replica.

    Replicas trace in threads of their own, and their synchronized statistics may not be computed
    in a function.

    Args:
        x: a tensor of it.
    """
    if keras.backend.backend() == "jax":
        import jax

        return isinstance(x, jax.core.Tracer)
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly() and tf.distribute.get_strategy().num_replicas_in_sync == 1


_kept = contextvars.ContextVar("keras_mtnet_kept", default=False)


@contextlib.contextmanager
def kept_functions() -> Iterator[None]:
    """Within it, functions that blocks share stay functions in inference, too.

    Then the first prediction comes sooner. Converters know nothing of such functions, so that they
    cannot be kept where a graph may be for them.
    """
    token = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(token)


_jitted: WeakValueDictionary[str, Callable[..., Any]] = WeakValueDictionary()


def shared(run: Callable[..., Any], kind: str, owner: Any, training: bool) -> Callable[..., Any]:
    """The function of this kind, at first `run`, as one that the graph being built only calls.

    TensorFlow keeps it in its graph in training and within `kept_functions`: inlined, it would be
    optimized and compiled once a call. On JAX it lives as long as one of its owners; TensorFlow
    would export what an owner holds.
    """
    if keras.backend.backend() == "jax":
        import jax

        function = _jitted.get(kind)
        if function is None:
            function = _jitted[kind] = jax.jit(run)
        owner.shared_function = function
        return function
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph()
    functions = graph.get_collection_ref("keras_mtnet_functions")  # of one dict
    if not functions:
        functions.append({})
    if kind not in functions[0]:
        kept = {"_noinline": True} if training or _kept.get() else None
        functions[0][kind] = tf.function(run, autograph=False, experimental_attributes=kept)
    return functions[0][kind]


def read(variable: keras.Variable) -> Any:
    """What a variable holds, by one operation; `keras.ops.copy` takes two."""
    if keras.backend.backend() == "jax":
        return variable.value
    import tensorflow as tf

    return tf.convert_to_tensor(variable.value)


# Instructions with which TensorFlow has oneDNN on without being asked.
ONEDNN = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


def warn_without_onednn(information: Path = Path("/proc/cpuinfo")) -> None:
    """Warns where TensorFlow was imported too early for `keras_mtnet` to switch on oneDNN.

    A training step of a small MTNet then takes 1.75 s instead of 0.19 s.
    """
    import tensorflow as tf

    asked = "TF_ENABLE_ONEDNN_OPTS" in os.environ
    if asked or tf.config.list_logical_devices("GPU") or not information.exists():
        return
    instructions = set(information.read_text().split())
    if "avx2" in instructions and not ONEDNN & instructions:
        warnings.warn(
            "TensorFlow was imported before keras_mtnet and leaves oneDNN off on this processor: "
            "training takes up to ten times as long. Import keras_mtnet first, or set "
            "TF_ENABLE_ONEDNN_OPTS=1.",
            stacklevel=2,
        )


SHAPES = 8  # of batches that have a training step of their own; multigrid has seven


def for_each_shape(make: Callable[[], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A training step out of Keras' functions for it, a new one for each of the first shapes.

    Keras' own is traced for all shapes when it meets a second one, which takes three times as long
    as the first time; steps are then half as fast.

    Args:
        make: gives a function that has not been traced.
    """
    steps: dict[str, Callable[[Any], Any]] = {}

    def run(batches: Iterator[Any]) -> Any:
        spec = getattr(batches, "element_spec", None)
        if spec is None:  # of `train_on_batch`
            batch = next(batches)
            batches = itertools.chain([batch], batches)
            spec = keras.tree.map_structure(lambda x: (np.shape(x), type(x)), batch)
        shape = str(spec) if str(spec) in steps or len(steps) < SHAPES else "all others"
        if shape not in steps:
            steps[shape] = _as_traced(make())
        return steps[shape](batches)

    return run


def _as_traced(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The step, whose graph TensorFlow does not rewrite before its first run on CPUs.

    For MTNetM that takes as long as all other preparations, and steps are not faster afterwards:
    the layers here are written in the operations that they shall run. On GPUs it chooses the
    order of axes.
    """
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return step

    @functools.wraps(step)
    def run(batches: Any) -> Any:
        name = "disable_meta_optimizer"
        before = tf.config.optimizer.get_experimental_options().get(name, False)
        tf.config.optimizer.set_experimental_options({name: True})
        try:
            return step(batches)
        finally:
            tf.config.optimizer.set_experimental_options({name: before})

    return run
