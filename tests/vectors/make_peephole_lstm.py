"""Writes peephole_lstm.npz: what PeepholeLSTMCell of TensorFlow Addons computes.

Run once, apart from this package, which cannot share an environment with TensorFlow Addons:

    pip install "tensorflow==2.15.*" "tensorflow-addons==0.23.0" "numpy<2"
    python tests/vectors/make_peephole_lstm.py

Weights are stored under their own names. All are random and none is zero, peepholes included, and
the inputs are large enough for the gates to saturate here and there.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

UNITS, CHANNELS, FRAMES, BATCH = 5, 4, 7, 3


def main() -> None:
    rng = np.random.default_rng(20240501)
    cell = tfa.rnn.PeepholeLSTMCell(UNITS)
    layer = tf.keras.layers.RNN(cell, return_sequences=True, return_state=True)
    x = tf.constant(rng.normal(0, 2, (BATCH, FRAMES, CHANNELS)), "float32")
    layer(x)  # builds the weights
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))

    upstream = rng.normal(0, 1, (BATCH, FRAMES, UNITS)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        sequence, output, carry = layer(x)
        loss = tf.reduce_sum(sequence * upstream)
    gradients = tape.gradient(loss, [x, *layer.weights])

    arrays = {
        "x": x,
        "sequence": sequence,
        "final_output": output,
        "final_carry": carry,
        "upstream": upstream,
        "gradient/x": gradients[0],
    }
    for weight, gradient in zip(layer.weights, gradients[1:], strict=True):
        name = weight.name.split("/")[-1].split(":")[0]  # rnn/peephole_lstm_cell/kernel:0
        arrays[f"weight/{name}"] = weight
        arrays[f"gradient/{name}"] = gradient
    config = cell.get_config()
    defaults = {k: np.array(config[k]) for k in ("activation", "recurrent_activation")}
    versions = {"tensorflow": np.array(tf.__version__), "addons": np.array(tfa.__version__)}
    path = Path(__file__).with_name("peephole_lstm.npz")
    np.savez(path, **{k: np.asarray(v) for k, v in arrays.items()}, **defaults, **versions)
    print(f"{path}: {sorted(arrays)}, {defaults}, {versions}")


if __name__ == "__main__":
    main()
