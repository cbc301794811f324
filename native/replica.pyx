"""Everything that is derived from the log, kept by one function for both nodes.

May depend on: journal, session, orders, risk, parser. Never does I/O, never reads a clock, never allocates after
replica_init.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memmove, memset

from .bridge cimport (bridge_apply, bridge_forget, bridge_free, bridge_passed)
from .clientwire cimport (FATE_GAP_FILLED, REJECT_CANCELED)
from .crc32c cimport crc32c
from .doubt cimport (asks_for_status, doubt_body, doubt_msg_type, doubts_add, doubts_free, doubts_full, doubts_init,
                     refuses_question, says_unknown_order)
from .fates cimport fates_add, fates_forget, fates_free, fates_init
from .journal cimport DIRECTION_OUT, journal_at, journal_find_in, journal_index_again, journal_t
from .orders cimport (ORDER_IN_DOUBT, ORDER_NOT_THERE, ORDER_OTHER, ORDER_SENT, ORDER_UNKNOWN, order_in_doubt, order_t,
                      orders_by_client, orders_by_session, orders_forget, orders_free, orders_init, orders_insert,
                      orders_original, orders_route, orders_update)
from .parser cimport (PARSE_GARBLED, PARSE_OK, field_decimal_e8, field_t, find_field, message_t, parse_fields,
                      parse_message)
from .record cimport (FLAG_APPLICATION, FLAG_ORDER, FLAG_PASSED_ON, FLAG_RESET, RECORD_CHECKPOINT, RECORD_DOUBT,
                      RECORD_EPOCH, RECORD_IN, RECORD_OUT, RECORD_REJECTED, RECORD_STATE, STATE_DOUBTS, STATE_KILL,
                      STATE_LIMITS, STATE_RESEND, STATE_SET_SEQ, record_header_t, record_payload, record_payload_length)
from .risk cimport MAX_CLIENTS, risk_forget, risk_init, risk_on_open_change, risk_on_order, risk_on_state
from .roster cimport ROSTER_FITS, roster_compare
from .session cimport session_apply, session_forget, session_free

cdef enum:
    TAG_CLORDID = 11
    TAG_ORDER_QTY = 38
    TAG_ORIGCLORDID = 41
    TAG_BUSINESSREJECTREFID = 379
    INCARNATION_BYTES = 8           # of the primary, in front of the roster in an EPOCH record
    MSGTYPE_CANCEL = 0x46           # 'F' OrderCancelRequest
    MSGTYPE_REPLACE = 0x47          # 'G' OrderCancelReplaceRequest
    MSGTYPE_NEW_ORDER = 0x44        # 'D' NewOrderSingle
    MSGTYPE_NEW_MULTILEG = 0x4241   # 'AB'
    MSGTYPE_NEW_CROSS = 0x73        # 's'
    MSGTYPE_REJECT = 0x33           # '3'


cdef int replica_init(replica_t* r, journal_t* journal, uint64_t order_capacity) noexcept nogil:
    memset(r, 0, sizeof(replica_t))
    r.journal = journal
    risk_init(&r.risk)
    r.resets = <reset_t*>calloc(MAX_RESETS, sizeof(reset_t))
    if (r.resets is NULL or doubts_init(&r.doubts) != 0 or fates_init(&r.fates) != 0
            or orders_init(&r.orders, journal, order_capacity) != 0):
        return -1
    return 0


cdef void replica_free(replica_t* r) noexcept nogil:
    cdef uint32_t i
    for i in range(r.session_count):
        session_free(&r.sessions[i])
        bridge_free(&r.bridges[i])
    r.session_count = 0
    orders_free(&r.orders)
    doubts_free(&r.doubts)
    fates_free(&r.fates)
    free(r.resets)
    r.resets = NULL


cdef void replica_apply(replica_t* r, const record_header_t* record, bint session_applied) noexcept nogil:
    r.applied_lsn = record.lsn
    if record.session >= r.session_count or record.client >= MAX_CLIENTS:
        r.orphan_records += 1
        return
    if not session_applied:
        session_apply(&r.sessions[record.session], record)
    if record.kind == RECORD_OUT:
        r.numbering[record.session].next_out = record.seq + 1
    if r.bridges[record.session].client != 0 and (record.kind == RECORD_OUT or record.kind == RECORD_IN):
        apply_to_bridge(r, record)
    elif record.kind == RECORD_OUT:
        if record.flags & FLAG_ORDER:
            apply_order(r, record)
        elif r.doubts.count != 0 and record.client == 0 and record.flags & FLAG_APPLICATION:
            apply_question(r, record)
    elif record.kind == RECORD_IN:
        if record.client != 0 or r.doubts.count != 0:
            apply_answer(r, record)
        if record.client == 0 and record.flags & FLAG_APPLICATION:
            remember_unrouted(r, record)
    elif record.kind == RECORD_REJECTED:
        leave_doubt(r, record, <const uint8_t*>record_payload(record) + 2, (<const uint16_t*>record_payload(record))[0])
        orders_insert(&r.orders, record, r.numbering[record.session].generation, 0)
    elif record.kind == RECORD_DOUBT:
        apply_doubt(r, record)
    elif record.kind == RECORD_STATE:
        apply_state(r, record)
    elif record.kind == RECORD_CHECKPOINT:
        apply_checkpoint(r, record)
    elif record.kind == RECORD_EPOCH:
        doubt_again(r)
        roster_compare(&r.roster, record_payload(record) + INCARNATION_BYTES,
                       record_payload_length(record) - min(record_payload_length(record), <uint32_t>INCARNATION_BYTES))


cdef void replica_receive(replica_t* r, const record_header_t* record) noexcept nogil:
    if record.kind == RECORD_OUT or record.kind == RECORD_IN:
        if record.session < r.session_count and record.client < MAX_CLIENTS:
            session_apply(&r.sessions[record.session], record)
        return
    catch_up_to(r, record.lsn - 1)
    replica_apply(r, record, 0)          # a roster that does not fit must show now


cdef void replica_rebuild(replica_t* r) noexcept nogil:
    cdef uint32_t i
    cdef uint64_t lsn
    cdef const record_header_t* record
    for i in range(r.session_count):
        session_forget(&r.sessions[i])
        bridge_forget(&r.bridges[i])
    orders_forget(&r.orders)
    risk_forget(&r.risk)
    memset(r.checkpoints, 0, sizeof(r.checkpoints))
    r.checkpoint_count = 0
    r.reset_count = 0
    r.doubts.count = 0
    r.doubts.not_there = 0
    fates_forget(&r.fates)
    r.unrouted_count = 0
    r.roster.fit = ROSTER_FITS
    memset(r.roster.early, 0, sizeof(r.roster.early))
    memset(r.skipped, 0, sizeof(r.skipped))
    r.applied_lsn = 0
    memset(r.numbering, 0, sizeof(r.numbering))
    r.orphan_records = 0
    lsn = r.journal.first_lsn if r.journal.first_lsn else 1
    while lsn <= r.journal.last_lsn:
        record = journal_at(r.journal, lsn)
        if record is not NULL:
            if record.kind == RECORD_OUT or record.kind == RECORD_IN:
                journal_index_again(r.journal, record)
            replica_apply(r, record, 0)
        lsn += 1


cdef uint32_t replica_route(replica_t* r, uint16_t session, const message_t* message) noexcept nogil:
    cdef order_t* order
    r.routed_lsn = 0
    if r.bridges[session].client != 0:
        return r.bridges[session].client
    order = order_about(r, session, message)
    if order is NULL or (order.doubted and is_about_question(order, message)):
        return 0
    r.routed_lsn = order.lsn
    return order.client


cdef order_t* replica_next_settled(replica_t* r, uint32_t* at) noexcept nogil:
    cdef const record_header_t* record
    cdef order_t* order
    cdef uint32_t kept = at[0]
    cdef uint32_t i
    for i in range(at[0], r.doubts.count):
        record = journal_at(r.journal, r.doubts.lsns[i])
        order = order_of_doubt(r, record)
        if order is not NULL and order_in_doubt(order):
            r.doubts.lsns[kept] = r.doubts.lsns[i]
            kept += 1
        elif order is not NULL and order.lsn == record.lsn:     # else an OUT or REJECTED record tells it
            at[0] = kept
            r.doubts.count -= i + 1 - kept
            memmove(&r.doubts.lsns[kept], &r.doubts.lsns[i + 1], (r.doubts.count - kept) * sizeof(uint64_t))
            return order
    at[0] = kept
    r.doubts.count = kept
    return NULL


cdef uint32_t replica_generation_at(const replica_t* r, uint16_t session, uint64_t lsn) noexcept nogil:
    cdef uint32_t i = r.reset_count
    while i > 0:
        i -= 1
        if r.resets[i].session == session and r.resets[i].lsn <= lsn:
            return r.resets[i].generation
    return 0


cdef uint64_t replica_generation_start(const replica_t* r, uint16_t session, uint32_t generation) noexcept nogil:
    cdef uint32_t i = r.reset_count
    while i > 0:
        i -= 1
        if r.resets[i].session == session and r.resets[i].generation <= generation:
            return r.resets[i].lsn + 1
    return 1


cdef const record_header_t* replica_checkpoint(replica_t* r, uint32_t client, const uint8_t* key,
                                               uint32_t length) noexcept nogil:
    cdef checkpoint_t* slot = checkpoint_slot(r, client, key, length)
    return journal_at(r.journal, slot.lsn) if slot.lsn != 0 else NULL


cdef bint replica_checkpoints_full(const replica_t* r) noexcept nogil:
    return r.checkpoint_count >= MAX_CHECKPOINTS // 2


cdef int64_t order_quantity_e8(uint32_t msg_type, const message_t* fields) noexcept nogil:
    cdef const field_t* quantity
    cdef int64_t value
    cdef bint ok = 0
    if msg_type == MSGTYPE_CANCEL:
        return 0
    quantity = find_field(fields, TAG_ORDER_QTY, 0)
    if quantity is NULL:
        return 0
    value = field_decimal_e8(fields, quantity, &ok)
    return value if ok else 0


cdef void replica_catch_up(replica_t* r) noexcept nogil:
    if r.applied_lsn > r.journal.last_lsn:
        replica_rebuild(r)       # a truncation has cut the log, though not all of its files
    catch_up_to(r, r.journal.last_lsn)


cdef void catch_up_to(replica_t* r, uint64_t lsn) noexcept nogil:
    while r.applied_lsn < lsn:
        replica_apply(r, journal_at(r.journal, r.applied_lsn + 1), 1)


# --- helpers --------------------------------------------------------------------------------------------------------

cdef bint index_message(replica_t* r, const record_header_t* record, message_t* message) noexcept nogil:
    """Indexes the FIX message in a record; the first MAX_INDEXED_FIELDS fields are enough for what is looked for
    here."""
    memset(message, 0, sizeof(message_t))
    message.fields = r.index
    message.field_capacity = MAX_INDEXED_FIELDS
    return parse_message(record_payload(record), record_payload_length(record), record_payload_length(record),
                         message) != PARSE_GARBLED


cdef order_t* order_about(replica_t* r, uint16_t session, const message_t* message) noexcept nogil:
    return orders_route(&r.orders, session, message, r.numbering[session].next_out, r.numbering[session].reset_lsn,
                        r.applied_lsn)


cdef void apply_to_bridge(replica_t* r, const record_header_t* record) noexcept nogil:
    cdef message_t message
    if record.kind == RECORD_OUT and record.flags & FLAG_PASSED_ON:
        bridge_passed(&r.bridges[record.session], record)
    elif record.kind == RECORD_IN and record.flags & FLAG_APPLICATION and index_message(r, record, &message):
        bridge_apply(&r.bridges[record.session], record, &message, &r.orders, r.journal)


cdef void apply_order(replica_t* r, const record_header_t* record) noexcept nogil:
    cdef message_t message
    cdef int64_t quantity = 0
    if index_message(r, record, &message):
        quantity = order_quantity_e8(message.msg_type, &message)
        if message.msg_type == MSGTYPE_CANCEL:
            take_cancel(r, record.client, &message)
    leave_doubt(r, record, record_payload(record) + (record.aux >> 16), record.aux & 0xFFFF)
    orders_insert(&r.orders, record, r.numbering[record.session].generation, quantity)
    risk_on_order(&r.risk, record, quantity)


cdef void apply_answer(replica_t* r, const record_header_t* record) noexcept nogil:
    cdef message_t message
    cdef order_t* order
    if not index_message(r, record, &message):
        return
    order = order_about(r, record.session, &message)
    if order is not NULL:
        take_answer(r, order, &message, record.seq)


cdef void take_answer(replica_t* r, order_t* order, const message_t* message, uint64_t seq) noexcept nogil:
    if order.doubted and is_about_question(order, message):
        # What an earlier primary was told says nothing: it may have sent the order after that.
        if order.state == ORDER_IN_DOUBT and order.asked and says_unknown_order(message):
            order.state = ORDER_NOT_THERE
            r.doubts.not_there += 1
        r.doubts.refused += refuses_question(message)
        return
    if order_in_doubt(order):
        r.doubts.not_there -= order.state == ORDER_NOT_THERE
        r.doubts.settled += 1
        order.reason = 0
        order.state = ORDER_OTHER      # unless the message says more
    risk_on_open_change(&r.risk, order.client, orders_update(&r.orders, order, message, seq))


cdef bint is_about_question(const order_t* order, const message_t* message) noexcept nogil:
    """An answer to the OrderStatusRequest that tells nothing of the order itself: its client must not see it."""
    return says_unknown_order(message) or (order_in_doubt(order) and refuses_question(message))


cdef void apply_question(replica_t* r, const record_header_t* record) noexcept nogil:
    cdef message_t message
    cdef order_t* order
    if index_message(r, record, &message) and asks_for_status(&message):
        order = order_about(r, record.session, &message)
        if order is not NULL and order.state == ORDER_IN_DOUBT:
            order.asked = 1


cdef void doubt_again(replica_t* r) noexcept nogil:
    """A new primary: the one before may have numbered and sent, as far as our log goes unseen, what was not there."""
    cdef order_t* order
    cdef uint32_t i
    for i in range(r.doubts.count):
        order = order_of_doubt(r, journal_at(r.journal, r.doubts.lsns[i]))
        if order is not NULL and order_in_doubt(order):
            order.state = ORDER_IN_DOUBT
            order.asked = 0
    r.doubts.not_there = 0


cdef void apply_doubt(replica_t* r, const record_header_t* record) noexcept nogil:
    cdef order_t* order
    cdef message_t message
    cdef const record_header_t* earlier
    cdef const unrouted_t* entry
    cdef uint32_t wanted = crc32c(0, record_payload(record) + 2, (<const uint16_t*>record_payload(record))[0])
    cdef const uint8_t* body
    cdef uint32_t length = 0
    cdef uint32_t at = 0
    cdef uint64_t i
    if doubts_full(&r.doubts):
        while replica_next_settled(r, &at) is not NULL:      # a standby tells nobody
            pass
    order = orders_insert(&r.orders, record, r.numbering[record.session].generation, 0)
    if order is NULL:
        return
    doubts_add(&r.doubts, record.lsn)
    if doubt_is_cancel(record):
        body = doubt_body(record, &length)
        message.fields = r.index
        message.field_capacity = MAX_INDEXED_FIELDS
        if parse_fields(body, length, &message) == PARSE_OK:
            take_cancel(r, record.client, &message)
    # The counterparty may have told of it before its client handed it in again.
    for i in range(r.unrouted_count - min(r.unrouted_count, MAX_UNROUTED), r.unrouted_count):
        entry = &r.unrouted[i & (MAX_UNROUTED - 1)]
        if entry.ids[0] != wanted and entry.ids[1] != wanted:
            continue
        earlier = journal_at(r.journal, entry.lsn)
        if (earlier is not NULL and earlier.session == record.session and index_message(r, earlier, &message)
                and order_about(r, record.session, &message) is order):
            take_answer(r, order, &message, earlier.seq)


cdef void remember_unrouted(replica_t* r, const record_header_t* record) noexcept nogil:
    """With what it names, so that thousands of orders in doubt need not read thousands of messages each."""
    cdef unrouted_t* entry = &r.unrouted[r.unrouted_count & (MAX_UNROUTED - 1)]
    cdef message_t message
    r.unrouted_count += 1
    entry.lsn = record.lsn
    entry.ids[0] = 0
    entry.ids[1] = 0
    if index_message(r, record, &message):
        entry.ids[0] = hash_of(&message, TAG_CLORDID)
        entry.ids[1] = hash_of(&message, TAG_ORIGCLORDID)
        if entry.ids[1] == 0:
            entry.ids[1] = hash_of(&message, TAG_BUSINESSREJECTREFID)


cdef uint32_t hash_of(const message_t* message, uint32_t tag) noexcept nogil:
    cdef const field_t* field = find_field(message, tag, 0)
    return crc32c(0, message.data + field.offset, field.length) if field is not NULL else 0


cdef bint doubt_is_cancel(const record_header_t* record) noexcept nogil:
    cdef uint32_t length = 0
    cdef const uint8_t* msg_type = doubt_msg_type(record, &length)
    return length == 1 and msg_type[0] == MSGTYPE_CANCEL


cdef void take_cancel(replica_t* r, uint32_t client, const message_t* message) noexcept nogil:
    """What its client wants gone must not be sent after its cancel, though nobody knew it when that arrived."""
    cdef order_t* original
    if r.doubts.count:
        original = orders_original(&r.orders, client, message)
        if original is not NULL and order_in_doubt(original):
            original.reason = REJECT_CANCELED


cdef void leave_doubt(replica_t* r, const record_header_t* record, const uint8_t* clordid,
                      uint32_t length) noexcept nogil:
    """Before the record that numbers or refuses it is taken."""
    cdef order_t* order
    if r.doubts.not_there:
        order = orders_by_client(&r.orders, record.client, clordid, length)
        if order is not NULL and order.state == ORDER_NOT_THERE:
            r.doubts.not_there -= 1
            r.doubts.settled += 1       # so that it is taken out of the list, whenever that may be


cdef order_t* order_of_doubt(replica_t* r, const record_header_t* record) noexcept nogil:
    if record is NULL:
        return NULL
    return orders_by_client(&r.orders, record.client, <const uint8_t*>record_payload(record) + 2,
                            (<const uint16_t*>record_payload(record))[0])


cdef void forget_old_resets(replica_t* r) noexcept nogil:
    """The oldest half, but for each session's latest, which says what its present generation is: only clients that
    resume from so long ago rescan."""
    cdef uint32_t kept = 0
    cdef uint32_t i
    for i in range(r.reset_count):
        if i >= MAX_RESETS // 2 or r.resets[i].lsn == r.numbering[r.resets[i].session].reset_lsn:
            r.resets[kept] = r.resets[i]
            kept += 1
    r.reset_count = kept


cdef void apply_state(replica_t* r, const record_header_t* record) noexcept nogil:
    if record.flags & FLAG_RESET:
        if r.reset_count == MAX_RESETS:
            forget_old_resets(r)
        r.numbering[record.session].generation += 1
        r.numbering[record.session].reset_lsn = record.lsn
        r.numbering[record.session].next_out = 1
        r.resets[r.reset_count].lsn = record.lsn
        r.resets[r.reset_count].generation = r.numbering[record.session].generation
        r.resets[r.reset_count].session = record.session
        r.reset_count += 1
    elif record.aux == STATE_SET_SEQ:
        r.skipped[record.session] = 1
    elif record.aux == STATE_DOUBTS:
        settle_by_hand(r, record.session, record_payload_length(record) != 0 and record_payload(record)[0] != 0)
    elif record.aux == STATE_RESEND and record_payload_length(record) >= 3 * sizeof(uint64_t):
        apply_resend(r, record.session, <const uint64_t*>record_payload(record))
    elif record.aux == STATE_KILL or record.aux == STATE_LIMITS:
        risk_on_state(&r.risk, record)


cdef void apply_resend(replica_t* r, uint16_t session, const uint64_t* span) noexcept nogil:
    """`span`: first, next, fate_kind. Where the counterparty has answered, a resend changes nothing."""
    cdef const numbering_t* numbering = &r.numbering[session]
    cdef const record_header_t* record
    cdef order_t* order
    cdef uint64_t seq
    fates_add(&r.fates, session, numbering.generation, span[0], span[1], <uint16_t>span[2])
    for seq in range(span[0], min(span[1], numbering.next_out)):
        record = journal_find_in(r.journal, session, DIRECTION_OUT, seq, numbering.reset_lsn, r.applied_lsn)
        if record is NULL or not record.flags & FLAG_ORDER:
            continue
        order = orders_by_session(&r.orders, session, record_payload(record) + (record.aux >> 16), record.aux & 0xFFFF)
        if order is not NULL and order.last_in_seq == 0 and order.seq == seq:
            order.state = ORDER_UNKNOWN if span[2] == FATE_GAP_FILLED else ORDER_SENT


cdef void settle_by_hand(replica_t* r, uint16_t session, bint not_there) noexcept nogil:
    cdef order_t* order
    cdef uint32_t i
    for i in range(r.doubts.count):
        order = order_of_doubt(r, journal_at(r.journal, r.doubts.lsns[i]))
        if order is NULL or order.session != session or not order_in_doubt(order):
            continue
        r.doubts.not_there -= order.state == ORDER_NOT_THERE
        if not_there:
            order.state = ORDER_NOT_THERE
            r.doubts.not_there += 1
        else:
            order.state = ORDER_UNKNOWN
            order.reason = 0
            r.doubts.settled += 1


cdef void apply_checkpoint(replica_t* r, const record_header_t* record) noexcept nogil:
    cdef const uint8_t* payload = record_payload(record)
    cdef uint32_t length = (<const uint16_t*>payload)[0] if record_payload_length(record) >= 2 else 0
    cdef checkpoint_t* slot
    if length == 0 or length + 2 > record_payload_length(record):
        return
    slot = checkpoint_slot(r, record.client, payload + 2, length)
    if slot.lsn == 0:
        if r.checkpoint_count >= MAX_CHECKPOINTS - 1:
            return
        r.checkpoint_count += 1
        slot.client = record.client
        slot.hash = crc32c(record.client, payload + 2, length)
    slot.lsn = record.lsn


cdef checkpoint_t* checkpoint_slot(replica_t* r, uint32_t client, const uint8_t* key, uint32_t length) noexcept nogil:
    """The slot of (client, key), or the free one where it would go."""
    cdef uint32_t hashed = crc32c(client, key, length)
    cdef uint32_t at = hashed & (MAX_CHECKPOINTS - 1)
    cdef const uint8_t* payload
    while r.checkpoints[at].lsn != 0:
        if r.checkpoints[at].hash == hashed and r.checkpoints[at].client == client:
            payload = record_payload(journal_at(r.journal, r.checkpoints[at].lsn))
            if (<const uint16_t*>payload)[0] == length and memcmp(payload + 2, key, length) == 0:
                break
        at = (at + 1) & (MAX_CHECKPOINTS - 1)
    return &r.checkpoints[at]
