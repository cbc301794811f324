"""Timing loops over single pieces of the hot path, for `gateway bench`. The product does not use them.

Each function works through its input in batches and gives the ns of one operation of each batch: a clock costs 20 ns,
which would hide what is shorter. May depend on: the pieces that it measures.
"""

from cpython.array cimport array
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC

from .crc32c cimport crc32c
from .orders cimport OrderTable, order_t, orders_by_client, orders_by_session, orders_insert
from .journal cimport journal_at
from .record cimport record_header_t
from .ring cimport Ring, ring_peek, ring_release, ring_write
from .risk cimport Risk, risk_check, risk_on_order
from .spin cimport spin_clock_ns

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send" (int fd, const void* data, size_t size, int flags)
    ssize_t c_recv "recv" (int fd, void* data, size_t size, int flags)
    int MSG_DONTWAIT

cdef enum:
    MAX_DATAGRAM = 9000
    MAX_PATHS = 2
    MAX_RING_MESSAGE = 4096


def time_copy(bytes data not None, uint32_t batches, uint32_t batch) -> array:
    """A copy of `data` and its CRC-32C: the least that a log can do with a record. ns of one, for each batch."""
    cdef const uint8_t* source = data
    cdef size_t size = len(data)
    cdef size_t slots = 1024
    cdef size_t slot = (size + sizeof(uint32_t) + 63) & ~<size_t>63
    cdef uint8_t* place = <uint8_t*>malloc(slots * slot)
    cdef uint8_t* target
    cdef double[:] taken
    cdef uint64_t start
    cdef uint32_t i, k
    cdef uint32_t crc = 0
    if place is NULL:
        raise MemoryError
    result = array("d", bytes(8 * batches))
    taken = result
    with nogil:
        for i in range(batches):
            start = spin_clock_ns(CLOCK_MONOTONIC)
            for k in range(batch):
                target = place + (k % slots) * slot
                memcpy(target, source, size)
                crc = crc32c(0, target, size)
                memcpy(target + size, &crc, sizeof(crc))
            taken[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start) / batch
    free(place)
    return result


def time_risk(Risk risk not None, uint32_t client, int64_t quantity_e8, int64_t price_e8, uint32_t batches,
              uint32_t batch) -> array:
    """An order checked against all limits, and what it means for the next. ns of one, for each batch.

    Raises RuntimeError when the limits refuse one.
    """
    cdef record_header_t record
    cdef double[:] taken
    cdef uint64_t start
    cdef uint64_t wall_ns = 1700000000000000000
    cdef uint32_t i
    cdef uint32_t _k
    cdef uint32_t refused = 0
    memset(&record, 0, sizeof(record))
    record.client = client
    result = array("d", bytes(8 * batches))
    taken = result
    with nogil:
        for i in range(batches):
            start = spin_clock_ns(CLOCK_MONOTONIC)
            for _k in range(batch):
                wall_ns += 1000000
                record.time_ns = wall_ns
                refused += risk_check(&risk.state, client, quantity_e8, price_e8, wall_ns) != 0
                risk_on_order(&risk.state, &record, quantity_e8)
            taken[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start) / batch
    if refused:
        raise RuntimeError(f"{refused} orders were refused")
    return result


