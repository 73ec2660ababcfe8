"""A natural logarithm that the compiler can turn into vector code; NumPy's is a call a number on most machines."""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# sqrt(1/2) and 1 as bits: their distance puts the mantissa into [sqrt(1/2), sqrt(2)).
HALF_ROOT, ONE = np.uint64(0x3FE6A09E00000000), np.uint64(0x3FF0000000000000)
MANTISSA, EXPONENT = np.uint64(0x000FFFFFFFFFFFFF), np.uint64(52)
# 2^52 as bits and as a number: a whole number below it in its mantissa is that number more.
BIG_BITS, BIG = np.uint64(0x4330000000000000), 4503599627370496.0
BIAS = 1023.0
LEAST_NORMAL, UP, UP_LOG2 = 2.2250738585072014e-308, 2.0**54, 54.0
# log 2 in two parts, the first with zeros at its end, so that whole multiples of it are exact.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# log((1 + s) / (1 - s)) - 2s as a polynomial in s^2 times s, the minimax coefficients of the freely distributable math library (1993).
C1, C2, C3, C4, C5, C6, C7 = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)


@intrinsic
def _bits(typing_context, x):
    """The bits of a float64 as uint64."""
    del typing_context, x
    return types.uint64(types.float64), lambda context, builder, signature, args: builder.bitcast(args[0], ir.IntType(64))


@intrinsic
def _number(typing_context, bits):
    """The float64 of these bits."""
    del typing_context, bits
    return types.float64(types.uint64), lambda context, builder, signature, args: builder.bitcast(args[0], ir.DoubleType())


@njit(error_model="numpy", nogil=True, forceinline=True)
def log_nb(x):
    """log x to one unit in the last place; NaN below 0, -inf at 0."""
    small = x < LEAST_NORMAL
    u = _bits(x * UP if small else x) + (ONE - HALF_ROOT)
    k = _number((u >> EXPONENT) | BIG_BITS) - BIG - (BIAS + UP_LOG2 if small else BIAS)
    f = _number((u & MANTISSA) + HALF_ROOT) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    tail = z * (C1 + w * (C3 + w * (C5 + w * C7))) + w * (C2 + w * (C4 + w * C6))
    half = 0.5 * f * f
    out = k * LN2_HIGH - ((half - (s * (half + tail) + k * LN2_LOW)) - f)
    out = x if not x < np.inf else out
    out = -np.inf if x == 0.0 else out
    return np.nan if x < 0.0 else out


@njit(cache=True, error_model="numpy", nogil=True)
def log_ratio_nb(x, y, out):
    """out = log(x / y); all of one shape and contiguous."""
    x, y, flat = x.ravel(), y.ravel(), out.reshape(out.size)
    for k in range(len(flat)):
        flat[k] = log_nb(x[k] / y[k])
