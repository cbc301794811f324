"""Replication, standby's side: from datagrams to a log that is a prefix of the primary's.

May depend on: journal, record, datagram, sender (bodies). Never does I/O, never reads a clock, never allocates after
receiver_init.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from .datagram cimport (DATAGRAM_ACK, DATAGRAM_DATA, DATAGRAM_HEADER_BYTES, DATAGRAM_HEARTBEAT, DATAGRAM_JOIN,
                        DATAGRAM_JOIN_REPLY, DATAGRAM_MAC_BYTES, Channel, channel_seal, datagram_body)
from .journal cimport (JOURNAL_OK, Journal, journal_append_raw, journal_at, journal_end_of_epoch, journal_status,
                       journal_t)
from .record cimport RECORD_HEADER_BYTES, record_header_t, record_padded_length
from .sender cimport MAX_NAK_RANGES, ack_body_t, join_reply_t, nak_range_t

cdef enum:
    MAX_FRAGMENTED_BYTES = 1 << 20     # a record that comes in pieces
    PIECE_UNIT_BYTES = 8               # pieces start at multiples of it
    MAX_BACKOFF = 16
    TAIL_NAK_RECORDS = 64              # asked for at once when only the tail is missing
    FLUSH_POLL_NS = 50000

cdef uint64_t NEVER = <uint64_t>0xFFFFFFFFFFFFFFFF


cdef struct private_t:
    uint8_t* slots                 # reorder_slots x slot_bytes
    uint64_t* slot_lsn             # 0: free
    uint32_t slot_bytes
    uint64_t highest_early         # LSN of the newest early record
    uint8_t* pieces                # of record journal.last_lsn + 1
    uint8_t* piece_units           # one per 8 bytes: 1 if it is there
    uint64_t pieces_lsn
    uint32_t pieces_total
    uint32_t units_filled
    uint64_t join_at_ns
    uint64_t ask_epoch             # JOIN names this end of our log
    uint64_t ask_lsn
    uint64_t nak_at_ns             # mono; 0: nothing is missing
    uint64_t nak_backoff
    uint64_t asked_first_lsn       # first LSN that the last NAK named
    uint64_t asked_at_ns
    bint nak_due
    uint64_t told_flushed_lsn
    uint64_t now_ns


cdef inline private_t* inside(const receiver_t* r) noexcept nogil:
    return <private_t*>r.private


cdef int receiver_init(receiver_t* r, const receiver_config_t* config, journal_t* journal,
                       channel_t* channel) noexcept nogil:
    cdef private_t* p
    memset(r, 0, sizeof(receiver_t))
    r.config = config[0]
    r.journal = journal
    r.channel = channel
    p = <private_t*>calloc(1, sizeof(private_t))
    r.private = p
    if p is NULL:
        return -1
    p.slot_bytes = config.datagram_bytes
    p.slots = <uint8_t*>malloc(<size_t>config.reorder_slots * p.slot_bytes)
    p.slot_lsn = <uint64_t*>calloc(config.reorder_slots, sizeof(uint64_t))
    p.pieces = <uint8_t*>malloc(MAX_FRAGMENTED_BYTES)
    p.piece_units = <uint8_t*>malloc(MAX_FRAGMENTED_BYTES // PIECE_UNIT_BYTES)
    return -1 if p.slots is NULL or p.slot_lsn is NULL or p.pieces is NULL or p.piece_units is NULL else 0


cdef void receiver_free(receiver_t* r) noexcept nogil:
    cdef private_t* p = inside(r)
    if p is not NULL:
        free(p.slots)
        free(p.slot_lsn)
        free(p.pieces)
        free(p.piece_units)
        free(p)
    r.private = NULL


cdef void receiver_follow(receiver_t* r, uint8_t primary, uint32_t epoch, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(r)
    receiver_stop(r)
    r.state = RECEIVER_JOINING
    r.primary = primary
    r.epoch = epoch
    p.now_ns = now.mono_ns
    p.join_at_ns = now.mono_ns
    p.ask_lsn = r.journal.last_lsn
    p.ask_epoch = r.journal.last_epoch


cdef void receiver_stop(receiver_t* r) noexcept nogil:
    cdef private_t* p = inside(r)
    r.state = RECEIVER_IDLE
    r.ack_due = 0
    r.truncate_lsn = 0
    r.primary_last_lsn = 0
    forget_early(r)
    p.nak_at_ns = 0
    p.nak_due = 0


cdef void receiver_on_datagram(receiver_t* r, const datagram_header_t* header, const instant_t* now,
                               on_appended_t on_appended, void* context) noexcept nogil:
    cdef private_t* p = inside(r)
    if r.state == RECEIVER_IDLE or header.from_node != r.primary or header.epoch != r.epoch:
        return
    p.now_ns = now.mono_ns
    if header.kind == DATAGRAM_JOIN_REPLY:
        if r.state == RECEIVER_JOINING:
            take_reply(r, header)
        return
    if r.state != RECEIVER_FOLLOWING or (header.kind != DATAGRAM_DATA and header.kind != DATAGRAM_HEARTBEAT):
        return
    if header.last_lsn > r.primary_last_lsn:
        r.primary_last_lsn = header.last_lsn
    if header.kind == DATAGRAM_DATA:
        if header.count:
            take_records(r, header, on_appended, context)
        else:
            take_piece(r, header, on_appended, context)
        r.ack_due = 1
    watch_gap(r)


cdef void receiver_truncated(receiver_t* r, const instant_t* now) noexcept nogil:
    if r.state == RECEIVER_DIVERGED:
        start_following(r, now.mono_ns)


cdef size_t receiver_poll(receiver_t* r, const instant_t* now, uint8_t* buffer) noexcept nogil:
    cdef private_t* p = inside(r)
    if r.state == RECEIVER_JOINING:
        if now.mono_ns < p.join_at_ns:
            return 0
        p.join_at_ns = now.mono_ns + r.config.join_retry_ns
        return build_join(r, now, buffer)
    if r.state != RECEIVER_FOLLOWING:
        return 0
    p.now_ns = now.mono_ns
    if p.nak_at_ns and now.mono_ns >= p.nak_at_ns:
        p.nak_due = 1
    if not r.ack_due and not p.nak_due and not (r.config.flush_acks and r.journal.flushed_lsn > p.told_flushed_lsn):
        return 0
    return build_ack(r, now, buffer)


cdef uint64_t receiver_deadline(const receiver_t* r) noexcept nogil:
    cdef const private_t* p = inside(r)
    cdef uint64_t due = NEVER
    if r.state == RECEIVER_JOINING:
        return p.join_at_ns
    if r.state == RECEIVER_FOLLOWING:
        if p.nak_at_ns:
            due = p.nak_at_ns
        if r.config.flush_acks and p.told_flushed_lsn < r.journal.last_lsn:
            due = min(due, p.now_ns + FLUSH_POLL_NS)
    return due


# --- joining --------------------------------------------------------------------------------------------------------

cdef void take_reply(receiver_t* r, const datagram_header_t* header) noexcept nogil:
    cdef private_t* p = inside(r)
    cdef join_reply_t reply
    cdef const record_header_t* record
    if header.body_bytes != sizeof(join_reply_t):
        return
    memcpy(&reply, datagram_body(header), sizeof(reply))
    if reply.agreed:
        if reply.common_lsn > p.ask_lsn:
            return                            # an answer to something else
        record = journal_at(r.journal, reply.common_lsn)
        if reply.common_lsn and (record is NULL or record.epoch != reply.common_epoch):
            return
        if reply.common_lsn < r.journal.last_lsn:
            r.state = RECEIVER_DIVERGED
            r.truncate_lsn = reply.common_lsn
        else:
            start_following(r, p.now_ns)
        return
    # No record of our last epoch over there: go back to the end of an epoch that both may have.
    p.ask_lsn = journal_end_of_epoch(r.journal, reply.common_epoch)
    record = journal_at(r.journal, p.ask_lsn)
    p.ask_epoch = record.epoch if record is not NULL else 0
    p.join_at_ns = p.now_ns


cdef void start_following(receiver_t* r, uint64_t now_ns) noexcept nogil:
    cdef private_t* p = inside(r)
    r.state = RECEIVER_FOLLOWING
    r.ack_due = 1
    p.nak_at_ns = 0
    p.told_flushed_lsn = 0
    forget_early(r)


cdef size_t build_join(receiver_t* r, const instant_t* now, uint8_t* buffer) noexcept nogil:
    cdef datagram_header_t* header = start_header(r, buffer, DATAGRAM_JOIN)
    header.last_lsn = inside(r).ask_lsn
    header.last_epoch = <uint32_t>inside(r).ask_epoch
    return channel_seal(r.channel, buffer, r.primary, 0, now.wall_ns)


# --- records --------------------------------------------------------------------------------------------------------

cdef void take_records(receiver_t* r, const datagram_header_t* header, on_appended_t on_appended,
                       void* context) noexcept nogil:
    cdef const uint8_t* body = datagram_body(header)
    cdef uint32_t left = header.body_bytes
    cdef uint64_t lsn = header.first_lsn
    cdef const record_header_t* record
    cdef uint32_t length
    cdef uint16_t _i
    for _i in range(header.count):
        record = <const record_header_t*>body
        if (left < RECORD_HEADER_BYTES or record.length < RECORD_HEADER_BYTES or record.length > left
                or record.lsn != lsn):
            r.bad_records += 1
            return
        length = min(record_padded_length(record.length), left)
        take_record(r, record, on_appended, context)
        body += length
        left -= length
        lsn += 1


cdef void take_record(receiver_t* r, const record_header_t* record, on_appended_t on_appended,
                      void* context) noexcept nogil:
    cdef private_t* p = inside(r)
    cdef uint64_t expected = r.journal.last_lsn + 1
    cdef uint32_t slot
    if record.lsn < expected:
        r.duplicates += 1
    elif record.lsn == expected:
        if append(r, record, on_appended, context):
            drain_early(r, on_appended, context)
    elif record.lsn - expected < r.config.reorder_slots and record.length <= p.slot_bytes:
        slot = <uint32_t>(record.lsn & (r.config.reorder_slots - 1))
        if p.slot_lsn[slot] == record.lsn:
            r.duplicates += 1
            return
        p.slot_lsn[slot] = record.lsn
        memcpy(p.slots + <size_t>slot * p.slot_bytes, record, record.length)
        if record.lsn > p.highest_early:
            p.highest_early = record.lsn


cdef bint append(receiver_t* r, const record_header_t* record, on_appended_t on_appended, void* context) noexcept nogil:
    cdef journal_status status = journal_append_raw(r.journal, record)
    if status != JOURNAL_OK:
        r.bad_records += 1            # damaged, or no space now: it is not acknowledged, and asked for again
        return 0
    inside(r).nak_at_ns = 0
    inside(r).nak_backoff = 0
    on_appended(context, journal_at(r.journal, record.lsn))
    return 1


cdef void drain_early(receiver_t* r, on_appended_t on_appended, void* context) noexcept nogil:
    cdef private_t* p = inside(r)
    cdef uint32_t slot
    cdef uint64_t lsn
    while p.highest_early > r.journal.last_lsn:
        lsn = r.journal.last_lsn + 1
        slot = <uint32_t>(lsn & (r.config.reorder_slots - 1))
        if p.slot_lsn[slot] != lsn:
            return
        p.slot_lsn[slot] = 0
        if not append(r, <const record_header_t*>(p.slots + <size_t>slot * p.slot_bytes), on_appended, context):
            return


cdef void take_piece(receiver_t* r, const datagram_header_t* header, on_appended_t on_appended,
                     void* context) noexcept nogil:
    """Pieces are put together for the record that comes next; those of others are asked for when it is their turn."""
    cdef private_t* p = inside(r)
    cdef const record_header_t* record
    if header.first_lsn <= r.journal.last_lsn:
        r.duplicates += 1
        return
    if header.first_lsn != r.journal.last_lsn + 1:
        return
    if (header.fragment_total > MAX_FRAGMENTED_BYTES or header.fragment_total < RECORD_HEADER_BYTES
            or header.fragment_offset % PIECE_UNIT_BYTES or header.body_bytes == 0
            or header.fragment_offset + <uint64_t>header.body_bytes > header.fragment_total):
        r.bad_records += 1
        return
    if p.pieces_lsn != header.first_lsn or p.pieces_total != header.fragment_total:
        p.pieces_lsn = header.first_lsn
        p.pieces_total = header.fragment_total
        p.units_filled = 0
        memset(p.piece_units, 0, units_of(header.fragment_total))
    memcpy(p.pieces + header.fragment_offset, datagram_body(header), header.body_bytes)
    mark_units(p, header.fragment_offset, header.body_bytes)
    p.nak_at_ns = 0                   # it is on its way
    p.nak_backoff = 0
    if p.units_filled < units_of(p.pieces_total):
        return
    p.pieces_lsn = 0
    record = <const record_header_t*>p.pieces
    if record.length != header.fragment_total or record.lsn != header.first_lsn:
        r.bad_records += 1
    elif append(r, record, on_appended, context):
        drain_early(r, on_appended, context)


cdef inline uint32_t units_of(uint32_t length) noexcept nogil:
    return (length + PIECE_UNIT_BYTES - 1) // PIECE_UNIT_BYTES


cdef void mark_units(private_t* p, uint32_t offset, uint32_t length) noexcept nogil:
    cdef uint32_t unit
    for unit in range(offset // PIECE_UNIT_BYTES, units_of(offset + length)):
        p.units_filled += not p.piece_units[unit]
        p.piece_units[unit] = 1


cdef void forget_early(receiver_t* r) noexcept nogil:
    cdef private_t* p = inside(r)
    memset(p.slot_lsn, 0, r.config.reorder_slots * sizeof(uint64_t))
    p.highest_early = 0
    p.asked_first_lsn = 0
    p.pieces_lsn = 0


# --- gaps and acks --------------------------------------------------------------------------------------------------

cdef void watch_gap(receiver_t* r) noexcept nogil:
    """A hole before an early record is asked for at once. Records that only the primary's last LSN tells of may be on
    their way: they are asked for when nothing has come for a while."""
    cdef private_t* p = inside(r)
    cdef bint hole = p.highest_early > r.journal.last_lsn
    if not hole and r.primary_last_lsn <= r.journal.last_lsn:
        p.nak_at_ns = 0
        p.nak_backoff = 0
        p.asked_first_lsn = 0
    elif hole and r.journal.last_lsn >= p.asked_first_lsn:
        # Another hole than the last one that was asked for. Not for every record of a burst that fills holes.
        r.gaps += p.asked_first_lsn == 0
        p.nak_backoff = 0
        p.nak_at_ns = max(p.now_ns, p.asked_at_ns + r.config.nak_after_ns // 4)
    elif p.nak_at_ns == 0:
        schedule_nak(r)


cdef void schedule_nak(receiver_t* r) noexcept nogil:
    cdef private_t* p = inside(r)
    p.nak_backoff = 1 if p.nak_backoff == 0 else min(p.nak_backoff * 2, MAX_BACKOFF)
    p.nak_at_ns = p.now_ns + r.config.nak_after_ns * p.nak_backoff


cdef size_t build_ack(receiver_t* r, const instant_t* now, uint8_t* buffer) noexcept nogil:
    cdef private_t* p = inside(r)
    cdef datagram_header_t* header = start_header(r, buffer, DATAGRAM_ACK)
    cdef ack_body_t ack
    cdef nak_range_t* ranges = <nak_range_t*>(buffer + DATAGRAM_HEADER_BYTES + sizeof(ack_body_t))
    header.last_lsn = r.journal.last_lsn
    header.last_epoch = r.journal.last_epoch
    ack.received_lsn = r.journal.last_lsn
    ack.flushed_lsn = r.journal.flushed_lsn
    ack.epoch = r.epoch
    ack.nak_count = 0
    p.now_ns = now.mono_ns
    if p.nak_due:
        p.nak_due = 0
        ack.nak_count = list_missing(r, ranges)
        if ack.nak_count:
            r.naks_sent += 1
            p.asked_first_lsn = r.journal.last_lsn + 1
            p.asked_at_ns = now.mono_ns
            schedule_nak(r)
        else:
            p.nak_at_ns = 0
    memcpy(buffer + DATAGRAM_HEADER_BYTES, &ack, sizeof(ack))
    p.told_flushed_lsn = ack.flushed_lsn
    r.ack_due = 0
    return channel_seal(r.channel, buffer, r.primary, sizeof(ack_body_t) + ack.nak_count * sizeof(nak_range_t),
                        now.wall_ns)


cdef uint32_t list_missing(receiver_t* r, nak_range_t* ranges) noexcept nogil:
    cdef private_t* p = inside(r)
    cdef uint64_t lsn = r.journal.last_lsn + 1
    cdef uint32_t room = <uint32_t>((r.config.datagram_bytes - DATAGRAM_HEADER_BYTES - DATAGRAM_MAC_BYTES
                                     - sizeof(ack_body_t)) // sizeof(nak_range_t))
    cdef uint32_t count = 0
    cdef bint missing
    cdef bint was_missing = 0
    if p.highest_early < lsn:
        if r.primary_last_lsn < lsn:
            return 0
        ranges[0].first_lsn = lsn
        ranges[0].last_lsn = min(r.primary_last_lsn, lsn + TAIL_NAK_RECORDS - 1)
        return 1
    while lsn < p.highest_early:
        missing = p.slot_lsn[lsn & (r.config.reorder_slots - 1)] != lsn
        if missing and not was_missing:
            if count == MAX_NAK_RANGES or count == room:
                break
            ranges[count].first_lsn = lsn
            count += 1
        if missing:
            ranges[count - 1].last_lsn = lsn
        was_missing = missing
        lsn += 1
    return count


cdef datagram_header_t* start_header(receiver_t* r, uint8_t* buffer, uint8_t kind) noexcept nogil:
    cdef datagram_header_t* header = <datagram_header_t*>buffer
    memset(header, 0, DATAGRAM_HEADER_BYTES)
    header.kind = kind
    header.epoch = r.epoch
    return header


# --- Python face ----------------------------------------------------------------------------------------------------

STATE_NAMES = ("IDLE", "JOINING", "DIVERGED", "FOLLOWING")


cdef void face_appended(void* context, const record_header_t* record) noexcept nogil:
    pass


cdef class Receiver:
    """Standby's side over a Journal and a Channel. Times in ns. Raises MemoryError, ValueError."""

    def __cinit__(self, Journal journal not None, Channel channel not None, *, uint32_t datagram_bytes=1400,
                  uint64_t nak_after_ns=1_000_000, uint64_t join_retry_ns=20_000_000, uint32_t reorder_slots=1024,
                  bint flush_acks=False):
        cdef receiver_config_t config
        if reorder_slots == 0 or reorder_slots & (reorder_slots - 1):
            raise ValueError(f"reorder_slots: a power of two, found {reorder_slots}")
        config.datagram_bytes = datagram_bytes
        config.nak_after_ns = nak_after_ns
        config.join_retry_ns = join_retry_ns
        config.reorder_slots = reorder_slots
        config.flush_acks = flush_acks
        self.journal = journal
        self.channel = channel
        if receiver_init(&self.receiver, &config, journal.handle, &channel.channel) != 0:
            raise MemoryError("receiver")

    def __dealloc__(self):
        receiver_free(&self.receiver)

    def follow(self, uint8_t primary, uint32_t epoch, uint64_t mono_ns) -> None:
        """Joins the primary of `epoch`."""
        cdef instant_t now = instant_t(mono_ns, 0)
        receiver_follow(&self.receiver, primary, epoch, &now)

    def stop(self) -> None:
        """Acknowledges nothing any more."""
        receiver_stop(&self.receiver)

    def receive(self, bytes datagram not None, uint64_t mono_ns) -> None:
        """A datagram that the channel has opened. Sets aside and truncates by itself when the logs diverge."""
        cdef instant_t now = instant_t(mono_ns, 0)
        receiver_on_datagram(&self.receiver, <const datagram_header_t*><const char*>datagram, &now, face_appended, NULL)
        if self.receiver.state == RECEIVER_DIVERGED:
            self.journal.truncate(self.receiver.truncate_lsn)
            receiver_truncated(&self.receiver, &now)

    def poll(self, uint64_t mono_ns):
        """The next datagram due, or None."""
        cdef instant_t now = instant_t(mono_ns, 0)
        cdef bytearray buffer = bytearray(self.receiver.config.datagram_bytes)
        cdef size_t size = receiver_poll(&self.receiver, &now, buffer)
        return bytes(buffer[:size]) if size else None

    @property
    def deadline(self):
        """mono_ns of the next JOIN or NAK, None: none."""
        due = receiver_deadline(&self.receiver)
        return None if due == NEVER else due

    @property
    def state(self) -> str:
        """Name of the receiver_state."""
        return STATE_NAMES[self.receiver.state]

    @property
    def counters(self) -> dict:
        """gaps, naks_sent, duplicates, bad_records."""
        return {"gaps": self.receiver.gaps, "naks_sent": self.receiver.naks_sent,
                "duplicates": self.receiver.duplicates, "bad_records": self.receiver.bad_records}
