# Opening: the index, then what is there is mapped, recovered and settled. Part of journal.pyx.


cdef lay_out(Journal journal, uint64_t segment_bytes, uint64_t max_records, uint32_t max_sessions, uint64_t max_seq):
    cdef private_t* p = inside(journal.handle)
    if segment_bytes < MIN_SEGMENT_BYTES or segment_bytes % PAGE_BYTES or segment_bytes >= 1 << 32:
        raise ValueError(f"segment_bytes {segment_bytes}: a multiple of {PAGE_BYTES}, from {MIN_SEGMENT_BYTES} and "
                         "below 4 GiB")
    if not 0 < max_sessions <= 1 << 16:
        raise ValueError(f"max_sessions {max_sessions}: 1 to 65536")
    if not 0 < max_records <= 1 << 40 or not 0 < max_seq <= 1 << 32:
        raise ValueError(f"max_records {max_records}, max_seq {max_seq}: at most 2**40 and 2**32")
    p.segment_bytes = segment_bytes
    p.max_records = round_up(max_records + 1)      # LSN 0 has a place
    p.max_sessions = max_sessions
    p.max_seq = round_up(max_seq + 1)
    p.current = UINT32_MAX
    p.offset = segment_bytes                       # "full": the first reservation opens the first segment
    p.newest_seq = <uint64_t*>calloc(<size_t>max_sessions * 2, 8)
    p.warm_seqs = <uint64_t*>calloc(<size_t>max_sessions * 2, 8)
    p.epochs = <epoch_end_t*>map_anonymous(MAX_EPOCHS * sizeof(epoch_end_t))
    p.lsns = <uint64_t*>map_anonymous(index_bytes(p))
    p.positions = <uint64_t*>map_anonymous(p.max_records * 8)
    if p.positions is NULL or p.lsns is NULL or p.epochs is NULL or p.newest_seq is NULL or p.warm_seqs is NULL:
        raise MemoryError(f"journal index: {(p.max_records * 8 + index_bytes(p)) >> 30} GiB of address space; "
                          "lower max_records, max_sessions or max_seq, or allow overcommit (vm.overcommit_memory)")


cdef uint64_t round_up(uint64_t entries) noexcept:
    """To whole pages of the index."""
    return (entries + ENTRIES_PER_PAGE - 1) & ~<uint64_t>(ENTRIES_PER_PAGE - 1)


cdef open_for_writing(Journal journal):
    cdef private_t* p = inside(journal.handle)
    journal.path.mkdir(parents=True, exist_ok=True)
    lock_directory(journal)
    p.directory = os.open(journal.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    names = segment_files(journal)
    power_lost = open_meta(journal, bool(names))
    for i, name in enumerate(names, 1):
        map_segment(journal, name, i == len(names))
    if p.segment_count and p.segments[0].first_lsn != 1:
        raise JournalCorruptError(f"{journal.path}: the oldest segment starts with LSN {p.segments[0].first_lsn}: "
                                  f"those before it are missing. Put them back, or {remedy(journal)}")
    torn, size, kept = recover(journal, power_lost)
    settle(journal, torn, size, kept, power_lost)


cdef settle(Journal journal, bint torn, size, kept, bint power_lost):
    """Recovered: keeps what was found for `recovery`, and makes durable all that is relied on from now."""
    cdef private_t* p = inside(journal.handle)
    cdef uint64_t last = journal.handle.last_lsn
    if not p.meta.lost_from_lsn and (torn or power_lost or last < p.meta.flushed_lsn):
        p.meta.lost_from_lsn = last + 1
    if torn or last < p.meta.flushed_lsn:
        p.meta.cut = 1
    journal.handle.flushed_lsn = min(p.meta.flushed_lsn, last)
    p.meta.flushed_lsn = journal.handle.flushed_lsn
    journal.recovery = Recovery(len(journal), last, journal.handle.last_epoch, torn, size, kept, power_lost,
                                p.meta.lost_from_lsn, p.meta.lost_from_lsn != 0, None, p.meta.cut != 0,
                                p.meta.new != 0)
    journal.handle.unproven = p.meta.new != 0
    journal.flush()
    if journal_prepare(journal.handle) != JOURNAL_OK and p.segment_count == 0:
        journal._check(JOURNAL_IO_ERROR)       # a journal that holds something can be served from without space
    while p.segment_count == 0 and not p.prepared_full:
        journal._check(journal_prepare(journal.handle))
    # Only now: a crash above must find power_lost again.
    boot = boot_id()
    memset(p.meta.boot_id, 0, sizeof(p.meta.boot_id))
    memcpy(p.meta.boot_id, <const char*><bytes>boot, len(boot))
    p.meta.clean = 0
    journal._check_page(sync_page(p.meta))


cdef open_for_reading(Journal journal):
    if not journal.path.exists():
        raise JournalError(f"{journal.path}: there is no journal here")
    whole = journal.path.is_dir()
    map_all(journal, whole)
    if whole and not inside(journal.handle).segment_count and not (journal.path / "journal.meta").exists():
        raise JournalError(f"{journal.path}: there is no journal here")
    torn, size, damage = False, 0, None
    try:
        torn, size, _ = recover(journal, False)
    except JournalCorruptError as error:
        damage = str(error)
    if whole:
        read_meta(journal)
    journal.recovery = Recovery(len(journal), journal.handle.last_lsn, journal.handle.last_epoch, torn, size, None,
                                False, 0, False, damage, False, False)


cdef map_all(Journal journal, bint whole):
    """Maps for reading. A live node may rename the newest segment meanwhile: then once more."""
    cdef private_t* p = inside(journal.handle)
    for attempt in range(READ_ATTEMPTS):
        try:
            names = segment_files(journal) if whole else [journal.path]
            for i, name in enumerate(names, 1):
                map_segment(journal, name, i == len(names))
        except FileNotFoundError:
            if attempt == READ_ATTEMPTS - 1:
                raise
            while p.segment_count:
                p.segment_count -= 1
                segment_unmap(&p.segments[p.segment_count], p.segment_bytes)
        else:
            return
