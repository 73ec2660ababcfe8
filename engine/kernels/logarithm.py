"""The log of a quotient, computed without rounding the quotient and in code that the compiler can vectorise."""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

EXPONENT, BIAS = np.uint64(52), np.uint64(1023)
# SHIFT keeps the exponent of a quotient above zero; HALF rounds it.
SHIFT, HALF = np.uint64(2048), np.uint64(1 << 51)
# Bits of 2^52: an integer in the mantissa adds itself to that number. BIG is the same number, with SHIFT added.
BIG_BITS, BIG = np.uint64(0x4330000000000000), 4503599627370496.0 + 2048.0
# Numbers above MOST or below 1 / MOST are first scaled by 2^760 towards 1.
MOST, FAR = 1.0e150, 760.0
# log 2 in two parts; the first ends in zero bits, so that its integer multiples are exact.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# log((1 + s) / (1 - s)) is 2s + s times this polynomial of s^2: fitted at Chebyshev's nodes for |s| up to 1/5, to 2e-17.
C1, C2, C3, C4, C5, C6, C7 = (
    0.6666666666666694,
    0.39999999999335556,
    0.2857142883604555,
    0.22222182776674482,
    0.18184610246294064,
    0.15283703752403147,
    0.1511848710872457,
)


@intrinsic
def _bits(typing_context, x):
    """The bits of a float64 as uint64."""
    del typing_context, x
    return types.uint64(types.float64), lambda _context, builder, _signature, args: builder.bitcast(args[0], ir.IntType(64))


@intrinsic
def _number(typing_context, bits):
    """The float64 of these bits."""
    del typing_context, bits
    return types.float64(types.uint64), lambda _context, builder, _signature, args: builder.bitcast(args[0], ir.DoubleType())


@njit(cache=True, error_model="numpy", nogil=True)
def log_ratio_nb(x, y, out):
    """out = log(x / y) to three units in the last place, NaN where x / y has no logarithm. Arrays are contiguous, of equal shape.

    With k such that x and 2^k y differ by at most half of either, log(x / y) = k log 2 + 2 artanh((x - 2^k y) / (x + 2^k y)).
    The difference is exact, so a small return keeps all its digits, which the log of the rounded x / y would lose.
    """
    x, y, line = x.ravel(), y.ravel(), out.reshape(out.size)
    n_special = 0
    for i in range(len(line)):
        n_special += _special(x[i]) | _special(y[i])
        line[i] = _log_ratio(x[i], y[i], 0.0)
    if n_special:
        for i in range(len(line)):
            if _special(x[i]) or _special(y[i]):
                line[i] = _careful(x[i], y[i])
    return out


@njit(error_model="numpy", nogil=True, forceinline=True)
def _log_ratio(x, y, shift):
    """log(x / y) + shift log 2."""
    exponent = (_bits(x) - _bits(y) + HALF + (SHIFT << EXPONENT)) >> EXPONENT  # pyright: ignore[reportCallIssue]
    y *= _number((exponent - SHIFT + BIAS) << EXPONENT)
    k = _number(exponent | BIG_BITS) - BIG + shift
    s = (x - y) / (x + y)
    z = s * s
    w = z * z
    tail = z * (C1 + w * (C3 + w * (C5 + w * C7))) + w * (C2 + w * (C4 + w * C6))
    return k * LN2_HIGH + (k * LN2_LOW + (2.0 * s + s * tail))


@njit(error_model="numpy", nogil=True, forceinline=True)
def _special(x):
    """Whether x is zero, negative, infinite, or so large or small that the quotient may overflow; NaN is not special."""
    return (x < 1.0 / MOST) | (x > MOST)


@njit(error_model="numpy", nogil=True)
def _careful(x, y):
    ratio = x / y
    if np.isnan(ratio) or ratio < 0.0:
        return np.nan
    if x == 0.0 or np.isinf(y):
        return -np.inf
    # A negative quotient may be so small that it rounded to zero.
    if math.copysign(1.0, x) != math.copysign(1.0, y):
        return np.nan
    x, y = abs(x), abs(y)
    if y == 0.0 or np.isinf(x):
        return np.inf
    shift = 0.0
    if x < 1.0 / MOST or x > MOST:
        shift += FAR if x > 1.0 else -FAR
        x *= 2.0**-FAR if x > 1.0 else 2.0**FAR
    if y < 1.0 / MOST or y > MOST:
        shift -= FAR if y > 1.0 else -FAR
        y *= 2.0**-FAR if y > 1.0 else 2.0**FAR
    return _log_ratio(x, y, shift)
