# The append path. Part of journal.pyx.


cdef record_header_t* journal_reserve(journal_t* j, uint32_t payload_capacity) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t need = (<uint64_t>payload_capacity + RECORD_HEADER_BYTES + RECORD_ALIGNMENT - 1) & ~<uint64_t>(
        RECORD_ALIGNMENT - 1)
    if p.offset + need > p.segment_bytes and not next_segment(j, need):
        return NULL
    if j.last_lsn + 1 >= p.max_records:
        return NULL
    return <record_header_t*>(p.tail + p.offset)


cdef uint64_t journal_commit(journal_t* j, record_header_t* place, uint32_t payload_length) noexcept nogil:
    cdef uint32_t length = RECORD_HEADER_BYTES + payload_length
    if place.epoch < j.last_epoch:
        return 0
    place.lsn = j.last_lsn + 1
    place.crc = crc32c(crc32c(0, <const uint8_t*>&length, 4), <const uint8_t*>place + 8, length - 8)
    finish(j, place, length)
    return place.lsn


cdef journal_status journal_append_raw(journal_t* j, const record_header_t* record) noexcept nogil:
    cdef record_header_t* place
    if not record_intact(record):
        return JOURNAL_BAD_RECORD
    if record.lsn != j.last_lsn + 1 or record.epoch < j.last_epoch:
        return JOURNAL_OUT_OF_ORDER
    if HEADER_PAGE_BYTES + <uint64_t>record.length > inside(j).segment_bytes:
        return JOURNAL_TOO_LARGE
    place = journal_reserve(j, record_payload_length(record))
    if place is NULL:
        return JOURNAL_NO_SPACE
    memcpy(<uint8_t*>place + 4, <const uint8_t*>record + 4, record.length - 4)
    finish(j, place, record.length)
    return JOURNAL_OK


cdef void journal_prefetch(const journal_t* j) noexcept nogil:
    cdef const private_t* p = inside(j)
    cdef uint64_t at = p.offset
    cdef uint64_t end = min(at + PREFETCH_BYTES, p.segment_bytes)
    if p.tail is NULL:
        return
    while at < end:
        prefetch_to_write(p.tail + at)
        at += CACHE_LINE_BYTES
    prefetch_to_write(<const uint8_t*>(p.positions + j.last_lsn + 1))


cdef inline void finish(journal_t* j, record_header_t* place, uint32_t length) noexcept nogil:
    """Publishes a record that is complete but for its length."""
    cdef private_t* p = inside(j)
    cdef uint32_t padded = record_padded_length(length)
    cdef uint8_t* raw = <uint8_t*>place
    cdef uint64_t offset = p.offset
    memset(raw + length, 0, padded - length)
    if offset + padded + 8 <= p.segment_bytes:
        (<uint64_t*>(raw + padded))[0] = 0        # an abandoned reservation may have left something here
    store_u32(&place.length, length)
    store_u64(&p.offset, offset + padded)
    publish(j, place, offset)


cdef inline void publish(journal_t* j, const record_header_t* record, uint64_t offset) noexcept nogil:
    cdef private_t* p = inside(j)
    index_record(p, record, <uint64_t>p.current << 32 | offset)
    j.last_epoch = record.epoch
    if j.first_lsn == 0:
        j.first_lsn = record.lsn
    store_u64(&j.last_lsn, record.lsn)


cdef inline void index_record(private_t* p, const record_header_t* record, uint64_t position) noexcept nogil:
    p.positions[record.lsn] = position
    if record.kind == RECORD_OUT or record.kind == RECORD_IN:
        index_number(p, record)
    elif record.kind == RECORD_STATE and record.flags & FLAG_RESET:
        p.reset_lsn[record.session] = record.lsn
    if p.epoch_count and p.epochs[p.epoch_count - 1].epoch == record.epoch:
        p.epochs[p.epoch_count - 1].last_lsn = record.lsn
    else:
        index_epoch(p, record)


cdef inline void index_number(private_t* p, const record_header_t* record) noexcept nogil:
    cdef uint64_t row = <uint64_t>record.session * 2 + (record.kind == RECORD_IN)
    if record.session < p.max_sessions and record.seq < p.max_seq:
        p.lsns[row * p.max_seq + record.seq] = record.lsn
        store_u64(&p.newest_seq[row], record.seq)


cdef void index_epoch(private_t* p, const record_header_t* record) noexcept nogil:
    # forget the oldest: they matter only to a peer that was away for as many takeovers
    if p.epoch_count == MAX_EPOCHS:
        memcpy(p.epochs, p.epochs + MAX_EPOCHS // 2, sizeof(epoch_end_t) * (MAX_EPOCHS // 2))
        p.epoch_count = MAX_EPOCHS // 2
    p.epochs[p.epoch_count].epoch = record.epoch
    p.epochs[p.epoch_count].last_lsn = record.lsn
    p.epoch_count += 1


cdef bint next_segment(journal_t* j, uint64_t need) noexcept nogil:
    """Goes on in the prepared segment. False when there is none, or no segment can hold so much, or files of records
    that are cut are still there: recovery would take them for what comes next."""
    cdef private_t* p = inside(j)
    cdef segment_t* segment
    if HEADER_PAGE_BYTES + need > p.segment_bytes or p.uncut:
        return False
    if not load_u32(&p.prepared_full):
        store_u32(&p.wanted, 1)
        if p.directory >= 0 or journal_prepare(j) != JOURNAL_OK:
            return False
    # A kill after the mark and before the header is valid leaves a prepared segment that counts as unused.
    if p.current != UINT32_MAX and p.offset + 8 <= p.segment_bytes:
        store_u32(<uint32_t*>(p.tail + p.offset), END_OF_SEGMENT)
    segment = &p.segments[p.segment_count]
    segment[0] = p.prepared
    segment.first_lsn = j.last_lsn + 1
    segment_write_header(segment.base, p.segment_bytes, p.pair_id, p.node, segment.first_lsn)
    p.tail = segment.base
    store_u64(&p.offset, HEADER_PAGE_BYTES)
    p.segment_count += 1
    store_u32(&p.current, p.segment_count - 1)
    store_u32(&p.unnamed, p.directory >= 0)
    store_u32(&p.wanted, 0)
    store_u32(&p.prepared_full, 0)                # last: what sees it sees the rest, see prepare_step
    return True
