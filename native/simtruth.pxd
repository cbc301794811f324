"""What is true in the simulated world, whatever its nodes believe; and the invariants of DESIGN section 9 over it.

Every check is made at the moment when something happens. The first violation is kept in words; the run ends there. May
depend on: journal, record. Knows nothing of the simulator's network or time.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from .journal cimport journal_t
from .record cimport record_header_t


cdef enum:
    TRUE_CLIENTS = 4
    TRUE_SESSIONS = 2
    TRUE_ORDERS = 1 << 12          # over all clients
    TRUE_NUMBERS = 1 << 14         # MsgSeqNums of a session that are watched, in each generation
    TRUE_GENERATIONS = 8           # of a session: a day change starts a new one
    TRUE_LSNS = 1 << 15            # LSNs whose records are compared
    TRUE_EPOCHS = 1 << 10
    TRUE_VARIANTS = 4              # records of different epochs at one LSN
    TRUE_CLORDID_BYTES = 8         # "o1234567"


# Invariants by their number in DESIGN section 9; 8: the release rule of section 3 itself.
cdef enum broken_invariant:
    BROKEN_NONE = 0
    BROKEN_PROCESSED_TWICE = 1
    BROKEN_NUMBER_REUSED = 2
    BROKEN_ACCEPTED_LOST = 3
    BROKEN_EXECUTION = 4
    BROKEN_TWO_RELEASE = 5
    BROKEN_LOG_PREFIX = 6
    BROKEN_UNHEALED = 7
    BROKEN_RELEASE_RULE = 8
    BROKEN_REJECTED_SENT = 9       # a client was told 'rejected' of an order that the counterparty has
    BROKEN_BY_REJECT = 10          # the counterparty had to reject (35=3) a message of ours
    BROKEN_REPLAY = 11             # a replay of the log gives another state than the records gave as they came


cdef struct true_order_t:
    uint8_t client
    uint8_t session
    bint accepted                  # what its client was told
    bint rejected
    bint told_unknown              # gap-filled, or unknown: its fate is the counterparty's to tell
    uint32_t processed             # times by the counterparty


cdef struct true_number_t:         # what a MsgSeqNum was first given to
    uint32_t whole                 # CRC of the message as it was sent for the first time; 0: only seen as a resend
    uint32_t order                 # 1 + index of the order that it carries; 0: none
    uint8_t type
    bint used


cdef struct true_record_t:
    uint32_t epoch                 # 0: none
    uint32_t crc


cdef struct true_log_t:
    true_record_t variants[TRUE_VARIANTS]


cdef struct truth_t:
    broken_invariant broken
    char text[512]
    true_order_t orders[TRUE_ORDERS]
    uint32_t order_count
    true_number_t* numbers         # [TRUE_SESSIONS][TRUE_GENERATIONS][TRUE_NUMBERS]
    uint32_t highest_number[TRUE_SESSIONS][TRUE_GENERATIONS]
    true_log_t* log                # [TRUE_LSNS]
    uint64_t highest_lsn
    uint8_t releaser[TRUE_EPOCHS]  # 1 + node
    # Executions that a counterparty sent, by client and session: their MsgSeqNums, in order.
    uint32_t* executions           # [TRUE_CLIENTS][TRUE_SESSIONS][TRUE_NUMBERS]
    uint32_t executed[TRUE_CLIENTS][TRUE_SESSIONS]
    uint32_t delivered[TRUE_CLIENTS][TRUE_SESSIONS]
    uint64_t processed             # orders, by all counterparties
    uint64_t released              # messages
    bint gone                      # ... and they are in no log any more: two hosts lost power, or one that was alone
    bint asynchronous              # sessions in `async` mode: a takeover may miss what was sent last
    bint forgotten                 # ... and one did, or who was superseded went on sending for a moment
    uint32_t newest_epoch          # of a promotion
    bint lossy                     # records that were released may be gone for good: the release rule is not checked


cdef int truth_init(truth_t* t) noexcept nogil         # 0, or -1: out of memory
cdef void truth_free(truth_t* t) noexcept nogil

cdef int32_t truth_new_order(truth_t* t, uint8_t client, uint8_t session) noexcept nogil     # index, -1: no more
cdef void truth_clordid(uint32_t order, uint8_t* text) noexcept nogil                        # TRUE_CLORDID_BYTES
cdef int32_t truth_order_of(const truth_t* t, const uint8_t* text, uint32_t length) noexcept nogil   # or -1

# At the counterparty.
cdef void truth_processed(truth_t* t, uint32_t order) noexcept nogil
cdef void truth_executed(truth_t* t, uint8_t session, uint32_t order, uint64_t seq) noexcept nogil
cdef void truth_rejected_by_counterparty(truth_t* t, uint64_t seq, uint64_t reason) noexcept nogil
# At a node: bytes of one message are given to the network. `other`: the log of the node that the register counts as in
# sync beside this one; NULL: none, or the session is not `sync`. `on_disk`: durability `every`.
cdef void truth_released(truth_t* t, uint8_t node, uint32_t epoch, uint8_t session, uint32_t generation,
                         const uint8_t* message, uint32_t size, journal_t* own, journal_t* other,
                         bint on_disk) noexcept nogil
cdef void truth_logged(truth_t* t, uint8_t node, const record_header_t* record) noexcept nogil
# The register counts both as in sync from now on: the standby holds all that the primary released.
cdef void truth_in_sync(truth_t* t, uint32_t epoch, journal_t* own, uint64_t released_lsn,
                        journal_t* other) noexcept nogil
# A client is told now that MsgSeqNum `seq` is accepted. `other`: as above, whatever the session's mode.
cdef void truth_promised(truth_t* t, uint8_t session, uint64_t seq, journal_t* own, journal_t* other) noexcept nogil
# Durability `every`: a node that lost power keeps what was released.
cdef void truth_kept(truth_t* t, uint64_t released_lsn, uint64_t kept_lsn) noexcept nogil
# A node became primary with this log; `generations` of its sessions.
cdef void truth_promoted(truth_t* t, uint8_t node, uint32_t epoch, journal_t* own,
                         const uint32_t* generations) noexcept nogil
# At a client.
cdef void truth_told_accepted(truth_t* t, uint32_t order) noexcept nogil
cdef void truth_told_rejected(truth_t* t, uint32_t order) noexcept nogil
cdef void truth_told_unknown(truth_t* t, uint32_t order) noexcept nogil
cdef void truth_delivered(truth_t* t, uint8_t client, uint8_t session, uint64_t seq) noexcept nogil
# It was given what it had named as read when it logged in.
cdef void truth_told_again(truth_t* t, uint8_t client, uint64_t seq) noexcept nogil
cdef bint truth_all_delivered(const truth_t* t) noexcept nogil
cdef void truth_audit(truth_t* t) noexcept nogil       # at the end, healed
cdef void truth_replayed(truth_t* t, uint8_t node, const char* differs) noexcept nogil
cdef void truth_unhealed(truth_t* t, const char* what) noexcept nogil

# Value of `tag` in a FIX message or a part of one; NULL: not there. Inefficient and independent of the parser under
# test on purpose.
cdef const uint8_t* scan_tag(const uint8_t* message, uint32_t size, const char* tag, uint32_t* length) noexcept nogil
# Bytes of the first of some whole messages.
cdef uint32_t scan_message(const uint8_t* data, uint32_t size) noexcept nogil
cdef uint64_t scan_uint(const uint8_t* message, uint32_t size, const char* tag) noexcept nogil
