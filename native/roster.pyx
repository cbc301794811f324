"""What the numbers of sessions and clients in the log mean.

May depend on: nothing. Never does I/O, never reads a clock, never allocates.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

cdef enum:
    EARLY_BIT = 1


cdef void roster_add_session(roster_t* r, uint32_t identity, bint early) noexcept nogil:
    if r.session_count < ROSTER_SESSIONS:
        r.sessions[r.session_count] = (identity & ~<uint32_t>EARLY_BIT) | (EARLY_BIT if early else 0)
        r.session_count += 1


cdef void roster_add_client(roster_t* r, uint32_t identity) noexcept nogil:
    if r.client_count < ROSTER_CLIENTS:
        r.clients[r.client_count] = identity
        r.client_count += 1


cdef uint32_t roster_write(const roster_t* r, uint8_t* place) noexcept nogil:
    cdef uint32_t sessions = 4 * <uint32_t>r.session_count
    cdef uint32_t clients = 4 * <uint32_t>r.client_count
    memcpy(place, &r.session_count, 2)
    memcpy(place + 2, &r.client_count, 2)
    memcpy(place + 4, r.sessions, sessions)
    memcpy(place + 4 + sessions, r.clients, clients)
    return 4 + sessions + clients


cdef void roster_compare(roster_t* r, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef uint16_t sessions = 0
    cdef uint16_t clients = 0
    r.fit = ROSTER_FITS
    r.index = 0
    memset(r.early, 0, sizeof(r.early))
    if size < 4:
        return
    memcpy(&sessions, data, 2)
    memcpy(&clients, data + 2, 2)
    if sessions > ROSTER_SESSIONS or clients > ROSTER_CLIENTS or size < 4 + 4 * (<uint32_t>sessions + clients):
        return
    compare_sessions(r, data + 4, sessions)
    if r.fit == ROSTER_FITS:
        compare_clients(r, data + 4 + 4 * <uint32_t>sessions, clients)


# --- helpers --------------------------------------------------------------------------------------------------------

cdef void compare_sessions(roster_t* r, const uint8_t* data, uint16_t count) noexcept nogil:
    cdef uint32_t theirs = 0
    cdef uint16_t i
    for i in range(count):
        if i == r.session_count:
            r.fit = ROSTER_MORE_SESSIONS
            r.index = i
            return
        memcpy(&theirs, data + 4 * <uint32_t>i, 4)
        if (theirs ^ r.sessions[i]) & ~<uint32_t>EARLY_BIT:
            r.fit = ROSTER_OTHER_SESSION
            r.index = i
            return
        r.early[i] = theirs & EARLY_BIT


cdef void compare_clients(roster_t* r, const uint8_t* data, uint16_t count) noexcept nogil:
    cdef uint32_t theirs = 0
    cdef uint16_t i
    for i in range(count):
        if i == r.client_count:
            r.fit = ROSTER_MORE_CLIENTS
            r.index = i
            return
        memcpy(&theirs, data + 4 * <uint32_t>i, 4)
        if theirs != r.clients[i]:
            r.fit = ROSTER_OTHER_CLIENT
            r.index = i
            return
