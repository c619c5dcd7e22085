"""Our networks, and their bare convolutions and matrix products, on any Keras backend."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from speed_contenders import CLASSES, Built, Contender, Unavailable

import numpy as np

# Names of the precisions in Keras.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def network(contender: Contender, input_shape: tuple | None = None) -> Any:
    """Builds one of our networks; logits for training, so that the loss is the stable one."""
    import keras_mtnet

    builder = getattr(keras_mtnet, contender.model, None)
    if contender.model == "tiny":
        builder = functools.partial(keras_mtnet.MTNet, (16,), (1,), stem_filters=16)
    return builder(
        input_shape=(*contender.clip, 3) if input_shape is None else input_shape,
        classes=CLASSES,
        ratio=1 if contender.network == "ratio1" else 7 / 8,
        remat=contender.network == "recompute",
        classifier_activation=None if contender.task == "training" else "softmax",
    )


def build(contender: Contender, clips: np.ndarray, labels: np.ndarray) -> Built:
    import keras_mtnet

    import keras

    if contender.backend == "torch" and contender.compiled:
        _allow_many_shapes()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[contender.precision])
    model = network(contender)
    x, y = map(keras.ops.convert_to_tensor, (clips, labels))
    if contender.network == "bare":
        if contender.backend != "tensorflow":
            raise Unavailable("bare products are chained in a TensorFlow graph")
        run = _bare(model, contender.batch)
    elif contender.task == "training":
        run = functools.partial(_compiled(model, contender).train_on_batch, x, y)
    else:
        run = _scores(model, x, contender)
    costs = keras_mtnet.count_costs(model)
    return Built(run, costs.params, costs.macs, _gpu_peak(x, contender.backend))


def _allow_many_shapes() -> None:
    """Lets torch.compile make one program a shape: layers share their code, and clips shrink."""
    import torch._dynamo

    torch._dynamo.config.automatic_dynamic_shapes = False
    torch._dynamo.config.recompile_limit = 1000
    torch._dynamo.config.accumulated_recompile_limit = 100_000


def _compiled(model: Any, contender: Contender) -> Any:
    import keras

    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # On JAX "auto" is jax.jit; elsewhere it may be compiled or not.
        jit_compile="auto" if contender.backend == "jax" else contender.compiled,
    )
    return model


def _scores(model: Any, x: Any, contender: Contender) -> Callable[[], Any]:
    """The network's inference function on the backend at hand, down to scores in NumPy."""
    if contender.backend == "tensorflow":
        import tensorflow as tf

        scores = tf.function(
            functools.partial(model, training=False), jit_compile=contender.compiled
        )
        return lambda: scores(x).numpy()
    if contender.backend == "jax":
        import jax

        weights = [
            [v.value for v in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        scores = jax.jit(lambda *arguments: model.stateless_call(*arguments, training=False)[0])
        return lambda: np.asarray(scores(*weights, x))
    import torch

    scores = functools.partial(model, training=False)
    scores = torch.compile(scores) if contender.compiled else scores

    def run() -> np.ndarray:
        with torch.no_grad():
            return scores(x).cpu().numpy()

    return run


def _bare(model: Any, batch: int) -> Callable[[], Any]:
    """The convolutions and matrix products of a network alone, one after the other.

    The very layers run, in the form the network uses, each on random numbers of the shape it
    receives there. They are chained, as they are in the network, so that none runs beside another
    and the memory of each result is free for the next. Of each result one number is read, which
    keeps the graph from dropping it. What is left out is all that a network does between them:
    normalization, activations, pooling, selection, resizing, adding, splitting, gates' functions.
    """
    import tensorflow as tf

    chain = products(model, batch)
    shapes = sorted({product.shape for product in chain})
    received = [tf.random.normal(shape) for shape in shapes]

    @tf.function
    def run(received: list[tf.Tensor]) -> tf.Tensor:
        tensors = dict(zip(shapes, received, strict=True))
        total = tf.zeros(())
        for product in chain:
            with tf.control_dependencies([total]):
                result = product.run(tensors[product.shape])
                total = total + tf.reshape(result, [-1])[0]
        return total

    return lambda: run(received).numpy()


class Product(NamedTuple):
    """A convolution or matrix product: what does it, its weights, and the shape it receives."""

    run: Callable[[Any], Any]
    kernel: Any
    shape: tuple[int, ...]


def products(model: Any, batch: int) -> list[Product]:
    """Lists the convolutions and matrix products of one of our networks, in order."""
    from keras_mtnet.layers.recurrence import Recurrence

    from keras import layers, ops

    found = []

    def matmul(kernel: Any, shape: tuple[int, ...]) -> Product:
        return Product(lambda x: ops.matmul(x, kernel), kernel, shape)

    def visit(layer: Any, shape: tuple) -> None:
        if isinstance(layer, layers.BatchNormalization) or not layer.weights:
            return
        if hasattr(layer, "inner_layers"):
            for inner, inner_shape in layer.inner_layers(shape):
                visit(inner, inner_shape)
        elif isinstance(layer, Recurrence):
            n, t, c = shape
            # All frames at once through the input's weights; frame by frame, but for the first,
            # through the recurrent ones.
            found.append(matmul(layer.cell.kernel, (n * t, c)))
            found.extend([matmul(layer.cell.recurrent_kernel, (n, c))] * (t - 1))
        elif isinstance(layer, layers.Dense):
            found.append(matmul(layer.kernel, tuple(shape)))
        else:
            found.append(Product(layer, layer.kernel, tuple(shape)))

    for layer in model.layers:
        if layer.weights:
            visit(layer, (batch, *layer.input.shape[1:]))
    return found


def graph_operations(model: Any, clips: tuple[int, ...]) -> int:
    """Operations of the network's TensorFlow graph, those inside its loops included."""
    import tensorflow as tf

    traced = tf.function(functools.partial(model, training=False)).get_concrete_function(
        tf.TensorSpec(clips)
    )
    graph = traced.graph.as_graph_def()
    return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)


def profile(contender: Contender, runs: int = 10) -> dict[str, float]:
    """Shares of kinds of operations in a network's time, largest first; the small ones together."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = network(contender)
    spec = tf.TensorSpec((contender.batch, *contender.clip, 3))
    traced = tf.function(functools.partial(model, training=False)).get_concrete_function(spec)
    frozen = convert_variables_to_constants_v2(traced)
    clips = np.random.default_rng(0).standard_normal(spec.shape, "float32")
    fetched = [output.name for output in frozen.outputs]
    micros: dict[str, int] = {}
    with tf.compat.v1.Session(graph=frozen.graph) as session:
        for run in range(runs + 2):
            told = tf.compat.v1.RunMetadata()
            how = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
            session.run(fetched, {frozen.inputs[0].name: clips}, how, told)
            for node in (n for d in told.step_stats.dev_stats for n in d.node_stats):
                # A label reads "name = Kind(inputs)".
                kind = node.timeline_label.partition(" = ")[2].partition("(")[0]
                if run >= 2 and kind:
                    micros[kind] = micros.get(kind, 0) + node.op_end_rel_micros
    total = sum(micros.values())
    shares = {kind: time / total for kind, time in micros.items()}
    large = sorted((kind for kind in shares if shares[kind] >= 0.01), key=shares.get)[::-1]
    rest = 1 - sum(shares[kind] for kind in large)
    return {**{kind: shares[kind] for kind in large}, "others": rest}


def _gpu_peak(x: Any, backend: str) -> Callable[[], int] | None:
    """Returns how to read the peak of the GPU's memory, or None where tensors are elsewhere."""
    device = str(x.device).lower()
    if "gpu" not in device and "cuda" not in device:
        return None
    if backend == "tensorflow":
        import tensorflow as tf

        return lambda: tf.config.experimental.get_memory_info("GPU:0")["peak"]
    if backend == "jax":
        import jax

        return lambda: jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]
    import torch

    return torch.cuda.max_memory_allocated
