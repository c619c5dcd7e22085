"""The networks that speed.py compares, each in a process of its own.

    KERAS_BACKEND=jax python benchmarks/speed_contenders.py '{"network": "ours", ...}'

builds one contender (a `Contender` as JSON), answers with one line of JSON that describes it, and
then runs it once for every line it reads, answering with the seconds that took. When its input
ends, it answers with its memory and leaves. One contender a process keeps the backends apart,
makes the peak memory that of one contender, and lets them take turns on an otherwise idle machine.
"""

import functools
import json
import os
import resource
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CLASSES = 101
# Names of the precisions in Keras; PyTorch's own networks run under autocast.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
# Of MTNetM, for the authors' network: stages of 64, 128, 256 and 512 channels in their code.
REFERENCE_WIDTHS = {64: 24, 128: 48, 256: 96, 512: 192}
REFERENCE_DEPTHS = (3, 5, 11, 7)


@dataclass(frozen=True)
class Contender:
    """What is timed: one network, on one backend, doing one thing.

    Attributes:
        network: "ours", "ratio1" (ours without prolonged branches), "bare" (ours with everything
            but convolutions and matrix products removed), "authors" or "x3d".
        task: "inference", or "training": forward, backward and an SGD step.
        batch: clips at a time.
        clip: frames, height, width.
        model: "MTNetM" and so on, of ours; "tiny" for a try of the script.
        backend: "tensorflow", "jax" or "torch", of ours.
        compiled: through XLA (TensorFlow) or torch.compile; JAX is always compiled.
        precision: a key of `POLICIES`.
        reference: folder of the authors' code.
    """

    network: str
    task: str
    batch: int
    clip: tuple[int, int, int]
    model: str = "MTNetM"
    backend: str = "tensorflow"
    compiled: bool = False
    precision: str = "float32"
    reference: str | None = None


@dataclass
class Built:
    """A contender that is ready: a function to time, and what it is."""

    run: Callable[[], Any]  # returns when all its work is done
    params: int
    macs: int | None = None
    device: str = "cpu"
    operations: int | None = None


class Unavailable(Exception):
    """Why a contender cannot run here."""


def build(contender: Contender) -> Built:
    """Builds a contender, ready to be timed after a few runs to warm up."""
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((contender.batch, *contender.clip, 3), "float32")
    labels = rng.integers(0, CLASSES, contender.batch)
    if contender.network in ("authors", "x3d"):
        return _build_torch(contender, clips, labels)
    return _build_keras(contender, clips, labels)


# --- ours -----------------------------------------------------------------------------------


def our_network(contender: Contender, input_shape: tuple | None = None) -> Any:
    """Builds one of our networks; logits for training, so that the loss is the stable one."""
    import keras_mtnet

    builder = getattr(keras_mtnet, contender.model, None)
    if contender.model == "tiny":
        builder = functools.partial(keras_mtnet.MTNet, (16, 24), (1, 1), stem_filters=16)
    return builder(
        input_shape=(*contender.clip, 3) if input_shape is None else input_shape,
        classes=CLASSES,
        ratio=1 if contender.network == "ratio1" else 7 / 8,
        classifier_activation=None if contender.task == "training" else "softmax",
    )


