"""The layers of MTNets in NumPy and float64: the references the tests compare with.

Written from the formulas, one loop a sum, without any function of the package or of Keras. Each
takes the layer itself where it needs weights; batch normalization uses batch statistics where
`training` is set.
"""

import itertools

import numpy as np

EPSILON = 1e-5


def values(weight):
    """A weight as a float64 array."""
    return np.asarray(weight, "float64")


def randomize(layer, seed=0, scale=0.5):
    """Gives every weight of a layer or model random values; variances and scales are positive."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        name, shape = weight.path.split("/")[-1], weight.shape
        if name in ("moving_variance", "gamma"):
            weight.assign(rng.uniform(0.5, 1.5, shape))
        elif name.endswith("kernel"):
            fan_in = np.prod(shape[:-1])
            weight.assign(rng.normal(0, 2 * scale / np.sqrt(fan_in), shape))
        else:
            weight.assign(rng.normal(0, scale, shape))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def windows(size, pool, stride, padding):
    """First and last place (exclusive) of each window along an axis."""
    if padding == "same":
        count = -(-size // stride)
        before = max((count - 1) * stride + pool - size, 0) // 2
    else:
        count, before = max(1, (size - pool) // stride + 1), 0
    starts = [i * stride - before for i in range(count)]
    return [(max(s, 0), min(s + pool, size)) for s in starts]


def pool(x, reduce, pool_size, strides=None, padding="valid"):
    """Applies `reduce` (places, C) -> (C) to every window of a clip (N, T, H, W, C)."""
    x = values(x)
    strides = strides or pool_size
    spans = [
        windows(s, p, k, padding) for s, p, k in zip(x.shape[1:4], pool_size, strides, strict=True)
    ]
    y = np.empty((len(x), *map(len, spans), x.shape[-1]))
    for n, i, j, k in np.ndindex(*y.shape[:4]):
        t, h, w = spans[0][i], spans[1][j], spans[2][k]
        window = x[n, t[0] : t[1], h[0] : h[1], w[0] : w[1]]
        y[n, i, j, k] = reduce(window.reshape(-1, x.shape[-1]))
    return y


def soft(window):
    """Average weighted by exponentials (eq. 5), of places (P, C)."""
    weights = np.exp(window - window.max(0))
    return ((weights / weights.sum(0)) * window).sum(0)


def stochastic(window):
    """Average weighted by the positive part; evenly where nothing is positive."""
    weights = np.where(relu(window).sum(0) > 0, relu(window), 1.0)
    return (weights * window).sum(0) / weights.sum(0)


POOLINGS = {
    "soft": soft,
    "avg": lambda window: window.mean(0),
    "max": lambda window: window.max(0),
    "stochastic": stochastic,
}


def kept_frames(x, factor=2):
    """Numbers of the frames that triplet cosine selection keeps, a list for each clip."""
    x = values(x)
    return [_kept(clip, max(1, len(clip) // factor)) for clip in x]


def _kept(clip, count):
    frames = len(clip)
    if count == frames:
        return list(range(frames))
    sums = [frame.sum((0, 1)) for frame in clip]

    def cosine(a, b):
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        return a @ b / norms if norms > 0 else 0.0

    c = [cosine(a, b) for a, b in itertools.pairwise(sums)]
    interior = {t: c[t - 1] + c[t] for t in range(1, frames - 1)}
    edges = {0: 2 * c[0], frames - 1: 2 * c[-1]}
    order = [*sorted(interior, key=interior.get), *sorted(edges, key=edges.get)]  # both stable
    return sorted(order[:count])


def select_frames(x, factor=2):
    x = values(x)
    kept = kept_frames(x, factor)
    return np.stack([clip[frames] for clip, frames in zip(x, kept, strict=True)])


def resize(x, sizes):
    """Separable linear interpolation with half-pixel centers and clamped edges."""
    x = values(x)
    for axis, size in enumerate(sizes, 1):
        old = x.shape[axis]
        at = (np.arange(size) + 0.5) * old / size - 0.5
        x = np.apply_along_axis(lambda line: np.interp(at, np.arange(old), line), axis, x)  # noqa: B023
    return x


def conv3d(x, kernel, strides=(1, 1, 1), padding="same"):
    """Convolution with a padding of MTConv, kernel (t, h, w, C_in, C_out)."""
    x, kernel = values(x), values(kernel)
    sizes, pads = [], []
    for size, k, s in zip(x.shape[1:4], kernel.shape[:3], strides, strict=True):
        out = (size - k) // s + 1 if padding == "valid" else -(-size // s)
        total = max((out - 1) * s + k - size, 0)
        before = k // 2 if padding == "centered" else total // 2
        sizes.append(out)
        pads.append((before, max(total - before, 0)))
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    y = np.zeros((len(x), *sizes, kernel.shape[-1]))
    for place in np.ndindex(*kernel.shape[:3]):
        taps = [
            slice(p, p + (n - 1) * s + 1, s) for p, n, s in zip(place, sizes, strides, strict=True)
        ]
        y += x[(slice(None), *taps)] @ kernel[place]
    return y


def batch_norm(x, layer, training=False):
    mean, variance = values(layer.moving_mean), values(layer.moving_variance)
    if training:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
    return (x - mean) / np.sqrt(variance + EPSILON) * values(layer.gamma) + values(layer.beta)


def mt_conv(x, layer, activation=relu, training=False):
    """An MTConv by its formulas (SPEC section 1), from the layer's weights."""
    x, strides = values(x), layer.strides
    channels = layer.local_conv.kernel.shape[-2]  # C_L
    local = conv3d(x[..., :channels], layer.local_conv.kernel, strides, layer.padding)
    local = batch_norm(local, layer.local_bn, training)
    if channels == x.shape[-1]:
        return activation(local)

    def down(x):
        size = (1, 2, 2) if layer.frame_selection else (2, 2, 2)
        x = pool(x, POOLINGS[layer.pooling], size)
        return select_frames(x) if layer.frame_selection else x

    padding = "same" if layer.padding == "valid" else layer.padding
    z = conv3d(down(x[..., channels:]), layer.prolonged_conv.kernel, strides, padding)
    z = batch_norm(z, layer.prolonged_bn, training)
    lateral = conv3d(down(relu(local)), layer.lateral_conv.kernel)
    lateral = batch_norm(lateral, layer.lateral_bn, training)
    z = z + resize(lateral, z.shape[1:4])
    return activation(np.concatenate([local, resize(z, local.shape[1:4])], axis=-1))


