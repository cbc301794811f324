# Truncation and the walk of recovery. Part of journal.pyx.


cdef enum walk_end:
    WALK_SEGMENT_ENDED = 0
    WALK_NO_RECORD = 1        # what stands at p.offset does not go on with the log
    WALK_INDEX_FULL = 2


cdef walk_end walk(journal_t* j, uint64_t limit) noexcept nogil:
    """Checks and indexes the records of the current segment from p.offset on, up to LSN `limit`."""
    cdef private_t* p = inside(j)
    cdef const record_header_t* record
    cdef uint32_t length
    while p.offset + 8 <= p.segment_bytes:
        if expected_lsn(j) > limit:
            return WALK_NO_RECORD
        record = <const record_header_t*>(p.tail + p.offset)
        length = load_u32(&record.length)
        if length == END_OF_SEGMENT:
            return WALK_SEGMENT_ENDED
        if length > p.segment_bytes - p.offset or record.lsn != expected_lsn(j) or record.epoch < j.last_epoch \
                or not record_intact(record):
            return WALK_NO_RECORD
        if record.lsn >= p.max_records:
            return WALK_INDEX_FULL
        publish(j, record, p.offset)
        p.offset += record_padded_length(length)
    return WALK_SEGMENT_ENDED


cdef uint64_t expected_lsn(const journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    return j.last_lsn + 1 if j.last_lsn else p.segments[0].first_lsn


cdef void enter_segment(private_t* p, uint32_t i) noexcept nogil:
    p.current = i
    p.tail = p.segments[i].base
    p.offset = HEADER_PAGE_BYTES


cdef uint64_t record_behind(journal_t* j) noexcept nogil:
    """LSN of a whole record behind the end of the good prefix; 0 if there is none."""
    cdef private_t* p = inside(j)
    cdef const record_header_t* record
    cdef uint64_t expected = expected_lsn(j)
    cdef uint64_t offset = p.offset + 8
    while offset + RECORD_HEADER_BYTES <= p.segment_bytes:
        record = <const record_header_t*>(p.tail + offset)
        if (expected <= record.lsn < expected + p.max_records and record.length <= p.segment_bytes - offset
                and record_intact(record)):
            return record.lsn
        offset += 8
    return p.segments[p.current + 1].first_lsn if p.current + 1 < p.segment_count else 0


cdef int cut(journal_t* j) noexcept nogil:
    """Removes what is behind p.offset in the current segment, and all later segments, the last one first. 0 or
    errno."""
    cdef private_t* p = inside(j)
    cdef char name[SEGMENT_NAME_BYTES]
    cdef int error = name_current(p)
    while error == 0 and p.segment_count > p.current + 1:
        if p.directory >= 0:
            segment_name(name, p.segments[p.segment_count - 1].first_lsn)
            error = segment_unlink(p.directory, name)
        if error == 0 or error == ENOENT:
            error = 0
            p.segment_count -= 1
            segment_unmap(&p.segments[p.segment_count], p.segment_bytes)
    if error == 0:
        wipe(p.tail + p.offset, p.segment_bytes - p.offset)
        error = segment_sync(&p.segments[p.current], p.offset & ~<uint64_t>(PAGE_BYTES - 1), p.segment_bytes)
    return error


cdef int truncate(journal_t* j, uint64_t lsn) noexcept nogil:
    """Cuts the records after `lsn`. A crash in the middle is finished at the next opening. 0 or errno."""
    cdef private_t* p = inside(j)
    cdef uint64_t position = p.positions[lsn + 1]
    cdef int error = name_current(p)
    if error == 0 and p.meta is not NULL:
        p.meta.flushed_lsn = min(p.meta.flushed_lsn, lsn)
        p.meta.truncate_lsn = lsn
        p.meta.truncating = 1
        error = sync_page(p.meta)
        if error:
            p.meta.truncating = 0
    if error:
        return error
    p.current = <uint32_t>(position >> 32)
    p.tail = p.segments[p.current].base
    p.offset = <uint32_t>position
    store_u64(&j.flushed_lsn, min(j.flushed_lsn, lsn))
    reindex(j, lsn)
    return end_truncation(j)


cdef int end_truncation(journal_t* j) noexcept nogil:
    """0 or errno: it can be tried again. Even then the next opening does not finish it: it would cut what was appended
    from here on, too."""
    cdef private_t* p = inside(j)
    cdef int error = cut(j)
    if error:
        wipe(p.tail + p.offset, p.segment_bytes - p.offset)
    if p.meta is not NULL:
        p.meta.truncating = 0
        error = sync_page(p.meta) or error
    p.uncut = error != 0
    return error


cdef int sync_page(meta_t* meta) noexcept nogil:
    cdef segment_t page
    page.base = <uint8_t*>meta
    page.backed = True
    return segment_sync(&page, 0, META_BYTES)


cdef void reindex(journal_t* j, uint64_t last) noexcept nogil:
    """Derives the indices anew for the records up to `last`."""
    cdef private_t* p = inside(j)
    cdef uint64_t lsn = j.first_lsn
    cdef const record_header_t* record
    forget(p.lsns, index_bytes(p))
    memset(p.reset_lsn, 0, sizeof(p.reset_lsn))
    memset(p.newest_seq, 0, <size_t>p.max_sessions * 2 * 8)
    memset(p.warm_seqs, 0, <size_t>p.max_sessions * 2 * 8)
    p.epoch_count = 0
    while lsn <= last:
        record = journal_at(j, lsn)
        index_record(p, record, p.positions[lsn])
        lsn += 1
    j.last_epoch = p.epochs[p.epoch_count - 1].epoch if p.epoch_count else 0
    if last < j.first_lsn:
        j.first_lsn = 0
        last = 0
    store_u64(&j.last_lsn, last)


cdef uint64_t index_bytes(const private_t* p) noexcept nogil:
    return <uint64_t>p.max_sessions * 2 * p.max_seq * 8


cdef void release(journal_t* j) noexcept nogil:
    """Unmaps everything. Nothing is written: what is in mapped memory is the kernel's already."""
    cdef private_t* p = inside(j)
    cdef uint32_t i
    pthread_mutex_lock(&p.busy)
    for i in range(p.segment_count):
        segment_unmap(&p.segments[i], p.segment_bytes)
    if p.prepared_full:
        segment_unmap(&p.prepared, p.segment_bytes)
    if p.preparing.base is not NULL and p.preparing.backed:
        segment_filled(p.preparing_fd, False)
    segment_unmap(&p.preparing, p.segment_bytes)
    unmap(p.positions, p.max_records * 8)
    unmap(p.lsns, index_bytes(p))
    unmap(p.epochs, MAX_EPOCHS * sizeof(epoch_end_t))
    unmap(p.meta, META_BYTES)
    free(p.newest_seq)
    free(p.warm_seqs)
    p.positions = NULL
    p.lsns = NULL
    p.epochs = NULL
    p.meta = NULL
    p.newest_seq = NULL
    p.warm_seqs = NULL
    p.segment_count = 0
    p.prepared_full = 0
    j.last_lsn = 0
    j.first_lsn = 0
    pthread_mutex_unlock(&p.busy)