def _build_keras(contender: Contender, clips: np.ndarray, labels: np.ndarray) -> Built:
    import keras

    import keras_mtnet

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[contender.precision])
    model = our_network(contender)
    x, y = map(keras.ops.convert_to_tensor, (clips, labels))
    if contender.network == "bare":
        run = _bare(model, contender.batch)
    elif contender.task == "training":
        run = functools.partial(_compiled(model, contender).train_on_batch, x, y)
    else:
        run = _scores(model, x, contender)
    costs = keras_mtnet.count_costs(model)
    built = Built(run, costs.params, costs.macs, device=_keras_device(x))
    tensorflow = contender.backend == "tensorflow"
    if tensorflow and contender.task == "inference" and contender.network != "bare":
        built.operations = graph_operations(model, clips.shape)
    return built


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
    normalisation, activations, pooling, selection, resizing, adding, splitting, gates' functions.
    """
    import tensorflow as tf

    products = _products(model, batch)
    shapes = sorted({shape for _, shape in products})
    received = {shape: tf.random.normal(shape) for shape in shapes}

    @tf.function
    def run(received: list[tf.Tensor]) -> tf.Tensor:
        tensors = dict(zip(shapes, received, strict=True))
        total = tf.zeros(())
        for product, shape in products:
            with tf.control_dependencies([total]):
                result = product(tensors[shape])
                total = total + tf.reshape(result, [-1])[0]
        return total

    return lambda: run([received[shape] for shape in shapes]).numpy()


def _products(model: Any, batch: int) -> list[tuple[Callable, tuple[int, ...]]]:
    """Each convolution and matrix product of a network, in order, with the shape it receives."""
    import keras

    from keras_mtnet.layers.recurrence import Recurrence

    products = []

    def visit(layer: Any, shape: tuple) -> None:
        if isinstance(layer, keras.layers.BatchNormalization) or not layer.weights:
            return
        if hasattr(layer, "parts"):
            for part, part_shape in layer.parts(shape):
                visit(part, part_shape)
        elif isinstance(layer, Recurrence):
            n, t, c = shape
            # All frames at once through the input's weights; frame by frame, but for the first,
            # through the recurrent ones.
            products.append((_product(layer.cell.kernel), (n * t, c)))
            products.extend([(_product(layer.cell.recurrent_kernel), (n, c))] * (t - 1))
        elif isinstance(layer, keras.layers.Dense):
            products.append((_product(layer.kernel), tuple(shape)))
        else:
            products.append((layer, tuple(shape)))

    for layer in model.layers:
        if layer.weights:
            visit(layer, (batch, *layer.input.shape[1:]))
    return products


def _product(matrix: Any) -> Callable[[Any], Any]:
    import keras

    return lambda x: keras.ops.matmul(x, matrix)


def graph_operations(model: Any, clips: tuple[int, ...]) -> int:
    """Operations of the network's TensorFlow graph, those inside its loops included."""
    import tensorflow as tf

    traced = tf.function(functools.partial(model, training=False)).get_concrete_function(
        tf.TensorSpec(clips)
    )
    graph = traced.graph.as_graph_def()
    return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)


def _keras_device(x: Any) -> str:
    device = str(x.device).lower()
    return "gpu" if "gpu" in device or "cuda" in device else "cpu"


# --- networks in PyTorch --------------------------------------------------------------------


