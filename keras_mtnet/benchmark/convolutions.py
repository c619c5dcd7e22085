"""Whether convolutions and their gradients are right on the machine at hand.

oneDNN, which TensorFlow computes with on CPUs, has returned uninitialized memory for gradients of
some kernels, or ended the process, depending on sizes, precision and processor. The check runs in
processes of its own, in which fresh memory is filled with large numbers, so that such a fault
shows every time.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras

# Largest error, relative to the largest value, that rounding explains. Processors without
# instructions for bfloat16 also sum in it, which shows in gradients over many positions.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}
# What is compared, in the order of `Result.errors`.
PASSES = ("output", "gradient of the input", "gradient of the kernel")
_SIZES = ("kernel_size", "strides")
# glibc fills memory with 0xFE when it is allocated: -1.7e38 in float32 and bfloat16.
FILLED_MEMORY = {"MALLOC_PERTURB_": "1"}
BACKEND = {"KERAS_BACKEND": "tensorflow"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A convolution layer and the shape of the clips it receives.

    Attributes:
        layer: the layer's class, configuration and so on, as `keras.layers.serialize` gives them.
        shape: of the clips, `(N, T, H, W, C)`.
    """

    layer: dict[str, Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        config = self.layer["config"]
        sizes = [config.get(name, "") for name in ("kernel_size", "strides", "filters")]
        kernel, strides, filters = (
            "x".join(map(str, size)) if isinstance(size, list | tuple) else str(size)
            for size in sizes
        )
        clips = "x".join(map(str, self.shape))
        name = self.layer["class_name"]
        return f"{name} {kernel} strides {strides or 1} filters {filters or '-'} on {clips}"


@dataclasses.dataclass(frozen=True)
class Result:
    """Errors of a case in one precision, relative to the largest value.

    Attributes:
        case: what was computed.
        precision: as `"bfloat16"`.
        errors: of each of `PASSES`; infinite for values that are not finite, and for all three
            where the process ended.
    """

    case: Case
    precision: str
    errors: tuple[float, ...]

    @property
    def right(self) -> bool:
        """Whether rounding explains all errors."""
        return max(self.errors) < TOLERANCES[self.precision]


def convolutions_of(model: keras.Model, batch: int = 2) -> list[Case]:
    """The different convolutions of a network for clips of known size.

    Args:
        model: a functional network with fixed frames, height and width.
        batch: clips.
    """
    cases: dict[str, Case] = {}

    def visit(layer: keras.layers.Layer, shape: Any) -> None:
        if hasattr(layer, "inner_layers"):
            for inner, inner_shape in layer.inner_layers(shape):
                visit(inner, inner_shape)
        elif hasattr(layer, "kernel") and len(shape) == 5:
            config = json.loads(json.dumps(keras.layers.serialize(layer)))
            config["build_config"] = None
            config["config"].update({"name": "conv"})
            if "activation" in config["config"]:
                config["config"]["activation"] = "linear"
            case = Case(config, (batch, *shape[1:]))
            cases.setdefault(json.dumps([config, case.shape]), case)

    for layer in model.layers:
        if layer.weights:
            shapes = [tuple(x.shape) for x in keras.tree.flatten(layer.input)]
            visit(layer, shapes[0] if len(shapes) == 1 else shapes)
    return list(cases.values())


def check(
    cases: Sequence[Case],
    precisions: Iterable[str] = tuple(TOLERANCES),
    environment: dict[str, str] | None = None,
) -> Iterator[Result]:
    """Computes each case in each precision, and compares with the same layer in float64.

    Args:
        cases: of `convolutions_of`.
        precisions: any of `TOLERANCES`.
        environment: variables of the processes that compute, as `{"ONEDNN_MAX_CPU_ISA": "AVX2"}`.

    Yields:
        Results as they come.

    Raises:
        RuntimeError: if a process fails in Python.
    """
    todo = [(case, precision) for precision in precisions for case in cases]
    while todo:
        process = subprocess.run(
            [sys.executable, "-m", __spec__.name],
            input="\n".join(json.dumps([c.layer, c.shape, precision]) for c, precision in todo),
            env={**os.environ, **FILLED_MEMORY, **BACKEND, **(environment or {})},
            capture_output=True,
            text=True,
        )
        found = [tuple(json.loads(line)) for line in process.stdout.splitlines()]
        if process.returncode > 0:  # an exception of Python, not a fault of a convolution
            raise RuntimeError(f"The check of convolutions failed:\n{process.stderr[-2000:]}")
        if process.returncode < 0:  # in the middle of a case
            found.append((float("inf"),) * len(PASSES))
        for (case, precision), numbers in zip(todo, found, strict=False):
            yield Result(case, precision, numbers)
        todo = todo[len(found) :]


def table(results: Iterable[Result]) -> str:
    """A line for each layer class, kernel, strides and precision with its worst errors."""
    kinds = defaultdict(list)
    for result in results:
        config = result.case.layer["config"]
        sizes = ["x".join(map(str, config.get(name) or (1, 1, 1))) for name in _SIZES]
        kind = (result.case.layer["class_name"], *sizes, result.precision)
        kinds[kind].append(result)
    row = "{:24}{:8}{:9}{:10}{:>6}" + "{:>12}" * len(PASSES) + "{}"
    heads = [name.removeprefix("gradient of the ") for name in PASSES]
    lines = [row.format("layer", "kernel", "strides", "precision", "cases", *heads, "")]
    for kind, members in sorted(kinds.items()):
        worst = [f"{max(column):.2g}" for column in zip(*(m.errors for m in members), strict=True)]
        wrong = sum(not result.right for result in members)
        lines.append(row.format(*kind, len(members), *worst, f"   {wrong} WRONG" if wrong else ""))
    return "\n".join(lines)


def _compute() -> None:
    """Reads cases from stdin, one per line, and writes a line with the errors of each."""
    import numpy as np
    import tensorflow as tf

    import keras_mtnet.layers  # noqa: F401  classes of ours

    tf.config.experimental.enable_tensor_float_32_execution(False)
    for line in sys.stdin.read().splitlines():
        config, shape, precision = json.loads(line)
        rng = np.random.default_rng(0)
        x = tf.cast(rng.standard_normal(shape), precision)
        kernel, upstream = None, None
        found = []
        for dtype in (precision, "float64"):
            config["config"]["dtype"] = dtype
            layer = keras.layers.deserialize(config)
            layer.build(shape)
            if kernel is None:
                kernel = tf.cast(rng.standard_normal(layer.kernel.shape), precision)
                upstream = tf.cast(
                    rng.standard_normal(layer.compute_output_shape(shape)), precision
                )
            layer.kernel.assign(tf.cast(kernel, dtype))
            inputs = tf.cast(x, dtype)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = layer(inputs)
            gradients = tape.gradient(y, [inputs, layer.kernel.value], tf.cast(upstream, dtype))
            found.append([np.asarray(tf.cast(v, "float64")) for v in (y, *gradients)])
        errors = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(*found, strict=True)]
        errors = [float(e) if np.isfinite(e) else float("inf") for e in errors]
        sys.stdout.write(json.dumps(errors) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _compute()