def time_order_inserts(OrderTable table not None, uint64_t first_lsn, uint64_t end_lsn, uint32_t batch) -> array:
    """The orders whose records are at `first_lsn` up to `end_lsn`, put into the table. ns of one, for each batch.

    Raises RuntimeError when one is not taken.
    """
    cdef uint32_t batches = <uint32_t>((end_lsn - first_lsn) // batch)
    cdef double[:] taken
    cdef uint64_t start
    cdef uint64_t lsn = first_lsn
    cdef uint32_t i
    cdef uint32_t _k
    cdef uint32_t lost = 0
    cdef const record_header_t* record
    result = array("d", bytes(8 * batches))
    taken = result
    with nogil:
        for i in range(batches):
            start = spin_clock_ns(CLOCK_MONOTONIC)
            for _k in range(batch):
                record = journal_at(table.journal.handle, lsn)
                lost += record is NULL or orders_insert(&table.table, record, 0, 0) is NULL
                lsn += 1
            taken[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start) / batch
    if lost:
        raise RuntimeError(f"{lost} orders were not taken")
    return result


def time_order_lookups(OrderTable table not None, uint32_t client, int session, bytes names not None,
                       uint32_t length, uint32_t batch) -> array:
    """ClOrdIDs (11), `length` bytes each and one behind the other in `names`, looked up by client, and by session if
    that is not negative. ns of one, for each batch. Raises RuntimeError when one is not found.
    """
    cdef const uint8_t* data = names
    cdef uint64_t total = len(names) // length
    cdef uint32_t batches = <uint32_t>(total // batch)
    cdef double[:] taken
    cdef uint64_t start
    cdef uint64_t at = 0
    cdef uint32_t i
    cdef uint32_t _k
    cdef uint32_t lost = 0
    cdef order_t* order
    result = array("d", bytes(8 * batches))
    taken = result
    with nogil:
        for i in range(batches):
            start = spin_clock_ns(CLOCK_MONOTONIC)
            for _k in range(batch):
                if session < 0:
                    order = orders_by_client(&table.table, client, data + at, length)
                else:
                    order = orders_by_session(&table.table, <unsigned short>session, data + at, length)
                lost += order is NULL
                at += length
            taken[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start) / batch
    if lost:
        raise RuntimeError(f"{lost} orders were not found")
    return result


def time_ring(Ring ring not None, bytes message not None, uint32_t batches, uint32_t batch) -> array:
    """A message into the ring and out of it again, in one thread. ns of one, for each batch.

    Raises RuntimeError when it does not fit.
    """
    cdef const uint8_t* data = message
    cdef uint32_t size = <uint32_t>len(message)
    cdef const uint8_t* found = NULL
    cdef uint8_t copy[MAX_RING_MESSAGE]
    cdef double[:] taken
    cdef uint64_t start
    cdef uint32_t i
    cdef uint32_t _k
    cdef uint32_t length
    cdef uint32_t lost = 0
    if size > MAX_RING_MESSAGE:
        raise ValueError(f"a message of at most {MAX_RING_MESSAGE} bytes")
    result = array("d", bytes(8 * batches))
    taken = result
    with nogil:
        for i in range(batches):
            start = spin_clock_ns(CLOCK_MONOTONIC)
            for _k in range(batch):
                ring_write(ring.handle, data, size)
                length = ring_peek(ring.handle, &found)
                if length != size:
                    lost += 1
                    continue
                memcpy(copy, found, length)
                ring_release(ring.handle)
            taken[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start) / batch
    if lost:
        raise RuntimeError(f"{lost} messages did not come back")
    return result


def time_datagrams(list primary_fds not None, list standby_fds not None, uint32_t there_bytes, uint32_t back_bytes,
                   uint32_t count):
    """Datagrams there and back over pairs of connected UDP sockets, both ends in this thread: nothing but the system.

    Two arrays of ns: until the first is there, and until all answers are back. Raises RuntimeError when one is lost.
    """
    cdef uint8_t buffer[MAX_DATAGRAM]
    cdef int primary[MAX_PATHS]
    cdef int standby[MAX_PATHS]
    cdef int paths = <int>len(primary_fds)
    cdef double[:] there
    cdef double[:] back
    cdef uint64_t start
    cdef uint32_t i
    cdef int path
    cdef bint lost = 0
    if not 0 < len(primary_fds) == len(standby_fds) <= MAX_PATHS or max(there_bytes, back_bytes) > MAX_DATAGRAM:
        raise ValueError(f"one or two paths, with a socket at each end; at most {MAX_DATAGRAM} bytes")
    for path in range(paths):
        primary[path], standby[path] = primary_fds[path], standby_fds[path]
    memset(buffer, 0, MAX_DATAGRAM)
    one_way = array("d", bytes(8 * count))
    result = array("d", bytes(8 * count))
    there, back = one_way, result
    with nogil:
        for i in range(count):
            start = spin_clock_ns(CLOCK_MONOTONIC)
            for path in range(paths):
                c_send(primary[path], buffer, there_bytes, 0)
            for path in range(paths):
                lost |= c_recv(standby[path], buffer, MAX_DATAGRAM, MSG_DONTWAIT) <= 0
                if path == 0:
                    there[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start)
            for path in range(paths):
                c_send(standby[path], buffer, back_bytes, 0)
            for path in range(paths):
                lost |= c_recv(primary[path], buffer, MAX_DATAGRAM, MSG_DONTWAIT) <= 0
            back[i] = <double>(spin_clock_ns(CLOCK_MONOTONIC) - start)
    if lost:
        raise RuntimeError("a datagram was lost")
    return one_way, result
