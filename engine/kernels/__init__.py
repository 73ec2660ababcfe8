"""Kernels in numba: arrays in, new arrays out."""
