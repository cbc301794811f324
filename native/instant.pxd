"""A moment, as handed to every protocol function. Nothing below the reactor reads a clock."""

from libc.stdint cimport uint64_t


cdef struct instant_t:
    uint64_t mono_ns  # CLOCK_MONOTONIC: every timer and time-out
    uint64_t wall_ns  # CLOCK_REALTIME, ns since the Unix epoch: SendingTime and record times only, never a decision
