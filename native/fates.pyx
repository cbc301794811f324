"""What resends did to orders: spans of MsgSeqNums that went again or became gap fill.

Derived from the log alone. May depend on: nothing. Never does I/O, never reads a clock, never allocates after
fates_init.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef int fates_init(fates_t* f) noexcept nogil:
    f.entries = <fate_t*>calloc(MAX_FATES, sizeof(fate_t))
    return -1 if f.entries is NULL else 0


cdef void fates_free(fates_t* f) noexcept nogil:
    free(f.entries)
    f.entries = NULL


cdef void fates_forget(fates_t* f) noexcept nogil:
    f.count = 0
    f.sweeps += 1
    f.overflowed = 0


cdef void fates_add(fates_t* f, uint16_t session, uint32_t generation, uint64_t first, uint64_t next,
                    uint16_t kind) noexcept nogil:
    cdef fate_t* latest = &f.entries[f.count - 1] if f.count else NULL
    if (latest is not NULL and latest.next == first and latest.kind == kind and latest.session == session
            and latest.generation == generation):
        latest.next = next
        return
    if f.count == MAX_FATES:
        sweep(f, session, generation)
    if f.count == MAX_FATES:
        f.overflowed += 1
        return
    f.entries[f.count].first = first
    f.entries[f.count].next = next
    f.entries[f.count].generation = generation
    f.entries[f.count].session = session
    f.entries[f.count].kind = kind
    f.count += 1


cdef void sweep(fates_t* f, uint16_t session, uint32_t generation) noexcept nogil:
    """Takes out what is of an earlier generation of `session`: nobody is told of it any more."""
    cdef uint32_t kept = 0
    cdef uint32_t i
    for i in range(f.count):
        if f.entries[i].session != session or f.entries[i].generation == generation:
            f.entries[kept] = f.entries[i]
            kept += 1
    f.sweeps += kept != f.count
    f.count = kept