def _build_torch(contender: Contender, clips: np.ndarray, labels: np.ndarray) -> Built:
    try:
        import torch
    except ImportError as error:
        raise Unavailable(f"PyTorch is not installed: {error}") from error
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = (authors_network if contender.network == "authors" else x3d_network)(contender)
    network = network.to(device)
    x = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous().to(device)
    y = torch.from_numpy(labels).to(device)
    params, macs = sum(p.numel() for p in network.parameters()), torch_macs(network, x[:1])
    model = torch.compile(network) if contender.compiled else network
    low = contender.precision != "float32"
    autocast = functools.partial(
        torch.autocast, device, dtype=getattr(torch, contender.precision), enabled=low
    )
    if contender.task == "inference":
        network.eval()

        def run() -> np.ndarray:
            with torch.no_grad(), autocast():
                return model(x).float().cpu().numpy()

    else:
        network.train()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        loss_function = torch.nn.CrossEntropyLoss()
        scaler = torch.amp.GradScaler(device, enabled=contender.precision == "float16")

        def run() -> float:
            optimizer.zero_grad(set_to_none=True)
            with autocast():
                loss = loss_function(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if device == "cuda":
                torch.cuda.synchronize()
            return loss.item()

    return Built(run, params, macs, device="gpu" if device == "cuda" else "cpu")


def authors_network(contender: Contender) -> Any:
    """The authors' own network, given the widths and depths of MTNetM.

    Only what they made fixed is changed: the stem's and the stages' widths. The rest, the forward
    pass included, runs as it is in their file `network/MTnet.py`.
    """
    if not contender.reference:
        raise Unavailable("--reference, a folder with the authors' code, was not given")
    path = os.path.join(contender.reference, "network")
    if not os.path.isfile(os.path.join(path, "MTnet.py")):
        raise Unavailable(f"--reference has no network/MTnet.py: {contender.reference}")
    from torch import nn

    # Imported there and not used: pooling is average pooling.
    sys.modules.setdefault("softpool_cuda", types.ModuleType("softpool_cuda"))
    soft_pool = types.ModuleType("SoftPool")
    soft_pool.soft_pool3d = soft_pool.SoftPool3d = None
    sys.modules.setdefault("SoftPool", soft_pool)
    sys.path.insert(0, path)
    import MTnet

    depths = (1, 1, 1, 1) if contender.model == "tiny" else REFERENCE_DEPTHS

    class Narrow(MTnet.MTNet):
        def __init__(self) -> None:
            super().__init__(
                MTnet.MTBlock, depths, num_classes=CLASSES, width_per_group=int(2.25 * 64)
            )
            stem = REFERENCE_WIDTHS[64]
            self.stem[0] = nn.Conv3d(3, stem, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
            self.stem[1] = nn.BatchNorm3d(stem)
            self.init_planes_short = int(stem * self.rate)
            self.init_planes_long = stem - self.init_planes_short
            self.fc = nn.Linear(REFERENCE_WIDTHS[512], CLASSES)
            self._initialise_weights()

        def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1) -> Any:
            if planes == 64:
                self.inplanes = REFERENCE_WIDTHS[64]
            return super()._make_layer(block, REFERENCE_WIDTHS[planes], blocks, stride)

    return Narrow()


def x3d_network(contender: Contender) -> Any:
    """X3D-M of pytorchvideo, for the size of clip at hand."""
    # pytorchvideo imports torchvision for detection only; X3D runs without it.
    try:
        import torchvision  # noqa: F401
    except ImportError:
        operators = types.ModuleType("torchvision.ops")
        operators.RoIAlign = None
        sys.modules["torchvision"] = types.ModuleType("torchvision")
        sys.modules["torchvision.ops"] = operators
    try:
        from pytorchvideo.models.x3d import create_x3d
    except ImportError as error:
        raise Unavailable(f"pip install pytorchvideo fvcore: {error}") from error
    frames, height, width = contender.clip
    if height != width:
        raise Unavailable("pytorchvideo builds X3D for square clips")
    return create_x3d(
        input_clip_length=frames,
        input_crop_size=height,
        model_num_class=CLASSES,
        depth_factor=2.2,
        **({"head_activation": None} if contender.task == "training" else {}),
    )


def torch_macs(network: Any, x: Any) -> int:
    """Multiply-adds of one clip, counted as `keras_mtnet.count_costs` does."""
    import torch
    from torch import nn

    macs = []

    def count(module: Any, received: tuple, put_out: Any) -> None:
        if isinstance(module, nn.GRU):
            macs.append(received[0].numel() // module.input_size * _weights(module, "weight"))
        elif isinstance(module, nn.Linear):
            macs.append(put_out.numel() * module.in_features)
        else:
            macs.append(put_out.numel() * module.weight[0].numel())

    kinds = (nn.Conv3d, nn.Linear, nn.GRU)
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    network.eval()
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return sum(macs)


def _weights(module: Any, name: str) -> int:
    return sum(p.numel() for n, p in module.named_parameters() if n.startswith(name))


# --- the process ----------------------------------------------------------------------------


def prepare(contender: Contender) -> dict[str, str]:
    """Imports what the contender needs, gives it all cores, and returns the versions."""
    cores = len(os.sched_getaffinity(0))
    if contender.network in ("authors", "x3d") or contender.backend == "torch":
        try:
            import torch
        except ImportError as error:
            raise Unavailable(str(error)) from error
        torch.set_num_threads(cores)
        versions = {"torch": torch.__version__}
        if contender.network in ("authors", "x3d"):
            return versions
    import keras_mtnet  # noqa: F401  before TensorFlow, which it sets up

    try:
        if contender.backend == "tensorflow":
            import tensorflow

            tensorflow.config.threading.set_intra_op_parallelism_threads(cores)
        elif contender.backend == "jax":
            import jax  # noqa: F401
    except ImportError as error:
        raise Unavailable(str(error)) from error
    import keras

    if keras.backend.backend() != contender.backend:
        raise Unavailable(f"KERAS_BACKEND is {keras.backend.backend()}, not {contender.backend}")
    versions = {"keras": keras.__version__}
    return versions | {contender.backend: sys.modules[contender.backend].__version__}


def peak_mb() -> float:
    """Largest memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argument: str) -> None:
    # Answers go where standard output went; what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        contender = Contender(**json.loads(argument))
        versions, before = prepare(contender), peak_mb()
        start = time.perf_counter()
        built = build(contender)
        built.run()
        first = time.perf_counter() - start
        answer(
            params=built.params,
            macs=built.macs,
            device=built.device,
            graph_operations=built.operations,
            built_s=first,
            versions=versions,
        )
        for _ in sys.stdin:
            start = time.perf_counter()
            built.run()
            answer(seconds=time.perf_counter() - start)
        answer(memory_before_mb=before, memory_peak_mb=peak_mb())
    except Unavailable as reason:
        answer(error=str(reason))
    except Exception as error:  # whatever a backend cannot do is an entry of the table
        answer(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")
        raise


if __name__ == "__main__":
    main(sys.argv[1])
