# The files of a journal's directory: lock, meta file and segments, checked and mapped. Part of journal.pyx.


cdef lock_directory(Journal journal):
    journal.lock = (journal.path / "journal.lock").open("a+b", buffering=0)
    try:
        fcntl.flock(journal.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        holder = os.pread(journal.lock.fileno(), 32, 0).decode("ascii", "replace").strip() or "(not known)"
        raise JournalError(f"{journal.path}: this journal is in use by process {holder}; stop it first") from None
    journal.lock.truncate(0)
    journal.lock.write(f"{os.getpid()}\n".encode())


cdef open_meta(Journal journal, bint exists):
    """Maps journal.meta; whether power was lost since it was last closed."""
    cdef private_t* p = inside(journal.handle)
    cdef segment_t page
    cdef int fd
    name = journal.path / "journal.meta"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.posix_fallocate(fd, 0, META_BYTES)
    except OSError as error:
        os.close(fd)
        raise JournalError(f"{name}: {error.strerror}") from error
    journal._check_page(segment_map(&page, fd, META_BYTES, True))
    p.meta = <meta_t*>page.base
    fresh = p.meta.magic == 0
    if fresh and exists:
        raise JournalCorruptError(f"{name}: missing or empty, but there are segments. "
                                  f"Put it back, or {remedy(journal)}")
    if fresh:
        p.meta.version = FORMAT_VERSION
        p.meta.pair_id = p.pair_id
        p.meta.node = p.node
        p.meta.clean = 1
        p.meta.new = 1
        store_u64(&p.meta.magic, META_MAGIC)
        journal._check_page(sync_page(p.meta))
        os.fsync(p.directory)
    check_meta(journal, name)
    same_boot = bytes(p.meta.boot_id[:40]).rstrip(b"\0") == boot_id()
    return not p.meta.clean and not same_boot


cdef check_meta(Journal journal, name):
    cdef private_t* p = inside(journal.handle)
    if p.meta.magic != META_MAGIC:
        raise JournalCorruptError(f"{name}: not a journal's meta file. Put the right one back, or {remedy(journal)}")
    if p.meta.version != FORMAT_VERSION:
        raise JournalError(f"{name}: format version {p.meta.version}, this program reads {FORMAT_VERSION}")
    if p.meta.pair_id != p.pair_id or p.meta.node != p.node:
        raise JournalError(f"{journal.path}: the journal of node {'ab'[p.meta.node & 1]} of pair {p.meta.pair_id}, "
                           f"not of node {'ab'[p.node & 1]} of pair {p.pair_id}: wrong directory?")


cdef read_meta(Journal journal):
    cdef private_t* p = inside(journal.handle)
    cdef const meta_t* meta
    cdef bytes raw
    name = journal.path / "journal.meta"
    raw = name.read_bytes() if name.exists() else b""
    if len(raw) >= <Py_ssize_t>sizeof(meta_t):
        meta = <const meta_t*><const char*>raw
        journal.handle.flushed_lsn = min(meta.flushed_lsn, journal.handle.last_lsn)
        p.pair_id = meta.pair_id
        p.node = meta.node


cdef segment_files(Journal journal):
    """The directory's segments by first LSN; last the prepared one, if it is in use or cannot be told."""
    names = sorted(journal.path.glob("[0-9]" * 20 + ".log"))
    prepared = journal.path / PREPARED_NAME.decode()
    if prepared.exists():
        if prepared_in_use(prepared):
            names.append(prepared)
        elif not journal.read_only:
            prepared.unlink()
    return names


cdef prepared_in_use(prepared):
    cdef segment_header_t header
    cdef bytes raw
    try:
        with prepared.open("rb") as file:
            raw = file.read(HEADER_PAGE_BYTES + RECORD_HEADER_BYTES)
    except FileNotFoundError:          # renamed this moment, by the live node
        return False
    raw = raw.ljust(HEADER_PAGE_BYTES + RECORD_HEADER_BYTES, b"\0")
    memcpy(&header, <const char*>raw, sizeof(header))
    # The header is written before the first record: without one, or half written, the segment is unused.
    return (segment_check_header(&header) == SEGMENT_GOOD
            or (<const record_header_t*>(<const char*>raw + HEADER_PAGE_BYTES)).length != 0)


cdef map_segment(Journal journal, name, bint last):
    cdef private_t* p = inside(journal.handle)
    cdef segment_header_t header
    cdef segment_t* segment = &p.segments[p.segment_count]
    cdef bytes raw
    if p.segment_count == MAX_SEGMENTS - 1:
        raise JournalError(f"{journal.path}: more than {MAX_SEGMENTS - 1} segments")
    with name.open("rb" if journal.read_only else "r+b") as file:
        raw = file.read(sizeof(segment_header_t)).ljust(sizeof(segment_header_t), b"\0")
        memcpy(&header, <const char*>raw, sizeof(header))
        check_segment(journal, name, &header)
        if p.segment_count == 0:
            p.segment_bytes = header.segment_bytes
        size = os.fstat(file.fileno()).st_size
        if header.segment_bytes != p.segment_bytes or (size < p.segment_bytes and not last):
            raise JournalCorruptError(f"{name}: {size} bytes, and {header.segment_bytes} by its header; expected "
                                      f"{p.segment_bytes}: {remedy(journal)}")
        if size >= p.segment_bytes:
            journal._check_page(segment_map(segment, os.dup(file.fileno()), p.segment_bytes, not journal.read_only))
        elif journal.read_only:
            copy_segment(journal, segment, file, size)
        else:
            # cut short: what is missing shows in the walk
            os.posix_fallocate(file.fileno(), 0, p.segment_bytes)
            journal._check_page(segment_map(segment, os.dup(file.fileno()), p.segment_bytes, True))
    segment.first_lsn = header.first_lsn
    p.segment_count += 1
    p.unnamed = not journal.read_only and name.name == PREPARED_NAME.decode()


cdef copy_segment(Journal journal, segment_t* segment, file, size):
    """A segment file that is shorter than it should be, for reading: beyond its end, a mapping of it would be a
    SIGBUS."""
    cdef bytes raw
    journal._check_page(segment_create_anonymous(segment, inside(journal.handle).segment_bytes))
    file.seek(0)
    raw = file.read(size)
    memcpy(segment.base, <const char*>raw, len(raw))


cdef check_segment(Journal journal, name, const segment_header_t* header):
    cdef private_t* p = inside(journal.handle)
    cdef segment_fault fault = segment_check_header(header)
    if fault == SEGMENT_OTHER_VERSION:
        raise JournalError(f"{name}: format version {header.version}, this program reads {FORMAT_VERSION}")
    named = name.stem.isdigit() and len(name.stem) == 20
    if (fault != SEGMENT_GOOD or header.segment_bytes % PAGE_BYTES
            or not 2 * PAGE_BYTES <= header.segment_bytes < 1 << 32
            or (named and int(name.stem) != header.first_lsn)):
        raise JournalCorruptError(f"{name}: offset 0: the segment header is damaged: {remedy(journal)}")
    if not journal.read_only and (header.pair_id != p.pair_id or header.node != p.node):
        raise JournalError(f"{name}: a segment of node {'ab'[header.node & 1]} of pair {header.pair_id}, which "
                           "does not belong here: move it away")


cdef bytes boot_id():
    """Identifies this start of the host's kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:39]


cdef name_of(Journal journal, uint32_t i):
    """Path of the segment with this index, as it is called now."""
    cdef private_t* p = inside(journal.handle)
    if journal.path is None or not journal.path.is_dir():
        return journal.path
    if p.unnamed and i + 1 == p.segment_count:
        return journal.path / PREPARED_NAME.decode()
    return journal.path / f"{p.segments[i].first_lsn:020d}.log"


cdef remedy(Journal journal):
    """What to do about a journal that is refused."""
    return (f"if its peer is in sync, move {journal.path} away and start the node, which catches up from its peer; if "
            "not, there is no other whole copy. `gateway journal verify` shows what can be read")
