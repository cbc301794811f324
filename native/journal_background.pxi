# The background: the next segment, flushing, warming. Part of journal.pyx.


cdef journal_status journal_prepare(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef int error = 0
    pthread_mutex_lock(&p.busy)
    if p.positions is not NULL:
        warm(j)
        error = prepare_step(p)
        if p.flush_error == 0:
            j.error_number = error
    pthread_mutex_unlock(&p.busy)
    return JOURNAL_OK if error == 0 else JOURNAL_IO_ERROR


cdef void journal_set_full(journal_t* j, bint full) noexcept nogil:
    inside(j).without_space = full


cdef journal_status journal_flush(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef journal_status status = JOURNAL_OK
    pthread_mutex_lock(&p.busy)
    if p.positions is not NULL:
        status = flush(j)
    pthread_mutex_unlock(&p.busy)
    return status


cdef journal_status journal_background(journal_t* j, bint flushing, uint64_t interval_ns,
                                       const int* stop) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef journal_status status
    cdef uint64_t now
    short_timer_slack()
    p.writes_zeros = flushing
    p.flushes_at_once = flushing and interval_ns == 0
    while not load_int(stop):
        now = mono_ns()
        if now >= p.prepare_due_ns:
            if now >= p.warm_again_ns:
                p.warm_end = 0
                p.warm_again_ns = now + WARM_AGAIN_NS
            status = journal_prepare(j)
            keep_pace(p)
            p.prepare_due_ns = now + (p.pause_ns if p.preparing.base is NULL else LEISURE_NS if at_leisure(p) else 0)
            if status != JOURNAL_OK:
                p.prepare_due_ns = now + RETRY_NS
                return status
        if flushing and now >= p.flush_due_ns and load_u64(&j.last_lsn) > j.flushed_lsn:
            status = journal_flush(j)
            p.flush_due_ns = now + interval_ns
            if status != JOURNAL_OK:
                p.flush_due_ns = now + RETRY_NS
                return status
            p.busy_until_ns = now + QUIET_NS
        elif p.preparing.base is NULL or p.prepare_due_ns > now:
            rest(j, flushing, interval_ns, now)
        if now >= p.meta_due_ns:
            sync_meta(p)
            p.meta_due_ns = now + META_EVERY_NS
    return journal_flush(j)


cdef inline void give_way(const private_t* p) noexcept nogil:
    """Between two pieces, to who shares the core, while there is time: who does not give it back has it for long, and
    with no pause between flushes somebody waits for the next one."""
    if at_leisure(p) and p.pause_ns > PREPARE_EVERY_NS and not p.flushes_at_once:
        sched_yield()


cdef void keep_pace(private_t* p) noexcept nogil:
    """The next look is due when PACE_BYTES more are written, as far as the last pause tells."""
    cdef uint64_t offset = load_u64(&p.offset)
    cdef uint64_t written = offset - p.paced_bytes if offset >= p.paced_bytes else offset
    p.paced_bytes = offset
    p.pause_ns = min(max(p.pause_ns * PACE_BYTES // (written + 1), <uint64_t>PREPARE_EVERY_NS), PREPARE_IDLE_NS)


cdef void rest(journal_t* j, bint flushing, uint64_t interval_ns, uint64_t now) noexcept nogil:
    """Sleeps until there may be something to do."""
    cdef private_t* p = inside(j)
    cdef uint64_t pause_ns = p.pause_ns
    if flushing and interval_ns < PREPARE_EVERY_NS:
        pause_ns = POLL_BUSY_NS if now < p.busy_until_ns else POLL_IDLE_NS
        pause_ns = max(pause_ns, interval_ns)
    elif flushing:
        pause_ns = min(pause_ns, interval_ns)
    pause_ns = min(pause_ns, p.prepare_due_ns - now if p.prepare_due_ns > now else 0)
    store_u32(&p.asleep, 1)
    if not flushing or interval_ns or now < p.flush_due_ns or load_u64(&j.last_lsn) <= j.flushed_lsn:
        wait_on(&p.asleep, pause_ns)
    store_u32(&p.asleep, 0)


cdef int name_current(private_t* p) noexcept nogil:
    """Gives the current segment its name by first LSN. 0 or errno."""
    cdef char name[SEGMENT_NAME_BYTES]
    cdef int error
    if not load_u32(&p.unnamed):
        return 0
    segment_name(name, p.segments[load_u32(&p.current)].first_lsn)
    error = segment_rename(p.directory, PREPARED_NAME, name)
    if error == 0:
        store_u32(&p.unnamed, 0)
    return error


cdef int prepare_step(private_t* p) noexcept nogil:
    """Gives the current segment its name and brings the next one nearer, if that is due. 0 or errno.

    In this order: once nothing is prepared, the log cannot go on in another segment. So the current one has its name
    before the next one is made under PREPARED_NAME, which would take its place.
    """
    cdef int error
    if p.preparing.base is NULL:
        if load_u32(&p.prepared_full):
            return 0
        error = name_current(p)
        if error or not prepare_due(p):
            return error
        if p.segment_count >= MAX_SEGMENTS:
            return EMFILE
        error = create_next(p)
        if error:
            return error
    error = fill_next(p)
    if error or p.prepared_bytes < p.segment_bytes:
        return error
    if p.preparing.backed:
        error = segment_filled(p.preparing_fd, fills_to_disk(p))
    if error:
        segment_unmap(&p.preparing, p.segment_bytes)      # is made anew
        return error
    p.prepared = p.preparing
    p.preparing.base = NULL
    store_u32(&p.prepared_full, 1)
    return 0


cdef bint prepare_due(private_t* p) noexcept nogil:
    return (load_u32(&p.current) == UINT32_MAX or load_u32(&p.wanted) != 0
            or load_u64(&p.offset) >= p.segment_bytes // PREPARE_AT_PART)


cdef bint hurried(const private_t* p) noexcept nogil:
    """Hundreds of thousands of records a second fill a segment faster than zeros get to a disk."""
    return load_u32(&p.wanted) != 0 or load_u64(&p.offset) >= p.segment_bytes // 2


cdef bint at_leisure(const private_t* p) noexcept nogil:
    """There is a segment to write to, and it is far from full."""
    return load_u32(&p.current) != UINT32_MAX and not hurried(p)


cdef int create_next(private_t* p) noexcept nogil:
    p.prepared_bytes = 0
    if p.directory < 0:
        if p.without_space:
            return ENOSPC
        p.prepared_bytes = p.segment_bytes       # a page fault in anonymous memory is cheap
        return segment_create_anonymous(&p.preparing, p.segment_bytes)
    return segment_create(&p.preparing, &p.preparing_fd, p.directory, PREPARED_NAME, p.segment_bytes)


cdef bint fills_to_disk(const private_t* p) noexcept nogil:
    return p.writes_zeros and not hurried(p)


cdef int fill_next(private_t* p) noexcept nogil:
    """Fills the next LEISURE_STEP_BYTES or PREPARE_STEP_BYTES of the segment in preparation. 0 or errno."""
    cdef uint64_t start = p.prepared_bytes
    cdef uint64_t step = LEISURE_STEP_BYTES if at_leisure(p) else PREPARE_STEP_BYTES
    cdef uint64_t end = min(start + step, p.segment_bytes)
    cdef uint64_t at = start
    cdef int error = 0
    while at < end and error == 0:
        error = segment_fill(p.preparing_fd, at, min(end, at + PIECE_BYTES))
        at += PIECE_BYTES
        give_way(p)
    if error == 0 and start < end:
        # What goes to disk leaves the mapping again, and is warmed when the writer comes near.
        if fills_to_disk(p):
            segment_start_writing(p.preparing_fd, start, end)
        else:
            error = populate(p.preparing.base + start, end - start)
    if error == 0:
        p.prepared_bytes = end
    return error


cdef void warm(journal_t* j) noexcept nogil:
    """Pages of segments and indices that the writer comes to next take their faults here.

    Also those that it wrote to already: after the kernel has written a page to disk, the next write to it is a fault.
    """
    cdef private_t* p = inside(j)
    cdef uint32_t current = load_u32(&p.current)
    cdef uint64_t offset = load_u64(&p.offset)
    cdef uint64_t wanted
    cdef uint64_t row
    if p.directory < 0:
        return
    if current != p.warm_segment or offset + WARM_BYTES // 2 > p.warm_end:
        if current != UINT32_MAX:
            warm_segment(p, &p.segments[current], offset, WARM_BYTES)
        if load_u32(&p.prepared_full):
            warm_segment(p, &p.prepared, 0, WARM_BYTES)
        p.warm_segment = current
        p.warm_end = offset + WARM_BYTES
    wanted = min(load_u64(&j.last_lsn) + WARM_POSITIONS, p.max_records)
    if p.warm_positions < wanted:
        p.warm_positions = warm_index(p.positions, p.warm_positions, wanted)
    for row in range(<uint64_t>p.max_sessions * 2):
        wanted = min(load_u64(&p.newest_seq[row]) + WARM_SEQS, p.max_seq)
        if p.warm_seqs[row] < wanted:
            p.warm_seqs[row] = warm_index(
                p.lsns + row * p.max_seq, max(p.warm_seqs[row], wanted - min(wanted, 2 * WARM_SEQS)), wanted)


cdef void warm_segment(private_t* p, const segment_t* segment, uint64_t offset, uint64_t size) noexcept nogil:
    cdef uint64_t start = offset & ~<uint64_t>(PAGE_BYTES - 1)
    cdef uint64_t end = min(start + size, p.segment_bytes)
    if segment.base is NULL:
        return
    while start < end:
        populate(segment.base + start, min(end - start, <uint64_t>PIECE_BYTES))
        start += PIECE_BYTES
        give_way(p)


cdef uint64_t warm_index(uint64_t* entries, uint64_t start, uint64_t end) noexcept nogil:
    """Touches the pages of entries[start:end]; the entry up to which all is touched."""
    start &= ~<uint64_t>(ENTRIES_PER_PAGE - 1)
    end = (end + ENTRIES_PER_PAGE - 1) & ~<uint64_t>(ENTRIES_PER_PAGE - 1)
    populate(<uint8_t*>(entries + start), (end - start) * 8)
    return end


cdef journal_status flush(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t last = load_u64(&j.last_lsn)
    if p.flush_error:
        j.error_number = p.flush_error
        return JOURNAL_IO_ERROR
    if last <= j.flushed_lsn:
        return JOURNAL_OK
    if p.meta is not NULL:
        p.flush_error = sync_records(p, j.flushed_lsn + 1, last)
        if p.flush_error:
            j.error_number = p.flush_error
            return JOURNAL_IO_ERROR
        store_u64(&p.meta.flushed_lsn, last)
    store_u64(&j.flushed_lsn, last)
    if p.meta is not NULL:
        # The pages just written are write-protected now.
        warm_segment(p, &p.segments[load_u32(&p.current)], load_u64(&p.offset), WARM_AFTER_FLUSH_BYTES)
    return JOURNAL_OK


cdef int sync_records(private_t* p, uint64_t first, uint64_t last) noexcept nogil:
    """Makes the records first to last durable. 0 or errno."""
    cdef uint64_t from_segment = p.positions[first] >> 32
    cdef uint64_t to_segment = p.positions[last] >> 32
    cdef uint64_t segment = from_segment
    cdef uint64_t start = <uint32_t>p.positions[first] & ~<uint64_t>(PAGE_BYTES - 1)
    cdef uint64_t end
    cdef int error
    while segment <= to_segment:
        # The header page goes along with the first record, the mark at the end with the next segment's first.
        if start == HEADER_PAGE_BYTES:
            start = 0
        end = end_of_record(p, p.positions[last]) if segment == to_segment else p.segment_bytes
        error = segment_sync(&p.segments[segment], start, end)
        if error:
            return error
        segment += 1
        start = 0
    return 0


cdef uint64_t end_of_record(private_t* p, uint64_t position) noexcept nogil:
    """End of the last page that the record, and the 0 behind it, touch."""
    cdef uint64_t offset = <uint32_t>position
    cdef const record_header_t* record = <const record_header_t*>(p.segments[position >> 32].base + offset)
    return min(p.segment_bytes, (offset + record_padded_length(record.length) + 8 + PAGE_BYTES - 1)
               & ~<uint64_t>(PAGE_BYTES - 1))


cdef void sync_meta(private_t* p) noexcept nogil:
    cdef segment_t page
    pthread_mutex_lock(&p.busy)
    if p.meta is not NULL:
        page.base = <uint8_t*>p.meta
        page.backed = True
        segment_sync(&page, 0, META_BYTES)
    pthread_mutex_unlock(&p.busy)
