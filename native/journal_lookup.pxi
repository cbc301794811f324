# Lookup by LSN, by number and by epoch. Part of journal.pyx.


cdef const record_header_t* journal_at(journal_t* j, uint64_t lsn) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t position
    if lsn == 0 or lsn < j.first_lsn or lsn > j.last_lsn:
        return NULL
    position = p.positions[lsn]
    return <const record_header_t*>(p.segments[position >> 32].base + <uint32_t>position)


cdef const record_header_t* journal_find(journal_t* j, uint16_t session, direction_t direction,
                                         uint64_t seq) noexcept nogil:
    return journal_find_in(j, session, direction, seq, inside(j).reset_lsn[session], j.last_lsn)


cdef const record_header_t* journal_find_in(journal_t* j, uint16_t session, direction_t direction, uint64_t seq,
                                            uint64_t after_lsn, uint64_t until_lsn) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t lsn
    if seq == 0 or j.last_lsn == 0:
        return NULL
    if session < p.max_sessions and seq < p.max_seq:
        lsn = p.lsns[(<uint64_t>session * 2 + direction) * p.max_seq + seq]
        if lsn <= until_lsn:
            return journal_at(j, lsn) if lsn > after_lsn else NULL
    return find_slowly(j, session, direction, seq, after_lsn, until_lsn)


cdef void journal_index_again(journal_t* j, const record_header_t* record) noexcept nogil:
    index_number(inside(j), record)


cdef const record_header_t* find_slowly(journal_t* j, uint16_t session, direction_t direction, uint64_t seq,
                                        uint64_t after_lsn, uint64_t until_lsn) noexcept nogil:
    """What the index does not have (max_sessions, or max_seq messages since the last reset) or what a later record has
    taken the place of: from the end backwards."""
    cdef uint64_t lsn = min(until_lsn, j.last_lsn)
    cdef const record_header_t* record
    cdef uint8_t kind = RECORD_OUT if direction == DIRECTION_OUT else RECORD_IN
    while lsn > after_lsn and lsn >= j.first_lsn:
        record = journal_at(j, lsn)
        if record.kind == kind and record.session == session and record.seq == seq:
            return record
        lsn -= 1
    return NULL


cdef uint64_t journal_end_of_epoch(journal_t* j, uint32_t epoch) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint32_t i = p.epoch_count
    while i > 0:
        i -= 1
        if p.epochs[i].epoch <= epoch:
            return p.epochs[i].last_lsn
    return 0


cdef bint journal_is_uncut(const journal_t* j) noexcept nogil:
    return inside(j).uncut


cdef void journal_wake(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    if load_u32(&p.asleep):
        store_u32(&p.asleep, 0)
        wake(&p.asleep)
