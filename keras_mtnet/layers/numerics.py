"""Precision, and gradients written by hand."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
from keras import ops, tree

_PREDICTS = contextvars.ContextVar("keras_mtnet_predicts", default=False)


def at_least_float32(x: Any) -> Any:
    """`x` in float32, or in float64 if it is: sums and exponents overflow in half precision."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.cast(x, "float64" if dtype == "float64" else "float32")


def reciprocal(x: Any) -> Any:
    """`1 / x` of positive numbers, to the last bit or two, by operations that LiteRT has in int8.

    LiteRT refuses an int8 division where the divisor's stored byte is 0, which may stand for any
    number, about 2 for one between 0 and 4.
    """
    return ops.square(ops.rsqrt(x))


def own_gradient(function: Callable[..., tuple[Any, Callable[[Any], Any]]]) -> Callable[..., Any]:
    """Gives a function of tensors, from them to `(result, gradient)`, that gradient.

    `keras.ops.custom_gradient`, with gradients of gradients that are right on every backend.
    TensorFlow and JAX differentiate what the gradient is made of. PyTorch would take it for
    constant, so PyTorch derives the gradient from the result itself.

    >>> @own_gradient
    ... def square(x):
    ...     return x * x, lambda upstream: (2.0 * x * upstream,)
    >>> float(square(keras.ops.convert_to_tensor(3.0)))
    9.0
    """
    if keras.backend.backend() == "torch" or _PREDICTS.get():
        return lambda *tensors: function(*tensors)[0]

    def with_gradient(*tensors: Any) -> tuple[Any, Callable[..., Any]]:
        result, gradient = function(*tensors)
        return result, lambda *upstream: gradient(tree.flatten(upstream)[0])

    return ops.custom_gradient(with_gradient)


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """Within it, `own_gradient` returns the results alone: what is traced has fewer operations."""
    token = _PREDICTS.set(True)
    try:
        yield
    finally:
        _PREDICTS.reset(token)


def pad_with_zeros(x: Any, ends: Sequence[Any]) -> Any:
    """Zeros before and after every axis, in a form that TensorFlow leaves as it is.

    It fuses a plain padding into the convolution behind it, infers the shape of the result as if
    there were none, and then drops slices that seem to be whole.
    """
    zero = ops.zeros((), x.dtype) if keras.backend.backend() == "tensorflow" else 0
    return ops.pad(x, ends, constant_values=zero)
