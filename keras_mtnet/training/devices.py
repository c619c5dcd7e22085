"""Where and how precisely a run computes."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


def make_strategy(name: str, batch_size: int, logical_cpus: int = 0) -> tf.distribute.Strategy:
    """The devices to compute on: for `"mirrored"` all GPUs of this machine or its logical CPUs.

    Each has a copy of the model and a part of the batch. Any other name is the default device.
    `logical_cpus` splits the CPU into so many first.

    Raises:
        ValueError: if the batch cannot be divided, or it is too late to split the CPU.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow" and (backend != "jax" or name == "mirrored"):
        raise ValueError(
            "Training runs on Keras' TensorFlow backend, and strategy 'none' also on JAX. "
            f"Received: KERAS_BACKEND={backend}, strategy={name!r}"
        )
    if backend == "jax" and tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")  # it only reads videos, JAX needs the memory
    if logical_cpus:
        _split_cpu(logical_cpus)
    if name != "mirrored":
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    check_divides(batch_size, len(devices), f"devices of strategy {name!r}")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _split_cpu(logical_cpus: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * logical_cpus
    try:
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError as error:
        raise ValueError(
            f"logical_cpus={logical_cpus} comes too late: TensorFlow runs already in this process. "
            "Train before anything else is computed."
        ) from error


def check_divides(batch_size: int, parts: int, what: str) -> None:
    """Raises ValueError unless a batch has as many equal parts."""
    if batch_size % parts:
        raise ValueError(
            f"batch_size must be divisible by the {parts} {what}. Received: batch_size={batch_size}"
        )


def resolve_precision(name: str) -> str:
    """The precision to compute in: `"auto"` is what the GPU is fast in, float32 without one.

    Raises:
        ValueError: if the device lacks it.
    """
    # Tensor cores take float16 from compute capability 7 on, and bfloat16 from 8 on.
    capability = gpu_capability()
    if name == "auto":
        if not capability or capability < (7, 0):
            return "float32"
        return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"
    if name == "mixed_float16" and not capability:
        raise ValueError(
            "precision='mixed_float16' needs a GPU, and there is none. Use float32, or "
            "mixed_bfloat16 on a CPU that has it."
        )
    if name == "mixed_bfloat16" and capability and capability < (8, 0):
        raise ValueError(
            "precision='mixed_bfloat16' needs a GPU of compute capability 8.0 or more. This one "
            f"has {'.'.join(map(str, capability))}: use mixed_float16."
        )
    return name


def gpu_capability() -> tuple[int, int] | None:
    """Compute capability of the first GPU that Keras computes on, (0, 0) if unknown; or None."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.local_devices()[0]
        if device.platform != "gpu":
            return None
        major, minor = str(getattr(device, "compute_capability", "0.0")).split(".")
        return int(major), int(minor)
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return details.get("compute_capability", (0, 0)) if gpus else None


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers that are made inside compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
