# What a truncation cuts is kept aside in files of its own; a truncation that failed. Part of journal.pyx.


cdef keep_aside(Journal journal, uint64_t first, aside):
    """Copies the records from `first` into files of their own; the Path of the first file, or None."""
    cdef uint64_t last = journal.handle.last_lsn
    cdef uint64_t end
    if aside is None and journal.path is None:
        return None
    paths = []
    while first <= last:
        end = end_of_part(journal, first)
        name = f"diverged-{journal.handle.last_epoch}-{first}-{end - first}.log"
        target = journal.path / name if aside is None else Path(aside)
        if aside is not None and paths:
            target = target.with_name(f"{target.name}.{len(paths)}")
        try:
            paths.append(write_part(journal, unused(target), first, end))
        except JournalError:
            discard(paths)
            raise
        first = end
    return paths[0]


cdef uint64_t end_of_part(Journal journal, uint64_t first) noexcept:
    """LSN behind the last record that fits in one file with `first`."""
    cdef uint64_t size = 0
    cdef uint64_t lsn = first
    while lsn <= journal.handle.last_lsn and (lsn == first or size < MAX_PART_BYTES):
        size += record_padded_length(journal_at(journal.handle, lsn).length)
        lsn += 1
    return lsn


cdef write_part(Journal journal, target, uint64_t first, uint64_t end):
    cdef private_t* p = inside(journal.handle)
    cdef segment_header_t header
    cdef const record_header_t* record
    cdef uint64_t size = HEADER_PAGE_BYTES
    cdef uint64_t lsn
    try:
        with target.open("xb") as file:
            file.seek(HEADER_PAGE_BYTES)
            for lsn in range(first, end):
                record = journal_at(journal.handle, lsn)
                size += record_padded_length(record.length)
                file.write(PyBytes_FromStringAndSize(<const char*>record, record_padded_length(record.length)))
            size = (size + 8 + PAGE_BYTES - 1) & ~<uint64_t>(PAGE_BYTES - 1)
            segment_write_header(<uint8_t*>&header, size, p.pair_id, p.node, first)
            file.truncate(size)
            file.seek(0)
            file.write(PyBytes_FromStringAndSize(<const char*>&header, sizeof(header)))
            file.flush()
            os.fsync(file.fileno())
        sync_directory(target.parent)
    except OSError as error:
        if not isinstance(error, FileExistsError):
            discard([target])
        raise JournalError(f"{target}: {error.strerror}; nothing was truncated") from error
    return target


cdef end_failed_truncation(Journal journal, uint64_t lsn):
    cdef int error = 0
    with nogil:
        pthread_mutex_lock(&inside(journal.handle).busy)
        if inside(journal.handle).uncut:
            error = end_truncation(journal.handle)
        pthread_mutex_unlock(&inside(journal.handle).busy)
    check_truncation(journal, lsn, error)


cdef check_truncation(Journal journal, lsn, int error):
    if error:
        raise JournalError(f"{journal.path}: truncation to LSN {lsn} did not finish: {os.strerror(error)}; mend the "
                           "disk and truncate again")


cdef sync_directory(path):
    """Makes the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


cdef discard(paths):
    """Files that were begun, and are of no use."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


cdef unused(path):
    """`path`, or with a number behind its stem if there is such a file."""
    number = 1
    found = path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return found
