"""Replication, primary's side: which datagram goes out next, and what the standby holds.

May depend on: journal, record, datagram. Never does I/O, never reads a clock, never allocates.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .datagram cimport (DATAGRAM_ACK, DATAGRAM_DATA, DATAGRAM_HEADER_BYTES, DATAGRAM_JOIN, DATAGRAM_JOIN_REPLY,
                        DATAGRAM_MAC_BYTES, Channel, channel_seal, datagram_body)
from .journal cimport Journal, journal_at, journal_end_of_epoch
from .record cimport record_header_t, record_padded_length

cdef enum:
    MAX_BACKOFF = 16

cdef uint64_t NEVER = <uint64_t>0xFFFFFFFFFFFFFFFF


cdef void sender_init(sender_t* s, const sender_config_t* config, journal_t* journal,
                      channel_t* channel) noexcept nogil:
    memset(s, 0, sizeof(sender_t))
    s.config = config[0]
    s.journal = journal
    s.channel = channel


cdef void sender_start(sender_t* s, uint32_t epoch) noexcept nogil:
    memset(s.views, 0, sizeof(s.views))
    s.epoch = epoch


cdef void sender_stop(sender_t* s) noexcept nogil:
    memset(s.views, 0, sizeof(s.views))
    s.epoch = 0


cdef void sender_on_datagram(sender_t* s, const datagram_header_t* header, const instant_t* now) noexcept nogil:
    cdef receiver_view_t* view
    if s.epoch == 0 or header.epoch != s.epoch or not s.config.receivers & (1 << header.from_node):
        return
    view = &s.views[header.from_node]
    view.last_heard_mono_ns = now.mono_ns
    if header.kind == DATAGRAM_JOIN:
        take_join(s, view, header)
    elif header.kind == DATAGRAM_ACK and view.joined:
        take_ack(s, view, header, now)
    if header.from_incarnation != view.heard_incarnation:
        view.heard_incarnation = header.from_incarnation
        view.heard_counter = 0
    view.heard_counter = max(view.heard_counter, header.counter)


cdef size_t sender_poll(sender_t* s, const instant_t* now, uint8_t* buffer, uint8_t* to_node) noexcept nogil:
    cdef uint8_t node
    cdef size_t size
    if s.epoch == 0:
        return 0
    for node in range(MAX_NODES):
        if not s.config.receivers & (1 << node):
            continue
        to_node[0] = node
        size = poll_receiver(s, &s.views[node], node, now, buffer)
        if size:
            s.datagrams_sent += 1
            return size
    return 0


cdef uint64_t sender_deadline(const sender_t* s) noexcept nogil:
    cdef uint64_t due = NEVER
    cdef int node
    if s.epoch == 0:
        return NEVER
    for node in range(MAX_NODES):
        if s.config.receivers & (1 << node) and s.views[node].retransmit_at_ns:
            due = min(due, s.views[node].retransmit_at_ns)
    return due


# --- what a receiver says -------------------------------------------------------------------------------------------

cdef void take_join(sender_t* s, receiver_view_t* view, const datagram_header_t* header) noexcept nogil:
    """Log matching by (epoch, LSN): one node writes an epoch, so equal epoch and LSN mean equal logs up to there."""
    # A journal that ends before its latest epoch does is what a further receiver may have of it (feeder.pyx).
    cdef uint64_t own_end = min(journal_end_of_epoch(s.journal, header.last_epoch), s.journal.last_lsn)
    cdef const record_header_t* record = journal_at(s.journal, own_end)
    cdef uint32_t own_epoch = record.epoch if record is not NULL else 0
    if header.from_incarnation == view.heard_incarnation and header.counter < view.heard_counter:
        return         # delayed on the way: its sender has gone on, and would not ask again
    view.reply_due = 1
    view.joined = 0
    view.reply.agreed = header.last_lsn == 0 or own_end == 0 or own_epoch == header.last_epoch
    view.reply.common_epoch = own_epoch
    view.reply.common_lsn = min(header.last_lsn, own_end)
    if not view.reply.agreed:
        return
    view.joined = 1
    view.received_lsn = view.reply.common_lsn
    view.flushed_lsn = 0
    view.next_lsn = view.reply.common_lsn + 1
    view.in_flight_bytes = 0
    view.fragment_offset = 0
    view.nak_count = 0
    view.retransmit_at_ns = 0


cdef void take_ack(sender_t* s, receiver_view_t* view, const datagram_header_t* header,
                   const instant_t* now) noexcept nogil:
    cdef ack_body_t ack
    cdef const uint8_t* body = datagram_body(header)
    if header.body_bytes < sizeof(ack_body_t):
        return
    memcpy(&ack, body, sizeof(ack))
    if (ack.epoch != s.epoch or ack.received_lsn > s.journal.last_lsn or ack.nak_count > MAX_NAK_RANGES
            or header.body_bytes != sizeof(ack_body_t) + ack.nak_count * sizeof(nak_range_t)):
        return
    if ack.received_lsn > view.received_lsn:
        settle_in_flight(view, ack.received_lsn)
        view.received_lsn = ack.received_lsn
        view.retransmit_after_ns = s.config.retransmit_after_ns
        view.retransmit_at_ns = (now.mono_ns + view.retransmit_after_ns
                                 if view.received_lsn + 1 < view.next_lsn else 0)
    if view.flushed_lsn < ack.flushed_lsn <= ack.received_lsn:
        view.flushed_lsn = ack.flushed_lsn
    if ack.nak_count:
        take_naks(view, <const nak_range_t*>(body + sizeof(ack_body_t)), ack.nak_count)


cdef void settle_in_flight(receiver_view_t* view, uint64_t received_lsn) noexcept nogil:
    """By number, not record by record: those that a receiver far behind acknowledges are in no cache any more."""
    cdef uint64_t before = view.next_lsn - 1 - view.received_lsn
    if received_lsn >= view.next_lsn:     # it had more than we knew of
        view.next_lsn = received_lsn + 1
        view.fragment_offset = 0
        view.in_flight_bytes = 0
    elif received_lsn + 1 == view.next_lsn:
        view.in_flight_bytes = view.fragment_offset
    else:
        view.in_flight_bytes = view.in_flight_bytes * (view.next_lsn - 1 - received_lsn) // before


cdef void take_naks(receiver_view_t* view, const nak_range_t* ranges, uint32_t count) noexcept nogil:
    """The latest list replaces the one before: it says all that is missing now."""
    cdef uint32_t i
    cdef nak_range_t wanted
    view.nak_count = 0
    view.nak_fragment_offset = 0
    for i in range(count):
        wanted.first_lsn = max(ranges[i].first_lsn, view.received_lsn + 1)
        wanted.last_lsn = min(ranges[i].last_lsn, view.next_lsn if view.fragment_offset else view.next_lsn - 1)
        if wanted.first_lsn <= wanted.last_lsn:
            view.naks[view.nak_count] = wanted
            view.nak_count += 1


# --- what goes out --------------------------------------------------------------------------------------------------

cdef size_t poll_receiver(sender_t* s, receiver_view_t* view, uint8_t node, const instant_t* now,
                          uint8_t* buffer) noexcept nogil:
    if view.reply_due:
        return build_reply(s, view, node, now, buffer)
    if not view.joined:
        return 0
    if view.next_lsn <= s.journal.last_lsn and view.in_flight_bytes < s.config.catch_up_window_bytes:
        return build_next(s, view, node, now, buffer)
    if view.nak_count:
        return build_retransmission(s, view, node, now, buffer)
    if view.retransmit_at_ns and now.mono_ns >= view.retransmit_at_ns:
        # The tail was lost, or its ack: what the receiver says it misses is not known, so begin where it stopped.
        view.retransmit_after_ns = min(view.retransmit_after_ns * 2, s.config.retransmit_after_ns * MAX_BACKOFF)
        view.retransmit_at_ns = now.mono_ns + view.retransmit_after_ns
        view.naks[0].first_lsn = view.received_lsn + 1
        view.naks[0].last_lsn = view.received_lsn + 1
        view.nak_count = 1
        view.nak_fragment_offset = 0
        return build_retransmission(s, view, node, now, buffer)
    return 0


cdef size_t build_reply(sender_t* s, receiver_view_t* view, uint8_t node, const instant_t* now,
                        uint8_t* buffer) noexcept nogil:
    start_header(s, buffer, DATAGRAM_JOIN_REPLY)
    memcpy(buffer + DATAGRAM_HEADER_BYTES, &view.reply, sizeof(join_reply_t))
    view.reply_due = 0
    return channel_seal(s.channel, buffer, node, sizeof(join_reply_t), now.wall_ns)


cdef size_t build_next(sender_t* s, receiver_view_t* view, uint8_t node, const instant_t* now,
                       uint8_t* buffer) noexcept nogil:
    """Records that were not sent yet, from the cursor on."""
    cdef uint64_t first = view.next_lsn
    cdef uint32_t body = build_data(s, buffer, &view.next_lsn, s.journal.last_lsn, &view.fragment_offset)
    view.in_flight_bytes += body
    s.records_sent += view.next_lsn - first
    if view.retransmit_at_ns == 0:
        view.retransmit_after_ns = s.config.retransmit_after_ns
        view.retransmit_at_ns = now.mono_ns + view.retransmit_after_ns
    return channel_seal(s.channel, buffer, node, body, now.wall_ns)


cdef size_t build_retransmission(sender_t* s, receiver_view_t* view, uint8_t node, const instant_t* now,
                                 uint8_t* buffer) noexcept nogil:
    cdef nak_range_t* wanted = &view.naks[view.nak_count - 1]
    cdef uint64_t first = wanted.first_lsn
    cdef uint32_t body = build_data(s, buffer, &wanted.first_lsn, wanted.last_lsn, &view.nak_fragment_offset)
    s.retransmitted += wanted.first_lsn - first
    if wanted.first_lsn > wanted.last_lsn:
        view.nak_count -= 1
        view.nak_fragment_offset = 0
    return channel_seal(s.channel, buffer, node, body, now.wall_ns)


cdef uint32_t build_data(sender_t* s, uint8_t* buffer, uint64_t* cursor, uint64_t last_lsn,
                         uint32_t* fragment_offset) noexcept nogil:
    """Fills a DATA datagram with whole records from cursor[0] to last_lsn, or with the next piece of one that is too
    large; moves the cursor on. Returns the bytes of its body."""
    cdef datagram_header_t* header = start_header(s, buffer, DATAGRAM_DATA)
    cdef uint8_t* body = buffer + DATAGRAM_HEADER_BYTES
    cdef uint32_t room = s.config.datagram_bytes - DATAGRAM_HEADER_BYTES - DATAGRAM_MAC_BYTES
    cdef uint32_t used = 0
    cdef uint32_t length
    cdef const record_header_t* record
    header.first_lsn = cursor[0]
    while cursor[0] <= last_lsn:
        record = journal_at(s.journal, cursor[0])
        length = record_padded_length(record.length)
        if used + length > room:
            break
        memcpy(body + used, record, length)
        used += length
        header.count += 1
        cursor[0] += 1
    if used:
        return used
    record = journal_at(s.journal, cursor[0])
    room &= ~<uint32_t>7
    length = min(room, record.length - fragment_offset[0])
    memcpy(body, <const uint8_t*>record + fragment_offset[0], length)
    header.fragment_offset = fragment_offset[0]
    header.fragment_total = record.length
    fragment_offset[0] += length
    if fragment_offset[0] == record.length:
        fragment_offset[0] = 0
        cursor[0] += 1
    return length


cdef datagram_header_t* start_header(sender_t* s, uint8_t* buffer, uint8_t kind) noexcept nogil:
    cdef datagram_header_t* header = <datagram_header_t*>buffer
    memset(header, 0, DATAGRAM_HEADER_BYTES)
    header.kind = kind
    header.epoch = s.epoch
    header.last_lsn = s.journal.last_lsn
    header.last_epoch = s.journal.last_epoch
    return header


# --- Python face ----------------------------------------------------------------------------------------------------

cdef class Sender:
    """Primary's side over a Journal and a Channel. Times in ns."""

    def __cinit__(self, Journal journal not None, Channel channel not None, *, uint32_t datagram_bytes=1400,
                  uint32_t catch_up_window_bytes=262144, uint64_t retransmit_after_ns=2_000_000, uint8_t receivers=2):
        cdef sender_config_t config
        config.datagram_bytes = datagram_bytes
        config.catch_up_window_bytes = catch_up_window_bytes
        config.retransmit_after_ns = retransmit_after_ns
        config.receivers = receivers
        self.journal = journal
        self.channel = channel
        sender_init(&self.sender, &config, journal.handle, &channel.channel)

    def start(self, uint32_t epoch) -> None:
        """This node is primary of `epoch`."""
        sender_start(&self.sender, epoch)

    def stop(self) -> None:
        """Not primary any more."""
        sender_stop(&self.sender)

    def receive(self, bytes datagram not None, uint64_t mono_ns) -> None:
        """A datagram that the channel has opened."""
        cdef instant_t now = instant_t(mono_ns, 0)
        sender_on_datagram(&self.sender, <const datagram_header_t*><const char*>datagram, &now)

    def poll(self, uint64_t mono_ns):
        """The next datagram due as (node index, bytes), or None."""
        cdef instant_t now = instant_t(mono_ns, 0)
        cdef bytearray buffer = bytearray(self.sender.config.datagram_bytes)
        cdef uint8_t node = 0
        cdef size_t size = sender_poll(&self.sender, &now, buffer, &node)
        return (node, bytes(buffer[:size])) if size else None

    @property
    def deadline(self):
        """mono_ns of the next retransmission, None: none."""
        due = sender_deadline(&self.sender)
        return None if due == NEVER else due

    def view(self, uint8_t node) -> dict:
        """What is known of a receiver."""
        cdef receiver_view_t* view = &self.sender.views[node]
        return {"joined": bool(view.joined), "received_lsn": view.received_lsn, "flushed_lsn": view.flushed_lsn,
                "next_lsn": view.next_lsn, "in_flight_bytes": view.in_flight_bytes}

    @property
    def retransmitted(self) -> int:
        """Records sent again."""
        return self.sender.retransmitted
