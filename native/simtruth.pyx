"""What is true in the simulated world, and the invariants over it. May depend on: journal, record, crc32c."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset, strlen

from .crc32c cimport crc32c
from .journal cimport DIRECTION_OUT, journal_at, journal_find, journal_t
from .record cimport FLAG_ORDER, RECORD_STATE, STATE_RESEND, record_header_t, record_payload

cdef enum:
    SOH = 1
    TRAILER_BYTES = 7              # CheckSum (10)


cdef int truth_init(truth_t* t) noexcept nogil:
    memset(t, 0, sizeof(truth_t))
    t.numbers = <true_number_t*>calloc(TRUE_SESSIONS * TRUE_GENERATIONS * TRUE_NUMBERS, sizeof(true_number_t))
    t.log = <true_log_t*>calloc(TRUE_LSNS, sizeof(true_log_t))
    t.executions = <uint32_t*>calloc(TRUE_CLIENTS * TRUE_SESSIONS * TRUE_NUMBERS, sizeof(uint32_t))
    return -1 if t.numbers is NULL or t.log is NULL or t.executions is NULL else 0


cdef void truth_free(truth_t* t) noexcept nogil:
    free(t.numbers)
    free(t.log)
    free(t.executions)
    memset(t, 0, sizeof(truth_t))


# --- orders -----------------------------------------------------------------------------------------------------------

cdef int32_t truth_new_order(truth_t* t, uint8_t client, uint8_t session) noexcept nogil:
    if t.order_count == TRUE_ORDERS:
        return -1
    t.orders[t.order_count].client = client
    t.orders[t.order_count].session = session
    t.order_count += 1
    return t.order_count - 1


cdef void truth_clordid(uint32_t order, uint8_t* text) noexcept nogil:
    cdef int i
    text[0] = c'o'
    for i in range(TRUE_CLORDID_BYTES - 1, 0, -1):
        text[i] = <uint8_t>(c'0' + order % 10)
        order //= 10


cdef int32_t truth_order_of(const truth_t* t, const uint8_t* text, uint32_t length) noexcept nogil:
    cdef uint32_t order = 0
    cdef uint32_t i
    if text is NULL or length != TRUE_CLORDID_BYTES or text[0] != c'o':
        return -1
    for i in range(1, TRUE_CLORDID_BYTES):
        order = order * 10 + (text[i] - c'0')
    return <int32_t>order if order < t.order_count else -1


cdef void truth_processed(truth_t* t, uint32_t order) noexcept nogil:
    t.orders[order].processed += 1
    t.processed += 1
    if t.orders[order].processed > 1:
        fail(t, BROKEN_PROCESSED_TWICE, "the counterparty processed order %u twice", order, 0)
    elif t.orders[order].rejected:
        fail(t, BROKEN_REJECTED_SENT, "order %u reached the counterparty after its client was told 'rejected'", order,
             0)


cdef void truth_executed(truth_t* t, uint8_t session, uint32_t order, uint64_t seq) noexcept nogil:
    cdef uint8_t client = t.orders[order].client
    cdef uint32_t* count = &t.executed[client][session]
    if count[0] < TRUE_NUMBERS:
        executions(t, client, session)[count[0]] = <uint32_t>seq
        count[0] += 1


cdef void truth_rejected_by_counterparty(truth_t* t, uint64_t seq, uint64_t reason) noexcept nogil:
    fail(t, BROKEN_BY_REJECT, "the counterparty rejects MsgSeqNum %u, SessionRejectReason %u", <uint32_t>seq,
         <uint32_t>reason)


cdef inline uint32_t* executions(const truth_t* t, uint8_t client, uint8_t session) noexcept nogil:
    return &t.executions[(client * TRUE_SESSIONS + session) * TRUE_NUMBERS]


# --- nodes ------------------------------------------------------------------------------------------------------------

cdef void truth_released(truth_t* t, uint8_t node, uint32_t epoch, uint8_t session, uint32_t generation,
                         const uint8_t* message, uint32_t size, journal_t* own, journal_t* other,
                         bint on_disk) noexcept nogil:
    cdef const record_header_t* record
    cdef uint64_t seq = scan_uint(message, size, "34")
    cdef uint32_t length = 0
    cdef const uint8_t* kind = scan_tag(message, size, "35", &length)
    cdef bint again = scan_tag(message, size, "43", &length) is not NULL
    cdef uint32_t order
    cdef true_number_t* number
    t.released += 1
    if t.asynchronous and epoch < t.newest_epoch:
        t.forgotten = 1
    if epoch < TRUE_EPOCHS:
        if t.releaser[epoch] and t.releaser[epoch] != node + 1:
            fail(t, BROKEN_TWO_RELEASE, "two nodes release in epoch %u", epoch, 0)
        t.releaser[epoch] = node + 1
    if kind is not NULL and kind[0] == c'4':      # gap fill gives no number
        if other is not NULL and not t.lossy:
            check_gap_fill(t, session, seq, scan_uint(message, size, "36"), own, other)
        return
    if kind is NULL or seq == 0 or seq >= TRUE_NUMBERS or generation >= TRUE_GENERATIONS:
        return
    order = <uint32_t>(truth_order_of(t, scan_tag(message, size, "11", &length), length) + 1)
    number = &t.numbers[(session * TRUE_GENERATIONS + generation) * TRUE_NUMBERS + seq]
    if not number.used:
        number.used = 1
        number.type = kind[0]
        number.order = order
        t.highest_number[session][generation] = max(t.highest_number[session][generation], <uint32_t>seq)
    if number.type != kind[0] or number.order != order or (
            not again and kind[0] != c'A' and number.whole != 0 and number.whole != crc32c(0, message, size)):
        fail(t, BROKEN_NUMBER_REUSED, "MsgSeqNum %u of session %u was given to another message before",
             <uint32_t>seq, session)
    if not again:
        number.whole = crc32c(0, message, size)
    if other is not NULL and not again and not t.lossy:
        check_release(t, session, seq, own, other)
    if on_disk and not again:
        record = journal_find(own, session, DIRECTION_OUT, seq)
        if record is not NULL and record.lsn > own.flushed_lsn:
            fail(t, BROKEN_RELEASE_RULE, "MsgSeqNum %u (LSN %u) was released before it was on disk", <uint32_t>seq,
                 <uint32_t>record.lsn)


cdef void check_release(truth_t* t, uint8_t session, uint64_t seq, journal_t* own, journal_t* other) noexcept nogil:
    cdef const record_header_t* record = journal_find(own, session, DIRECTION_OUT, seq)
    cdef const record_header_t* copy
    if record is NULL:
        return
    copy = journal_at(other, record.lsn)
    if copy is NULL or copy.epoch != record.epoch or copy.crc != record.crc:
        fail(t, BROKEN_RELEASE_RULE, "MsgSeqNum %u (LSN %u) was released, and the other node in sync does not hold it",
             <uint32_t>seq, <uint32_t>record.lsn)


cdef void check_gap_fill(truth_t* t, uint8_t session, uint64_t first, uint64_t next_seq, journal_t* own,
                         journal_t* other) noexcept nogil:
    """The other node in sync knows that the orders in it were passed over."""
    cdef const record_header_t* record = NULL
    cdef const record_header_t* copy
    cdef uint64_t lsn
    cdef bint orders = 0
    for lsn in range(first, next_seq):
        record = journal_find(own, session, DIRECTION_OUT, lsn)
        if record is not NULL and record.flags & FLAG_ORDER:
            orders = 1
    if not orders:
        return
    lsn = own.last_lsn
    while lsn:
        record = journal_at(own, lsn)
        if (record is not NULL and record.kind == RECORD_STATE and record.aux == STATE_RESEND
                and record.session == session and (<const uint64_t*>record_payload(record))[0] == first
                and (<const uint64_t*>record_payload(record))[1] == next_seq):
            break
        lsn -= 1
    copy = journal_at(other, lsn) if lsn else NULL
    if copy is NULL or copy.epoch != record.epoch or copy.crc != record.crc:
        fail(t, BROKEN_RELEASE_RULE, "a gap fill from MsgSeqNum %u was released, and the other node in sync does not "
             "know what became of orders up to %u", <uint32_t>first, <uint32_t>next_seq - 1)


cdef void truth_logged(truth_t* t, uint8_t node, const record_header_t* record) noexcept nogil:
    cdef true_record_t* variant
    cdef int i
    if record is NULL or record.lsn >= TRUE_LSNS:
        return
    t.highest_lsn = max(t.highest_lsn, record.lsn)
    for i in range(TRUE_VARIANTS):
        variant = &t.log[record.lsn].variants[i]
        if variant.epoch == 0:
            variant.epoch = record.epoch
            variant.crc = record.crc
            return
        if variant.epoch == record.epoch:
            if variant.crc != record.crc:
                fail(t, BROKEN_LOG_PREFIX, "two logs differ at LSN %u of epoch %u", <uint32_t>record.lsn, record.epoch)
            return


cdef void truth_promised(truth_t* t, uint8_t session, uint64_t seq, journal_t* own, journal_t* other) noexcept nogil:
    if not t.lossy:
        check_release(t, session, seq, own, other)


cdef void truth_kept(truth_t* t, uint64_t released_lsn, uint64_t kept_lsn) noexcept nogil:
    if released_lsn > kept_lsn:
        fail(t, BROKEN_RELEASE_RULE, "LSN %u was released and not on disk everywhere: power is lost, and all after %u",
             <uint32_t>released_lsn, <uint32_t>kept_lsn)


cdef void truth_in_sync(truth_t* t, uint32_t epoch, journal_t* own, uint64_t released_lsn,
                        journal_t* other) noexcept nogil:
    cdef const record_header_t* record = journal_at(own, released_lsn)
    cdef const record_header_t* copy = journal_at(other, released_lsn)
    if record is not NULL and (copy is NULL or copy.epoch != record.epoch or copy.crc != record.crc):
        fail(t, BROKEN_RELEASE_RULE, "the standby is declared in sync in epoch %u without released LSN %u", epoch,
             <uint32_t>released_lsn)


cdef void truth_promoted(truth_t* t, uint8_t node, uint32_t epoch, journal_t* own,
                         const uint32_t* generations) noexcept nogil:
    """The log of a new primary has every number that ever left, unless it lost power: then it skips ahead."""
    cdef uint32_t session
    cdef uint32_t generation
    cdef uint32_t seq
    cdef const record_header_t* record
    if epoch < t.newest_epoch:
        return          # held up until long after it was handed to: nobody acknowledges what it would release
    t.newest_epoch = epoch
    for session in range(TRUE_SESSIONS):
        generation = TRUE_GENERATIONS - 1
        while generation and t.highest_number[session][generation] == 0:
            generation -= 1
        seq = t.highest_number[session][generation]
        if seq == 0 or generations[session] > generation:
            continue
        record = NULL
        if generations[session] == generation:
            record = journal_find(own, <uint16_t>session, DIRECTION_OUT, seq)
        if record is NULL and t.lossy:
            t.gone = 1
        elif record is NULL and t.asynchronous:
            t.forgotten = 1
        elif record is NULL:
            fail(t, BROKEN_NUMBER_REUSED, "the new primary of epoch %u does not know released MsgSeqNum %u", epoch, seq)


# --- clients ----------------------------------------------------------------------------------------------------------

cdef void truth_told_accepted(truth_t* t, uint32_t order) noexcept nogil:
    if t.orders[order].rejected:
        fail(t, BROKEN_REJECTED_SENT, "order %u is told 'accepted' after 'rejected'", order, 0)
    t.orders[order].accepted = 1


cdef void truth_told_rejected(truth_t* t, uint32_t order) noexcept nogil:
    t.orders[order].rejected = 1
    if t.orders[order].processed or t.orders[order].accepted:
        fail(t, BROKEN_REJECTED_SENT, "order %u is told 'rejected', but was sent", order, 0)


cdef void truth_told_unknown(truth_t* t, uint32_t order) noexcept nogil:
    t.orders[order].told_unknown = 1


cdef void truth_delivered(truth_t* t, uint8_t client, uint8_t session, uint64_t seq) noexcept nogil:
    cdef uint32_t* at = &t.delivered[client][session]
    while ((t.gone or t.forgotten) and at[0] < t.executed[client][session]
            and executions(t, client, session)[at[0]] < seq):
        at[0] += 1       # whose it was is forgotten: its client does not get it, but still none twice
    if at[0] >= t.executed[client][session]:
        fail(t, BROKEN_EXECUTION, "client %u was given MsgSeqNum %u, which is no execution of its orders", client,
             <uint32_t>seq)
    elif executions(t, client, session)[at[0]] != seq:
        fail(t, BROKEN_EXECUTION, "a client was given execution %u, but the next for it is %u", <uint32_t>seq,
             executions(t, client, session)[at[0]])
    else:
        at[0] += 1


cdef void truth_told_again(truth_t* t, uint8_t client, uint64_t seq) noexcept nogil:
    fail(t, BROKEN_EXECUTION, "client %u is given MsgSeqNum %u again, which it had named as read", client,
         <uint32_t>seq)


cdef bint truth_all_delivered(const truth_t* t) noexcept nogil:
    return t.gone or t.forgotten or memcmp(t.delivered, t.executed, sizeof(t.delivered)) == 0


cdef void truth_audit(truth_t* t) noexcept nogil:
    cdef uint32_t i
    for i in range(t.order_count):
        if t.orders[i].accepted and t.orders[i].processed == 0 and not t.orders[i].told_unknown:
            fail(t, BROKEN_ACCEPTED_LOST, "order %u was accepted, is not at the counterparty, and its client was not "
                 "told", i, 0)
    if not t.forgotten and not truth_all_delivered(t):
        fail(t, BROKEN_EXECUTION, "executions are missing at a client", 0, 0)


cdef void truth_replayed(truth_t* t, uint8_t node, const char* differs) noexcept nogil:
    if t.broken == BROKEN_NONE:
        t.broken = BROKEN_REPLAY
        snprintf(t.text, sizeof(t.text), "node %c: a replay of its log changes %s", c'a' + node, differs)


cdef void truth_unhealed(truth_t* t, const char* what) noexcept nogil:
    if t.broken == BROKEN_NONE:
        t.broken = BROKEN_UNHEALED
        snprintf(t.text, sizeof(t.text), "not healed in time after the last fault: %s", what)


cdef void fail(truth_t* t, broken_invariant which, const char* text, uint32_t a, uint32_t b) noexcept nogil:
    if t.broken == BROKEN_NONE:
        t.broken = which
        snprintf(t.text, sizeof(t.text), text, a, b)


# --- messages ---------------------------------------------------------------------------------------------------------

cdef const uint8_t* scan_tag(const uint8_t* message, uint32_t size, const char* tag, uint32_t* length) noexcept nogil:
    cdef uint32_t width = <uint32_t>strlen(tag)
    cdef uint32_t at = 0
    cdef uint32_t end
    while at + width < size:
        end = at
        while end < size and message[end] != SOH:
            end += 1
        if message[at + width] == c'=' and memcmp(message + at, tag, width) == 0:
            length[0] = end - at - width - 1
            return message + at + width + 1
        at = end + 1
    return NULL


cdef uint32_t scan_message(const uint8_t* data, uint32_t size) noexcept nogil:
    cdef uint32_t length = 0
    cdef const uint8_t* body_length = scan_tag(data, size, "9", &length)
    if body_length is NULL:
        return size
    return min(size, <uint32_t>(body_length - data) + length + 1 + <uint32_t>scan_uint(data, size, "9") + TRAILER_BYTES)


cdef uint64_t scan_uint(const uint8_t* message, uint32_t size, const char* tag) noexcept nogil:
    cdef uint32_t length = 0
    cdef const uint8_t* text = scan_tag(message, size, tag, &length)
    cdef uint64_t value = 0
    cdef uint32_t i
    if text is NULL:
        return 0
    for i in range(length):
        if not c'0' <= text[i] <= c'9':
            return 0
        value = value * 10 + (text[i] - c'0')
    return value
