"""How long each stage of an order takes: stamps by LSN, and a histogram a stage.

May depend on: nothing. Never does I/O, never allocates after stages_init, decides nothing.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from .ticks cimport ticks_clock_t, ticks_counter, ticks_read, ticks_start

cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline uint64_t stages_scale(uint64_t ticks, uint64_t ns_per_tick) {
        return (uint64_t)(((unsigned __int128)ticks * ns_per_tick) >> 32);
    }
    """
    uint64_t stages_scale(uint64_t ticks, uint64_t ns_per_tick)
    int leading_zeros "__builtin_clzll"(unsigned long long)

cdef enum:
    SUB_BITS = 5
    LAST_BIT = 40

cdef uint64_t UNKNOWN = <uint64_t>0xFFFFFFFFFFFFFFFF


cdef int stages_init(stages_t* s) noexcept nogil:
    memset(s, 0, sizeof(stages_t))
    s.ns_per_tick = <uint64_t>1 << 32
    s.slots = <stage_slot_t*>calloc(STAGE_SLOTS, sizeof(stage_slot_t))
    s.counts = <uint64_t*>calloc(STAGES * STAGE_BUCKETS, sizeof(uint64_t))
    return -1 if s.slots is NULL or s.counts is NULL else 0


cdef void stages_free(stages_t* s) noexcept nogil:
    free(s.slots)
    free(s.counts)
    s.slots = NULL
    s.counts = NULL


cdef void stages_restart(stages_t* s, uint64_t last_lsn) noexcept nogil:
    cdef int i
    if s.clock is NULL:
        return
    memset(s.slots, 0, STAGE_SLOTS * sizeof(stage_slot_t))
    s.last_order_lsn = 0
    s.replicated_lsn = s.released_lsn = last_lsn
    for i in range(STAGE_SESSIONS):
        s.sent_lsn[i] = last_lsn
        s.unsent_lsn[i] = s.latest_lsn[i] = 0
    s.answers_head = s.answers_tail


cdef void stages_count(stages_t* s, stage which, uint64_t ns) noexcept nogil:
    cdef int bit = 63 - leading_zeros(ns | 1)
    cdef uint32_t bucket = <uint32_t>ns
    if bit > LAST_BIT:
        bit = LAST_BIT
        ns = (<uint64_t>1 << (LAST_BIT + 1)) - 1
    if bit >= SUB_BITS:
        bucket = <uint32_t>((bit - SUB_BITS + 1) * STAGE_SUB_BUCKETS
                            + ((ns >> (bit - SUB_BITS)) & (STAGE_SUB_BUCKETS - 1)))
    s.counts[<uint32_t>which * STAGE_BUCKETS + bucket] += 1
    s.sums[<uint32_t>which] += ns


cdef inline void count(stages_t* s, stage which, uint64_t since, uint64_t until) noexcept nogil:
    """Between two stamps. A counter that differs a little between cores must not make an hour of it."""
    stages_count(s, which, stages_scale(until - since, s.ns_per_tick) if until > since else 0)


cdef void stages_journalled(stages_t* s, uint64_t lsn, uint16_t session, uint64_t queued_ns) noexcept nogil:
    cdef stage_slot_t* slot = &s.slots[lsn & (STAGE_SLOTS - 1)]
    cdef uint64_t now
    if s.clock is NULL:
        return
    now = s.clock()
    if queued_ns != UNKNOWN:
        stages_count(s, STAGE_QUEUED, queued_ns)
    count(s, STAGE_CHECKED, s.arrived, s.checked)
    count(s, STAGE_ENCODED, s.checked, s.encoded)
    count(s, STAGE_JOURNALLED, s.encoded, now)
    slot.lsn = lsn
    slot.arrived = s.arrived
    slot.journalled = now
    slot.replicated = slot.released = slot.sent = slot.next_lsn = 0
    slot.session = session
    s.last_order_lsn = lsn
    if s.unsent_lsn[session] == 0:
        s.unsent_lsn[session] = lsn
    else:
        slot = &s.slots[s.latest_lsn[session] & (STAGE_SLOTS - 1)]
        if slot.lsn == s.latest_lsn[session]:
            slot.next_lsn = lsn
    s.latest_lsn[session] = lsn


cdef inline uint64_t first_slot(uint64_t stamped_lsn, uint64_t upto_lsn) noexcept nogil:
    return max(stamped_lsn + 1, upto_lsn - STAGE_SLOTS + 1 if upto_lsn >= STAGE_SLOTS else 1)


