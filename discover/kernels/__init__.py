"""Numba kernels: arrays in, arrays out.

The caller allocates the outputs with NumPy, draws the random numbers and checks the
arguments; a kernel returns a status code where it can fail.
"""
