"""What one connected client is told: a filter over the log with two cursors.

May depend on: replica, journal, clientwire. Never does I/O, never reads a clock, never allocates after client_init.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

from .clientwire cimport (FRAME_ACCEPTED, FRAME_CHECKPOINT_STORED, FRAME_FATE, FRAME_HEADER_BYTES, FRAME_MESSAGE,
                          FRAME_REJECTED, FRAME_SESSION, frame_header_t)
from .fates cimport fate_t
from .journal cimport DIRECTION_IN, DIRECTION_OUT, journal_at, journal_find, journal_find_in
from .orders cimport order_t, orders_by_session
from .record cimport (FLAG_APPLICATION, FLAG_ORDER, FLAG_POSS_DUP, RECORD_CHECKPOINT, RECORD_IN, RECORD_OUT,
                      RECORD_REJECTED, record_header_t, record_payload, record_payload_length)
from .replica cimport replica_generation_at, replica_generation_start
from .session cimport session_t

cdef enum:
    FROM_NOW = 0xFFFFFFFFFFFFFFFF     # position that a client names to skip what is there already
    MESSAGE_POSS_DUP = 1


cdef int client_init(client_t* c, bint touch) noexcept nogil:
    memset(c, 0, sizeof(client_t))
    c.buffer = <uint8_t*>malloc(CLIENT_BUFFER_BYTES)
    if c.buffer is NULL:
        return -1
    if touch:
        memset(c.buffer, 0, CLIENT_BUFFER_BYTES)
    return 0


cdef void client_free(client_t* c) noexcept nogil:
    free(c.buffer)
    c.buffer = NULL


cdef void client_open(client_t* c, bint local, uint64_t mono_ns) noexcept nogil:
    cdef uint8_t* buffer = c.buffer
    memset(c, 0, sizeof(client_t))
    c.buffer = buffer
    c.phase = CLIENT_CONNECTED
    c.local = local
    c.connected_mono_ns = mono_ns


cdef void feed_start(client_t* c, replica_t* r, uint64_t released_lsn) noexcept nogil:
    cdef uint16_t i
    cdef uint64_t start
    c.in_lsn = r.journal.last_lsn + 1
    for i in range(r.session_count):
        start = start_of_position(c, r, i)
        if start < c.in_lsn:
            c.in_lsn = start
        c.told_state[i] = 0xFF        # none: the first pump tells each session's state
    c.told_changes = r.state_changes - 1
    c.out_lsn = released_lsn + 1
    c.fate_cursor = 0
    c.fate_seq = 0
    c.fate_sweeps = r.fates.sweeps
    c.phase = CLIENT_FED


cdef bint feed_pump(client_t* c, replica_t* r, uint64_t released_lsn) noexcept nogil:
    cdef uint32_t budget = FEED_BURST_RECORDS
    if c.phase != CLIENT_FED:
        return 0
    c.waits = 1
    while c.out_lsn <= released_lsn and budget:
        if not tell_outcome(c, r, journal_at(r.journal, c.out_lsn)):
            return 0
        c.out_lsn += 1
        budget -= 1
    while c.in_lsn <= r.journal.last_lsn and budget:
        if not tell_message(c, r, journal_at(r.journal, c.in_lsn)):
            return 0
        c.in_lsn += 1
        budget -= 1
    if budget and not tell_fates(c, r, &budget):
        return 0
    if c.told_changes != r.state_changes:
        tell_sessions(c, r)
    c.waits = c.told_changes != r.state_changes
    return budget == 0


cdef bint client_write(client_t* c, frame_header_t* header, const void* body, uint32_t body_length, const void* more,
                       uint32_t more_length) noexcept nogil:
    cdef uint8_t* place
    header.length = FRAME_HEADER_BYTES + body_length + more_length
    if client_room(c) < header.length:
        return 0
    place = c.buffer + c.buffer_tail
    memcpy(place, header, FRAME_HEADER_BYTES)
    if body_length:
        memcpy(place + FRAME_HEADER_BYTES, body, body_length)
    if more_length:
        memcpy(place + FRAME_HEADER_BYTES + body_length, more, more_length)
    c.buffer_tail += header.length
    return 1


cdef uint32_t client_room(client_t* c) noexcept nogil:
    if c.buffer_head == c.buffer_tail:
        c.buffer_head = 0
        c.buffer_tail = 0
    elif c.buffer_head > CLIENT_BUFFER_BYTES // 2:      # moves each byte at most once per half buffer
        memmove(c.buffer, c.buffer + c.buffer_head, c.buffer_tail - c.buffer_head)
        c.buffer_tail -= c.buffer_head
        c.buffer_head = 0
    return CLIENT_BUFFER_BYTES - c.buffer_tail


cdef uint32_t client_tx_peek(const client_t* c, const uint8_t** data) noexcept nogil:
    data[0] = c.buffer + c.buffer_head
    return c.buffer_tail - c.buffer_head


cdef void client_tx_consume(client_t* c, uint32_t size) noexcept nogil:
    c.buffer_head += size


# --- helpers --------------------------------------------------------------------------------------------------------

cdef uint64_t start_of_position(client_t* c, replica_t* r, uint16_t session) noexcept nogil:
    """First LSN that may hold something of `session` which the client has not read."""
    cdef const session_t* s = &r.sessions[session]
    cdef const record_header_t* record
    cdef uint64_t seq = c.position_seq[session]
    if not c.position_known[session]:
        c.position_generation[session] = s.generation
        return replica_generation_start(r, session, s.generation)
    if seq == FROM_NOW:
        c.position_generation[session] = s.generation
        c.position_seq[session] = s.next_in - 1
        return r.journal.last_lsn + 1
    if c.position_generation[session] != s.generation or seq == 0:
        return replica_generation_start(r, session, c.position_generation[session])
    record = journal_find(r.journal, session, DIRECTION_IN, seq)
    if record is not NULL:
        return record.lsn + 1
    # Read from a primary that died before it replicated: the counterparty will send it again, under the same number.
    return replica_generation_start(r, session, s.generation) if seq < s.next_in else r.journal.last_lsn + 1


cdef bint belongs_to(const client_t* c, const record_header_t* record) noexcept nogil:
    return record.client == c.client or (record.client == 0 and c.unrouted)


cdef bint tell_message(client_t* c, replica_t* r, const record_header_t* record) noexcept nogil:
    cdef frame_header_t header
    cdef uint32_t generation
    if record is NULL or record.kind != RECORD_IN or record.session >= r.session_count:
        return 1
    if not belongs_to(c, record) or (record.client == 0 and not record.flags & FLAG_APPLICATION):
        return 1
    generation = replica_generation_at(r, record.session, record.lsn)
    if (generation < c.position_generation[record.session]
            or (generation == c.position_generation[record.session]
                and record.seq <= c.position_seq[record.session])):
        return 1
    memset(&header, 0, sizeof(header))
    header.type = FRAME_MESSAGE
    header.flags = MESSAGE_POSS_DUP if record.flags & FLAG_POSS_DUP else 0
    header.session = record.session
    header.seq = record.seq
    header.generation = generation
    return client_write(c, &header, record_payload(record), record_payload_length(record), NULL, 0)


cdef bint tell_outcome(client_t* c, replica_t* r, const record_header_t* record) noexcept nogil:
    cdef frame_header_t header
    cdef const uint8_t* payload
    cdef uint8_t length
    if record is NULL or record.client != c.client or record.session >= r.session_count:
        return 1
    payload = record_payload(record)
    memset(&header, 0, sizeof(header))
    header.session = record.session
    if record.kind == RECORD_OUT and record.flags & FLAG_ORDER:
        header.type = FRAME_ACCEPTED
        header.seq = record.seq
        header.generation = replica_generation_at(r, record.session, record.lsn)
        return client_write(c, &header, payload + (record.aux >> 16), record.aux & 0xFFFF, NULL, 0)
    if record.kind == RECORD_REJECTED:
        header.type = FRAME_REJECTED
        header.flags = <uint8_t>record.aux
        length = payload[0]
        return client_write(c, &header, &length, 1, payload + 2, record_payload_length(record) - 2)
    if record.kind == RECORD_CHECKPOINT:
        header.type = FRAME_CHECKPOINT_STORED
        return client_write(c, &header, payload + 2, (<const uint16_t*>payload)[0], NULL, 0)
    return 1


cdef bint tell_fates(client_t* c, replica_t* r, uint32_t* budget) noexcept nogil:
    """What resends did to its orders. False: no room."""
    cdef const fate_t* fate
    if c.fate_sweeps != r.fates.sweeps:
        c.fate_sweeps = r.fates.sweeps
        c.fate_cursor = 0
        c.fate_seq = 0
    while c.fate_cursor < r.fates.count and budget[0]:
        fate = &r.fates.entries[c.fate_cursor]
        c.fate_seq = max(c.fate_seq, fate.first)
        if c.fate_seq >= fate.next:
            if c.fate_cursor + 1 == r.fates.count:
                return 1                # this one may become longer
            c.fate_cursor += 1
            c.fate_seq = 0
            continue
        if not tell_fate(c, r, fate, c.fate_seq):
            return 0
        c.fate_seq += 1
        budget[0] -= 1
    return 1


cdef bint tell_fate(client_t* c, replica_t* r, const fate_t* fate, uint64_t seq) noexcept nogil:
    """An order that the counterparty has answered needs no word about it."""
    cdef frame_header_t header
    cdef uint64_t start = replica_generation_start(r, fate.session, fate.generation)
    cdef uint64_t end = r.journal.last_lsn
    cdef const record_header_t* record
    cdef const uint8_t* clordid
    cdef const order_t* order
    if fate.generation != r.sessions[fate.session].generation:
        end = replica_generation_start(r, fate.session, fate.generation + 1) - 1
    record = journal_find_in(r.journal, fate.session, DIRECTION_OUT, seq, start - 1, end)
    if record is NULL or not record.flags & FLAG_ORDER or record.client != c.client:
        return 1
    clordid = record_payload(record) + (record.aux >> 16)
    order = orders_by_session(&r.orders, fate.session, clordid, record.aux & 0xFFFF)
    if order is not NULL and order.last_in_seq != 0:
        return 1
    memset(&header, 0, sizeof(header))
    header.type = FRAME_FATE
    header.flags = <uint8_t>fate.kind
    header.session = fate.session
    header.seq = seq
    header.generation = fate.generation
    return client_write(c, &header, clordid, record.aux & 0xFFFF, NULL, 0)


cdef void tell_sessions(client_t* c, replica_t* r) noexcept nogil:
    """States are told as they are now, not every change: a client that was slow has no use for history."""
    cdef frame_header_t header
    cdef uint16_t i
    cdef const session_t* s
    for i in range(r.session_count):
        s = &r.sessions[i]
        if c.told_state[i] == <uint8_t>s.state:
            continue
        memset(&header, 0, sizeof(header))
        header.type = FRAME_SESSION
        header.flags = <uint8_t>s.state
        header.session = i
        header.seq = s.next_out
        header.generation = s.generation
        if not client_write(c, &header, NULL, 0, NULL, 0):
            return
        c.told_state[i] = <uint8_t>s.state
    c.told_changes = r.state_changes