cdef void stages_replicated(stages_t* s, uint64_t upto_lsn) noexcept nogil:
    cdef stage_slot_t* slot
    cdef uint64_t now
    cdef uint64_t lsn
    if s.clock is NULL or upto_lsn <= s.replicated_lsn:
        return
    if s.last_order_lsn > s.replicated_lsn:
        now = s.clock()
        for lsn in range(first_slot(s.replicated_lsn, upto_lsn), min(upto_lsn, s.last_order_lsn) + 1):
            slot = &s.slots[lsn & (STAGE_SLOTS - 1)]
            if slot.lsn == lsn:
                slot.replicated = now
                count(s, STAGE_REPLICATED, slot.journalled, now)
    s.replicated_lsn = upto_lsn


cdef void stages_released(stages_t* s, uint64_t upto_lsn) noexcept nogil:
    cdef stage_slot_t* slot
    cdef uint64_t now
    cdef uint64_t lsn
    if s.clock is NULL or upto_lsn <= s.released_lsn:
        return
    if s.last_order_lsn > s.released_lsn:
        now = s.arrived            # it is the acknowledgement that was turned to then
        for lsn in range(first_slot(s.released_lsn, upto_lsn), min(upto_lsn, s.last_order_lsn) + 1):
            slot = &s.slots[lsn & (STAGE_SLOTS - 1)]
            if slot.lsn == lsn:
                slot.released = max(now, slot.journalled)
                if slot.replicated:      # else there is no standby that is waited for
                    count(s, STAGE_ACKNOWLEDGED, slot.replicated, slot.released)
    s.released_lsn = upto_lsn


cdef void stages_sent(stages_t* s, uint16_t session, uint64_t upto_lsn) noexcept nogil:
    cdef stage_slot_t* slot
    cdef uint64_t now
    cdef uint64_t lsn
    if s.clock is NULL or upto_lsn <= s.sent_lsn[session]:
        return
    s.sent_lsn[session] = upto_lsn
    lsn = s.unsent_lsn[session]
    if lsn == 0 or lsn > upto_lsn:
        return
    now = s.clock()
    while lsn != 0 and lsn <= upto_lsn:       # from one to the next: there may be thousands of other sessions' between
        slot = &s.slots[lsn & (STAGE_SLOTS - 1)]
        if slot.lsn == lsn:
            slot.sent = now
            count(s, STAGE_SENT, slot.released if slot.released else slot.journalled, now)
            count(s, STAGE_ORDER, slot.arrived, now)
            lsn = slot.next_lsn
        else:
            lsn = next_of(s, session, lsn)
    s.unsent_lsn[session] = lsn


cdef uint64_t next_of(const stages_t* s, uint16_t session, uint64_t lsn) noexcept nogil:
    """The first order of the session behind one whose stamps are overwritten; 0: none."""
    cdef const stage_slot_t* slot
    for lsn in range(first_slot(lsn, s.last_order_lsn), s.latest_lsn[session] + 1):
        slot = &s.slots[lsn & (STAGE_SLOTS - 1)]
        if slot.lsn == lsn and slot.session == session:
            return lsn
    return 0


cdef void stages_answered(stages_t* s, uint64_t order_lsn, uint64_t lsn, uint32_t client) noexcept nogil:
    cdef stage_slot_t* slot = &s.slots[order_lsn & (STAGE_SLOTS - 1)]
    cdef stage_answer_t* answer
    if s.clock is NULL or order_lsn == 0 or slot.lsn != order_lsn or slot.sent == 0:
        return
    count(s, STAGE_ANSWERED, slot.sent, s.arrived)
    slot.sent = 0              # the first answer only
    if s.answers_tail - s.answers_head == STAGE_ANSWERS:
        s.answers_head += 1    # its client is not here, or reads slowly
    answer = &s.answers[s.answers_tail & (STAGE_ANSWERS - 1)]
    answer.lsn = lsn
    answer.arrived = s.arrived
    answer.client = client
    s.answers_tail += 1


cdef void stages_delivered(stages_t* s, uint32_t client, uint64_t before_lsn) noexcept nogil:
    cdef stage_answer_t* answer
    cdef uint64_t now = 0
    cdef uint64_t at
    for at in range(s.answers_head, s.answers_tail):
        answer = &s.answers[at & (STAGE_ANSWERS - 1)]
        if answer.client == client and answer.lsn < before_lsn and answer.lsn != 0:
            if now == 0:
                now = s.clock()
            count(s, STAGE_DELIVERED, answer.arrived, now)
            answer.lsn = 0
        if answer.lsn == 0 and at == s.answers_head:
            s.answers_head += 1


cdef dict stages_histograms(const stages_t* s):
    """By stage: (its buckets as native uint64, the sum of its ns)."""
    cdef const char* at = <const char*>s.counts
    cdef Py_ssize_t size = STAGE_BUCKETS * sizeof(uint64_t)
    cdef dict found = {}
    cdef int i
    for i, name in enumerate(NAMES):
        found[name] = (PyBytes_FromStringAndSize(at + i * size, size), s.sums[i])
    return found


# --- the Python face --------------------------------------------------------------------------------------------------

NAMES = ("queued", "checked", "encoded", "journalled", "replicated", "acknowledged", "sent", "order", "answered",
         "delivered")
