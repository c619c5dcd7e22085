"""Checks of numbers that users give, which name the argument and its value."""

import math
from numbers import Integral, Real
from typing import Any


def check_counts(lowest: int = 1, **counts: Any) -> None:
    """Raises ValueError unless all values are integers of at least `lowest`.

    >>> check_counts(frames=2.5)
    Traceback (most recent call last):
    ValueError: frames must be an integer of at least 1. Received: frames=2.5
    """
    for name, value in counts.items():
        if not isinstance(value, Integral) or value < lowest:
            raise ValueError(
                f"{name} must be an integer of at least {lowest}. Received: {name}={value!r}"
            )


def check_integer(**numbers: Any) -> None:
    """Raises ValueError unless all values are integers, which a seed of None, say, is not."""
    for name, value in numbers.items():
        if not isinstance(value, Integral):
            raise ValueError(f"{name} must be an integer. Received: {name}={value!r}")


def check_above_0(**numbers: Any) -> None:
    """Raises ValueError unless all values are finite numbers above 0."""
    for name, value in numbers.items():
        if not isinstance(value, Real) or not 0 < float(value) < math.inf:
            raise ValueError(f"{name} must be a number above 0. Received: {name}={value!r}")


def given(**values: Any) -> dict[str, Any]:
    """The arguments that are not None."""
    return {name: value for name, value in values.items() if value is not None}
