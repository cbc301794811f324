# Recovery at opening: what is accepted, what is cut off and kept, what is refused. Part of journal.pyx.


cdef recover(Journal journal, bint power_lost):
    """Checks and indexes every record: (whether there was a torn tail, its bytes, the file that keeps it or
    None)."""
    cdef private_t* p = inside(journal.handle)
    cdef uint64_t limit = UINT64_MAX
    cdef walk_end end
    cdef uint32_t i
    if p.meta is not NULL and p.meta.truncating:
        limit = p.meta.truncate_lsn
    for i in range(p.segment_count):
        if i and p.segments[i].first_lsn != expected_lsn(journal.handle):
            raise JournalCorruptError(f"{name_of(journal, i)}: starts with LSN {p.segments[i].first_lsn}, expected "
                                      f"{expected_lsn(journal.handle)}: something before it is missing: "
                                      f"{remedy(journal)}")
        enter_segment(p, i)
        end = walk(journal.handle, limit)
        while end == WALK_NO_RECORD:
            found = end_of_log(journal, limit, power_lost)
            if found is not None:
                return found
            end = walk(journal.handle, limit)
        if end == WALK_INDEX_FULL:
            raise JournalError(f"{journal.path}: more records than max_records ({p.max_records - 1}): raise it")
    if limit != UINT64_MAX:
        finish_truncation(journal)
    return False, 0, None


cdef end_of_log(Journal journal, uint64_t limit, bint power_lost):
    """The log ends before the last segment does: why? As recover, or None: it goes on by now."""
    cdef private_t* p = inside(journal.handle)
    cdef uint64_t expected = expected_lsn(journal.handle)
    cdef uint64_t stopped_at = p.offset
    cdef uint64_t behind
    if expected > limit:
        finish_truncation(journal)
        return False, 0, None
    with nogil:
        behind = record_behind(journal.handle)
    if journal.read_only and (walk(journal.handle, limit) != WALK_NO_RECORD or p.offset != stopped_at):
        return None                          # a live node has appended meanwhile
    blank = load_u32(<uint32_t*>(p.tail + p.offset)) == 0
    if behind and not (power_lost and expected > was_flushed(journal)):
        raise JournalCorruptError(
            f"{name_of(journal, p.current)}: offset {p.offset}: the record with LSN {expected} is damaged, and "
            f"record {behind} behind it is there. Nothing was changed: {remedy(journal)}")
    if not behind and blank:
        if not journal.read_only:
            wipe(p.tail + p.offset, p.segment_bytes - p.offset)     # what a killed process had begun to write
        return False, 0, None
    pieces = tail_pieces(journal)
    size = sum(map(len, pieces))
    return True, size, None if journal.read_only else cut_tail(journal, expected, pieces)


cdef uint64_t was_flushed(Journal journal) noexcept:
    """LSN up to which everything was on disk when the journal was last in use."""
    cdef private_t* p = inside(journal.handle)
    return p.meta.flushed_lsn if p.meta is not NULL else journal.handle.flushed_lsn


cdef cut_tail(Journal journal, uint64_t expected, pieces):
    if journal.path is None:
        journal._check_page(cut(journal.handle))
        return None
    kept = journal.path / f"torn-{expected}-{time.time_ns()}.bin"
    with kept.open("xb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    os.fsync(inside(journal.handle).directory)
    journal._check_page(cut(journal.handle))
    return kept


cdef tail_pieces(Journal journal):
    """What stands behind the good prefix, of each segment, without the zeros at its end."""
    cdef private_t* p = inside(journal.handle)
    cdef uint32_t i
    cdef uint64_t start
    pieces = []
    for i in range(p.current, p.segment_count):
        start = p.offset if i == p.current else 0
        whole = PyBytes_FromStringAndSize(<const char*>p.segments[i].base + start, p.segment_bytes - start)
        pieces.append(whole.rstrip(b"\0"))
    return pieces


cdef finish_truncation(Journal journal):
    """Finishes a truncation that a crash interrupted."""
    cdef private_t* p = inside(journal.handle)
    journal._check_page(cut(journal.handle))
    p.meta.truncating = 0
    journal._check_page(sync_page(p.meta))