def recurrence(x, name, cell):
    """All outputs (N, T, U) of a recurrent cell with Keras' weights, from a state of zeros."""
    x, kernel, inner, bias = map(values, (x, cell.kernel, cell.recurrent_kernel, cell.bias))
    output = carry = np.zeros((len(x), inner.shape[0]))
    outputs = []
    for frame in x.swapaxes(0, 1):
        if name == "gru":
            z_u, z_r, z_h = np.split(frame @ kernel + bias[0], 3, axis=-1)
            h_u, h_r, h_h = np.split(output @ inner + bias[1], 3, axis=-1)
            update, reset = sigmoid(z_u + h_u), sigmoid(z_r + h_r)
            output = update * output + (1 - update) * np.tanh(z_h + reset * h_h)
        elif name == "rnn":
            output = np.tanh(frame @ kernel + output @ inner + bias)
        else:
            i, f, c, o = np.split(frame @ kernel + output @ inner + bias, 4, axis=-1)
            p_i = p_f = p_o = 0.0
            if name == "peephole_lstm":
                p_i = values(cell.input_gate_peephole_weights)
                p_f = values(cell.forget_gate_peephole_weights)
                p_o = values(cell.output_gate_peephole_weights)
            old = carry
            carry = sigmoid(f + p_f * old) * old + sigmoid(i + p_i * old) * np.tanh(c)
            output = sigmoid(o + p_o * carry) * np.tanh(carry)
        outputs.append(output)
    return np.stack(outputs, axis=1)


def squeeze_and_recursion(x, layer):
    x = values(x)
    gate = x.mean((2, 3))
    for inner in layer.recurrences:
        gate = recurrence(gate, layer.cell, inner.cell)
    return x * gate[:, :, None, None]


def mt_block(x, layer, training=False):
    x = y = values(x)
    for conv in layer.convs[:3]:
        y = mt_conv(y, conv, training=training)
    y = mt_conv(y, layer.convs[3], activation=lambda y: y, training=training)
    y = squeeze_and_recursion(y, layer.gate)
    if layer.shortcut_conv is not None:
        x = conv3d(x, layer.shortcut_conv.kernel, layer.strides)
        x = batch_norm(x, layer.shortcut_bn, training)
    return relu(x + y)


def mtnet(x, model):
    """A whole network with its classifier, in inference."""
    layer = model.get_layer
    x = conv3d(x, layer("stem_conv").kernel, (1, 2, 2))
    kernel = values(layer("stem_temporal").kernel)[:, 0, 0, :, 0]  # (frames, C)
    x = conv3d(x, np.stack([np.diag(row) for row in kernel])[:, None, None])
    x = select_frames(relu(batch_norm(x, layer("stem_bn"))))
    for block in (block for block in model.layers if block.name.startswith("stage")):
        x = mt_block(x, block)
    x = conv3d(x, layer("head_conv").kernel)
    x = relu(batch_norm(x, layer("head_bn"))).mean((1, 2, 3))
    x = relu(x @ values(layer("head_fc").kernel))
    x = x @ values(layer("predictions").kernel) + values(layer("predictions").bias)
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def directional_derivative(function, x, direction, step=1e-5):
    """Slope of a scalar function of NumPy arrays along a direction, by central differences."""
    x, direction = values(x), values(direction)
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)
