"""Arithmetic on four adjacent values at a time: four running sums hide each other's latency, a single one has to wait for it."""

import numpy as np
from numba import njit

WIDTH = 4
ZERO = (0.0, 0.0, 0.0, 0.0)
# Unsigned indices avoid the check for negative indices.
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_INLINE = {"error_model": "numpy", "nogil": True, "forceinline": True}


@njit(**_INLINE)
def load(x, at):
    return x[at], x[at + _1], x[at + _2], x[at + _3]


@njit(**_INLINE)
def store(x, at, a):
    x[at], x[at + _1], x[at + _2], x[at + _3] = a


@njit(**_INLINE)
def add(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


@njit(**_INLINE)
def subtract(a, b):
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


@njit(**_INLINE)
def multiply(a, b):
    return a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]


@njit(**_INLINE)
def larger(a, b):
    """The larger of two numbers, NaN if either is NaN, in each lane."""
    return nan_max(a[0], b[0]), nan_max(a[1], b[1]), nan_max(a[2], b[2]), nan_max(a[3], b[3])


@njit(**_INLINE)
def nan_max(a, b):
    return a if a > b or np.isnan(a) else b
