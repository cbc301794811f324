"""What resends did to orders: spans of MsgSeqNums that went again or became gap fill. Derived from the log.

The session that answers a ResendRequest writes a STATE_RESEND record for each span; a gap fill waits for the release of
its record, so no gap fill can be out that a later primary does not know of. May depend on: nothing.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef enum:
    MAX_FATES = 1 << 16           # spans that are remembered for clients


cdef struct fate_t:
    uint64_t first                # MsgSeqNums from here on ...
    uint64_t next                 # ... to below here
    uint32_t generation
    uint16_t session
    uint16_t kind                 # fate_kind (clientwire)


cdef struct fates_t:
    fate_t* entries               # MAX_FATES, in the order of the log; spans that continue each other are one
    uint32_t count
    uint32_t sweeps               # grows when entries move: who has a place in them starts again
    uint64_t overflowed           # spans that could not be remembered


cdef int fates_init(fates_t* f) noexcept nogil      # 0, or -1: out of memory
cdef void fates_free(fates_t* f) noexcept nogil
cdef void fates_forget(fates_t* f) noexcept nogil
# `generation`: the session's present one; when there is no room, what is of an earlier one makes it.
cdef void fates_add(fates_t* f, uint16_t session, uint32_t generation, uint64_t first, uint64_t next,
                    uint16_t kind) noexcept nogil
