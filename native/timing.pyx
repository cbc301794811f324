"""Timing loops over the cores, for bench/: what one message costs inside native code. The product does not use them."""

from cpython.array cimport array
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC

from .datagram cimport MAX_DATAGRAM_BYTES, OPEN_OK, channel_open, channel_t, datagram_header_t
from .instant cimport instant_t
from .journal cimport journal_commit, journal_reserve
from .receiver cimport Receiver, receiver_on_datagram, receiver_poll
from .record cimport RECORD_OUT, record_header_t, record_payload
from .sender cimport Sender, sender_on_datagram, sender_poll
from .session cimport (SEND_OK, Session, session_hooks_t, session_on_bytes, session_send_application,
                       session_tx_consume, session_tx_peek)
from .spin cimport spin_clock_ns

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send" (int fd, const void* data, size_t size, int flags)
    ssize_t c_recv "recv" (int fd, void* data, size_t size, int flags)
    int MSG_DONTWAIT

cdef enum:
    ROUND_TRIP_TIMEOUT_NS = 1000000000
    MAX_PATHS = 2

cdef struct paths_t:
    int count
    int primary[MAX_PATHS]
    int standby[MAX_PATHS]


def measure_send(Session session not None, bytes body not None, uint32_t clordid_length, uint32_t count) -> array:
    """NewOrderSingle (35=D) numbered, encoded into the journal, sealed and handed to the transport, `count` times.

    `body` starts with its ClOrdID (11). An array of the ns of each. Raises RuntimeError when the session takes no more.
    """
    cdef const record_header_t* record = NULL
    cdef const uint8_t* data = NULL
    cdef const uint8_t* fields = body
    cdef uint32_t length = <uint32_t>len(body)
    cdef instant_t now = instant_t(1, 1700000000123456789)
    cdef double[:] taken
    cdef uint64_t start
    cdef uint32_t i
    cdef int failed = 0
    result = array("d", bytes(8 * count))
    taken = result
    with nogil:
        for i in range(count):
            now.mono_ns += 1000
            now.wall_ns += 1000
            start = spin_clock_ns(CLOCK_MONOTONIC)
            failed = session_send_application(&session.state, b"D", 1, fields, length, 3, clordid_length, 1, 0, &now,
                                              &record) != SEND_OK
            if failed:
                break
            session_tx_consume(&session.state, session_tx_peek(&session.state, <uint64_t>-1, &data), &now)
            taken[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start)
    if failed:
        raise RuntimeError(f"message {i + 1} was not taken")
    return result


def measure_receive(Session session not None, bytes stream not None, uint32_t piece_bytes) -> float:
    """Messages as a counterparty sends them: parsed, checked, logged. ns for all, read in pieces of `piece_bytes`.

    Raises RuntimeError when not all of it is used up.
    """
    cdef const uint8_t* data = stream
    cdef size_t size = len(stream)
    cdef size_t used = 0
    cdef size_t more
    cdef instant_t now = instant_t(1, 1700000000123456789)
    cdef session_hooks_t hooks = session.state.hooks
    cdef uint64_t start
    memset(&session.state.hooks, 0, sizeof(session_hooks_t))     # the face's make Python objects
    start = spin_clock_ns(CLOCK_MONOTONIC)
    with nogil:
        while used < size:
            more = session_on_bytes(&session.state, data + used, min(<size_t>piece_bytes, size - used), &now)
            if more == 0:
                break
            used += more
        start = spin_clock_ns(CLOCK_MONOTONIC) - start
    session.state.hooks = hooks
    if used != size:
        raise RuntimeError(f"the session stopped at byte {used} of {size}")
    return <double>start


