"""Checks that every grid message passes before it may count: shape, origin, sequence, expiry, bounds.

Nothing here does I/O or reads a clock: `now_ms` is an argument.
"""
