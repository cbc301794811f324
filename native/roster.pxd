"""What the numbers of sessions and clients in the log mean, so that two configurations that differ cannot meet unseen.

Each EPOCH record carries a roster: a hash of every session's and client's identity, in the order of the configuration,
and which sessions its primary releases without waiting for the standby. May depend on: nothing. Never does I/O.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    ROSTER_SESSIONS = 128
    ROSTER_CLIENTS = 255
    # u16 sessions, u16 clients, then 4 bytes each
    MAX_ROSTER_BYTES = 4 + 4 * (ROSTER_SESSIONS + ROSTER_CLIENTS)


cdef enum roster_fit:
    ROSTER_FITS = 0
    ROSTER_OTHER_SESSION = 1      # the session at `index` is another one
    ROSTER_OTHER_CLIENT = 2       # the client at `index` (from 0) is another one
    ROSTER_MORE_SESSIONS = 3      # the log has sessions from `index` on that the configuration has not
    ROSTER_MORE_CLIENTS = 4


cdef struct roster_t:
    uint32_t sessions[ROSTER_SESSIONS]     # hash, with the lowest bit for `early`
    uint32_t clients[ROSTER_CLIENTS]
    uint16_t session_count
    uint16_t client_count
    # Of the latest primary in the log:
    roster_fit fit
    uint16_t index
    bint early[ROSTER_SESSIONS]            # it released this session before the standby had the record


cdef void roster_add_session(roster_t* r, uint32_t identity, bint early) noexcept nogil
cdef void roster_add_client(roster_t* r, uint32_t identity) noexcept nogil
cdef uint32_t roster_write(const roster_t* r, uint8_t* place) noexcept nogil    # size; MAX_ROSTER_BYTES at most
# Sets fit, index and early from what another primary wrote. An empty one fits: it is of an older version.
cdef void roster_compare(roster_t* r, const uint8_t* data, uint32_t size) noexcept nogil