BUCKETS = STAGE_BUCKETS


def bucket_floor(uint32_t bucket):
    """The smallest ns that bucket `bucket` counts; BUCKETS: one more than the largest."""
    if bucket < STAGE_SUB_BUCKETS:
        return bucket
    return <uint64_t>(STAGE_SUB_BUCKETS + bucket % STAGE_SUB_BUCKETS) << (bucket // STAGE_SUB_BUCKETS - 1)


cdef uint64_t given_ticks = 0


cdef uint64_t given_clock() noexcept nogil:
    return given_ticks


cdef class Stages:
    """Stamps with a clock that stands still until it is told otherwise; a tick is a nanosecond."""

    def __cinit__(self):
        if stages_init(&self.stages) != 0:
            raise MemoryError("stages")
        self.stages.clock = given_clock

    def __dealloc__(self):
        stages_free(&self.stages)

    @property
    def ticks(self):
        """What the clock shows."""
        return given_ticks

    @ticks.setter
    def ticks(self, uint64_t value):
        global given_ticks
        given_ticks = value

    def restart(self, uint64_t last_lsn):
        """stages_restart."""
        stages_restart(&self.stages, last_lsn)

    def arrive(self):
        """The owner turns to an input."""
        self.stages.arrived = self.stages.clock()

    def check(self):
        """stages_check."""
        stages_check(&self.stages)

    def encode(self):
        """stages_encode."""
        stages_encode(&self.stages)

    def journalled(self, uint64_t lsn, uint16_t session=0, queued_ns=None):
        """stages_journalled."""
        stages_journalled(&self.stages, lsn, session, UNKNOWN if queued_ns is None else queued_ns)

    def replicated(self, uint64_t upto_lsn):
        """stages_replicated."""
        stages_replicated(&self.stages, upto_lsn)

    def released(self, uint64_t upto_lsn):
        """stages_released."""
        stages_released(&self.stages, upto_lsn)

    def sent(self, uint16_t session, uint64_t upto_lsn):
        """stages_sent."""
        stages_sent(&self.stages, session, upto_lsn)

    def answered(self, uint64_t order_lsn, uint64_t lsn, uint32_t client):
        """stages_answered."""
        stages_answered(&self.stages, order_lsn, lsn, client)

    def delivered(self, uint32_t client, uint64_t before_lsn):
        """stages_delivered."""
        stages_delivered(&self.stages, client, before_lsn)

    def count(self, int which, uint64_t ns):
        """stages_count."""
        stages_count(&self.stages, <stage>which, ns)

    def histograms(self):
        """By stage: (its buckets as native uint64, the sum of its ns)."""
        return stages_histograms(&self.stages)

    def measure(self, uint64_t orders):
        """ns that stamping takes an order which meets every stage alone, with the clock that a node has.

        The times at which a node turns to its inputs are there already: it reads the clock once a turn.
        """
        cdef ticks_clock_t clock
        cdef uint64_t mono_ns = 0
        cdef uint64_t wall_ns = 0
        cdef uint64_t began
        cdef uint64_t lsn
        with nogil:
            ticks_start(&clock, 1)
            self.stages.clock = ticks_counter
            self.stages.ns_per_tick = clock.ns_per_tick
            ticks_read(&clock, &mono_ns, &wall_ns)
            began = mono_ns
            for lsn in range(1, 2 * orders, 2):
                stages_check(&self.stages)
                stages_encode(&self.stages)
                stages_journalled(&self.stages, lsn, 0, 1000)
                stages_replicated(&self.stages, lsn)
                stages_released(&self.stages, lsn)
                stages_sent(&self.stages, 0, lsn)
                stages_answered(&self.stages, lsn, lsn + 1, 1)
                stages_delivered(&self.stages, 1, lsn + 2)
            ticks_read(&clock, &mono_ns, &wall_ns)
        return (mono_ns - began) / orders


def ns_after_the_counter_went_back(uint64_t left_ticks):
    """What a node's clock says is gone from one look to the next, the processor's counter having gone back between.

    To so many ticks behind where the clock began to take its rate, more than a second before.
    """
    cdef ticks_clock_t clock
    cdef uint64_t mono_ns = 0
    cdef uint64_t wall_ns = 0
    cdef uint64_t began
    ticks_start(&clock, 1)
    ticks_read(&clock, &mono_ns, &wall_ns)
    began = mono_ns
    clock.first_ns -= 2000000000
    clock.at = ticks_counter() + (<uint64_t>1 << 40)     # as if the counter had been so far, and was set back
    clock.first_at = ticks_counter() - left_ticks
    ticks_read(&clock, &mono_ns, &wall_ns)
    while ticks_counter() - clock.at < clock.refresh // 2:
        pass
    ticks_read(&clock, &mono_ns, &wall_ns)
    return mono_ns - began