def measure_round_trip(Sender sender not None, Receiver receiver not None, list primary_fds not None,
                       list standby_fds not None, uint32_t payload_bytes, uint32_t count):
    """A record appended by the primary, sent, appended by the standby, acknowledged, the acknowledgement read; in ns.

    Two arrays: until the standby has it, and until the primary knows. Both sides take turns in one thread, over pairs
    of connected UDP sockets, one for each path (at most two): every datagram goes over all of them. Raises RuntimeError
    after a second without progress.
    """
    cdef paths_t paths
    cdef double[:] there
    cdef double[:] taken
    cdef uint64_t start, there_ns
    cdef uint32_t i
    cdef int failed = 0
    if not 0 < len(primary_fds) == len(standby_fds) <= MAX_PATHS:
        raise ValueError("one or two paths, with a socket at each end")
    paths.count = <int>len(primary_fds)
    for i in range(<uint32_t>len(primary_fds)):
        paths.primary[i], paths.standby[i] = primary_fds[i], standby_fds[i]
    one_way = array("d", bytes(8 * count))
    result = array("d", bytes(8 * count))
    there, taken = one_way, result
    with nogil:
        for i in range(count):
            there_ns = 0
            start = spin_clock_ns(CLOCK_MONOTONIC)
            append(sender, payload_bytes)
            failed = exchange(sender, receiver, &paths, start, &there_ns)
            if failed:
                break
            taken[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start)
            there[i] = <double>(there_ns - start)
    if failed:
        raise RuntimeError(f"record {i + 1} was not acknowledged within a second")
    return one_way, result


cdef void append(Sender sender, uint32_t payload_bytes) noexcept nogil:
    cdef record_header_t* record = journal_reserve(sender.sender.journal, payload_bytes)
    cdef uint8_t header[48]
    if record is NULL:
        return
    record.seq = sender.sender.journal.last_lsn + 1
    record.time_ns = 0
    record.epoch = sender.sender.epoch
    record.client = 0
    record.aux = 0
    record.session = 0
    record.kind = RECORD_OUT
    record.flags = 0
    memcpy(header, record, sizeof(header))
    memcpy(<uint8_t*>record_payload(record), header, min(payload_bytes, <uint32_t>sizeof(header)))
    journal_commit(sender.sender.journal, record, payload_bytes)


cdef int exchange(Sender sender, Receiver receiver, const paths_t* paths, uint64_t start,
                  uint64_t* there_ns) noexcept nogil:
    cdef uint8_t buffer[MAX_DATAGRAM_BYTES]
    cdef const datagram_header_t* header = NULL
    cdef instant_t now = instant_t(start, 0)
    cdef uint64_t wanted = sender.sender.journal.last_lsn
    cdef size_t size
    cdef uint8_t node = 0
    cdef int path
    while sender.sender.views[1].received_lsn < wanted:
        now.mono_ns = spin_clock_ns(CLOCK_MONOTONIC)
        if now.mono_ns - start > ROUND_TRIP_TIMEOUT_NS:
            return -1
        size = sender_poll(&sender.sender, &now, buffer, &node)
        for path in range(paths.count if size else 0):
            c_send(paths.primary[path], buffer, size, 0)
        for path in range(paths.count):
            size = take(paths.standby[path], &receiver.channel.channel, buffer, &header)
            if size:
                receiver_on_datagram(&receiver.receiver, header, &now, ignore, NULL)
        if there_ns[0] == 0 and receiver.receiver.journal.last_lsn >= wanted:
            there_ns[0] = spin_clock_ns(CLOCK_MONOTONIC)
        size = receiver_poll(&receiver.receiver, &now, buffer)
        for path in range(paths.count if size else 0):
            c_send(paths.standby[path], buffer, size, 0)
        for path in range(paths.count):
            size = take(paths.primary[path], &sender.channel.channel, buffer, &header)
            if size:
                sender_on_datagram(&sender.sender, header, &now)
    return 0


cdef void ignore(void* context, const record_header_t* record) noexcept nogil:
    pass


cdef size_t take(int fd, channel_t* channel, uint8_t* buffer, const datagram_header_t** header) noexcept nogil:
    cdef ssize_t size = c_recv(fd, buffer, MAX_DATAGRAM_BYTES, MSG_DONTWAIT)
    return <size_t>size if size > 0 and channel_open(channel, buffer, <size_t>size, header) == OPEN_OK else 0


cdef extern from *:
    const char* c_compiler "__VERSION__"

COMPILER = c_compiler.decode()      # that built the native modules: instruction counts go with it
