# The Python face: opening, recovery, records. Part of journal.pyx.


class Recovery(NamedTuple):
    """What was found when a journal was opened."""

    records: int
    last_lsn: int
    last_epoch: int
    torn: bool                # there was something behind the last good record that is no record: it was cut off
    truncated_bytes: int      # so much of it
    torn_file: object         # Path where it was kept, or None
    power_lost: bool          # the host started anew and the journal was not closed in order
    lost_from_lsn: int        # records from here on may have been written, released and lost; 0: surely none
    tail_may_be_lost: bool    # lost_from_lsn is not 0
    damage: object            # read-only: what opening for writing would say, str; else None
    tail_was_cut: bool        # tail_may_be_lost, and it may have been flushed: something damaged stood there
    new: bool                 # made anew, and nobody has said yet that it holds what the node is counted on for


class Record(NamedTuple):
    """One log record (record.pxd)."""

    lsn: int
    epoch: int
    kind: int
    flags: int
    session: int
    client: int
    seq: int
    aux: int
    time_ns: int
    crc: int
    payload: bytes
    raw: bytes                # header and payload, without the padding

    def __repr__(self) -> str:
        # Without the payload: it may hold a password.
        return (f"Record(lsn={self.lsn}, epoch={self.epoch}, kind={self.kind}, flags={self.flags}, "
                f"session={self.session}, client={self.client}, seq={self.seq}, aux={self.aux}, "
                f"payload of {len(self.payload)} bytes)")


cdef object record_of(const record_header_t* record):
    raw = PyBytes_FromStringAndSize(<const char*>record, record.length)
    return Record(record.lsn, record.epoch, record.kind, record.flags, record.session, record.client, record.seq,
                  record.aux, record.time_ns, record.crc, raw[RECORD_HEADER_BYTES:], raw)


cdef class Journal:
    """The log. `Journal.open(path)` for files, `Journal.memory()` for tests and tools.

    For one thread, but for `flush`, `prepare`, `run_background` and `stop_running`, which another one may call.
    `close` and `truncate` wait for them; stop `run_background` before `close`.
    """

    def __cinit__(self):
        self.handle = <journal_t*>calloc(1, sizeof(journal_t))
        if self.handle is NULL:
            raise MemoryError
        self.handle.private = calloc(1, sizeof(private_t))
        if self.handle.private is NULL:
            raise MemoryError
        inside(self.handle).directory = -1
        pthread_mutex_init(&inside(self.handle).busy, NULL)

    def __dealloc__(self):
        if self.handle is not NULL:
            if self.handle.private is not NULL:
                release(self.handle)
                if inside(self.handle).directory >= 0:
                    os.close(inside(self.handle).directory)
                free(self.handle.private)
            free(self.handle)

    @staticmethod
    def memory(*, uint64_t segment_bytes=1 << 24, uint64_t max_records=1 << 24, uint32_t max_sessions=8,
               uint64_t max_seq=1 << 20):
        """An empty journal in anonymous memory. Raises MemoryError, ValueError."""
        cdef Journal self = Journal.__new__(Journal)
        self._lay_out(segment_bytes, max_records, max_sessions, max_seq)
        self.recovery = Recovery(0, 0, 0, False, 0, None, False, 0, False, None, False, True)
        return self

    @staticmethod
    def open(path, *, uint32_t node=0, uint32_t pair_id=0, uint64_t segment_bytes=1 << 26,
             uint64_t max_records=1 << 28, uint32_t max_sessions=64, uint64_t max_seq=1 << 24, bint read_only=False):
        """Opens the journal in directory `path`, recovers it, or makes an empty one there.

        `segment_bytes` counts for a new journal; one that exists keeps its own. `max_records`, and per session and
        direction `max_seq`, bound the index: address space, not memory. `read_only`: without the lock, beside a live
        node; changes nothing and shows the prefix that was complete at that moment; `path` may also be one segment or
        `diverged-` file.

        Raises JournalError (in use by another process, other format, other pair or node, no space), JournalCorruptError
        (something in the middle is not what was written there), ValueError (arguments), MemoryError (index).
        """
        cdef Journal self = Journal.__new__(Journal)
        self.path = Path(path)
        self.read_only = read_only
        inside(self.handle).node = node
        inside(self.handle).pair_id = pair_id
        self._lay_out(segment_bytes, max_records, max_sessions, max_seq)
        try:
            if read_only:
                self._open_for_reading()
            else:
                self._open_for_writing()
        except OSError as error:
            self._abandon()
            raise JournalError(f"{error.filename or self.path}: {error.strerror}") from error
        except BaseException:
            self._abandon()
            raise
        return self

    # --- content ------------------------------------------------------------------------------------------------------

    @property
    def last_lsn(self) -> int:
        """LSN of the last record; 0: empty."""
        return load_u64(&self.handle.last_lsn)

    @property
    def last_epoch(self) -> int:
        """Epoch of the last record."""
        return self.handle.last_epoch

    @property
    def first_lsn(self) -> int:
        """LSN of the oldest record; 0: empty."""
        return self.handle.first_lsn

    @property
    def flushed_lsn(self) -> int:
        """On disk up to here."""
        return load_u64(&self.handle.flushed_lsn)

    @property
    def segment_bytes(self) -> int:
        """Size of each segment."""
        return inside(self.handle).segment_bytes

    @property
    def pair_id(self) -> int:
        """Of the pair that the journal belongs to."""
        return inside(self.handle).pair_id

    @property
    def node(self) -> int:
        """Index of the node that the journal belongs to: 0 is a, 1 is b."""
        return inside(self.handle).node

    def __len__(self):
        return self.handle.last_lsn - self.handle.first_lsn + 1 if self.handle.last_lsn else 0

    def at(self, uint64_t lsn) -> Record:
        """The record with this LSN. Raises KeyError."""
        cdef const record_header_t* record = journal_at(self.handle, lsn)
        if record is NULL:
            raise KeyError(f"LSN {lsn}: the journal holds {self.first_lsn} to {self.last_lsn}")
        return record_of(record)

    def find(self, uint16_t session, int direction, uint64_t seq):
        """The record with this MsgSeqNum (34) since the session's last reset, or None. direction: 0 OUT, 1 IN."""
        if direction not in (DIRECTION_OUT, DIRECTION_IN):
            raise ValueError(f"direction {direction}: 0 is OUT, 1 is IN")
        cdef const record_header_t* record = journal_find(self.handle, session, <direction_t>direction, seq)
        return None if record is NULL else record_of(record)

    def end_of_epoch(self, uint32_t epoch) -> int:
        """Last LSN whose record has this epoch or an earlier one; 0: none."""
        return 0 if inside(self.handle).positions is NULL else journal_end_of_epoch(self.handle, epoch)

    def place_of(self, uint64_t lsn):
        """(first LSN of the segment, byte offset in it) of a record. Raises KeyError."""
        cdef private_t* p = inside(self.handle)
        if journal_at(self.handle, lsn) is NULL:
            raise KeyError(f"LSN {lsn}: the journal holds {self.first_lsn} to {self.last_lsn}")
        return p.segments[p.positions[lsn] >> 32].first_lsn, <uint32_t>p.positions[lsn]

    def records(self, uint64_t from_lsn=1):
        """Iterates over the records from `from_lsn` to what is the last one now."""
        cdef uint64_t lsn = max(from_lsn, self.handle.first_lsn)
        cdef uint64_t last = self.last_lsn
        cdef const record_header_t* record
        while 0 < lsn <= last:
            record = journal_at(self.handle, lsn)
            if record is NULL:               # closed or truncated meanwhile
                return
            yield record_of(record)
            lsn += 1

    def append(self, uint8_t kind, uint16_t session, bytes payload not None, *, uint64_t seq=0, uint32_t epoch=1,
               uint32_t client=0, uint32_t aux=0, uint8_t flags=0, uint64_t time_ns=0) -> int:
        """Appends a record; its LSN. Raises JournalError when it does not fit, ValueError when the epoch goes back."""
        self._require_writable()
        if epoch < self.handle.last_epoch:
            raise ValueError(f"epoch {epoch} after epoch {self.handle.last_epoch}: epochs never decrease along the log")
        cdef record_header_t* place = self._reserve(len(payload))
        place.seq = seq
        place.time_ns = time_ns
        place.epoch = epoch
        place.client = client
        place.aux = aux
        place.session = session
        place.kind = kind
        place.flags = flags
        memcpy(<uint8_t*>record_payload(place), <const char*>payload, len(payload))
        return journal_commit(self.handle, place, <uint32_t>len(payload))

    def append_raw(self, bytes raw not None) -> int:
        """Appends a whole record as another journal holds it; its LSN. Raises JournalError (CRC, LSN, epoch, space)."""
        cdef const record_header_t* record = <const record_header_t*><const char*>raw
        cdef journal_status status
        self._require_writable()
        if len(raw) < RECORD_HEADER_BYTES or record.length != <uint64_t>len(raw):
            raise JournalError(f"a record of {len(raw)} bytes that says it has another length")
        status = journal_append_raw(self.handle, record)
        if status == JOURNAL_NO_SPACE:
            self.prepare()
            status = journal_append_raw(self.handle, record)
        if status == JOURNAL_OK:
            return self.last_lsn
        if status == JOURNAL_BAD_RECORD:
            raise JournalError(f"LSN {record.lsn}: wrong CRC")
        if status == JOURNAL_OUT_OF_ORDER:
            raise JournalError(f"LSN {record.lsn} of epoch {record.epoch} does not follow LSN {self.last_lsn} of epoch "
                               f"{self.last_epoch}")
        raise self._no_room(len(raw) - RECORD_HEADER_BYTES)

    def reserve_and_abandon(self, bytes payload not None) -> None:
        """Reserves a place, fills it, and does not commit it: for tests."""
        self._require_writable()
        cdef record_header_t* place = self._reserve(len(payload))
        memset(<uint8_t*>place + 4, 0xA5, RECORD_HEADER_BYTES - 4)
        memcpy(<uint8_t*>record_payload(place), <const char*>payload, len(payload))

    def truncate(self, uint64_t lsn, aside=None) -> object:
        """Cuts every record after `lsn`; keeps them in a file that `open(..., read_only=True)` can read.

        `aside`: that file; default `diverged-<epoch>-<first LSN>-<records>.log` in the journal's directory (in
        anonymous memory: none). Returns its Path, None when nothing was cut or kept. Raises JournalError.
        """
        cdef int error
        self._require_writable()
        if lsn >= self.handle.last_lsn:
            self._end_failed_truncation(lsn)
            return None
        if lsn + 1 < self.handle.first_lsn:
            raise JournalError(f"{self.path}: LSN {lsn} is before the oldest record, {self.first_lsn}")
        kept = self._keep_aside(lsn + 1, aside)
        with nogil:
            pthread_mutex_lock(&inside(self.handle).busy)
            error = truncate(self.handle, lsn)
            pthread_mutex_unlock(&inside(self.handle).busy)
        self._check_truncation(lsn, error)
        return kept

    def _end_failed_truncation(self, uint64_t lsn):
        cdef int error = 0
        with nogil:
            pthread_mutex_lock(&inside(self.handle).busy)
            if inside(self.handle).uncut:
                error = end_truncation(self.handle)
            pthread_mutex_unlock(&inside(self.handle).busy)
        self._check_truncation(lsn, error)

    def _check_truncation(self, lsn, int error):
        if error:
            raise JournalError(f"{self.path}: truncation to LSN {lsn} did not finish: {os.strerror(error)}; mend the "
                               "disk and truncate again")

    def flip_bit(self, uint64_t lsn, uint64_t bit) -> None:
        """Changes a bit of the record `lsn` where it lies, as a failing disk may: for tests. Raises KeyError."""
        cdef const record_header_t* record = journal_at(self.handle, lsn)
        if record is NULL or bit >= <uint64_t>record.length * 8:
            raise KeyError(f"no bit {bit} of LSN {lsn}")
        (<uint8_t*>record)[bit // 8] ^= <uint8_t>(1 << bit % 8)

    def read_again(self, bint power_lost) -> bool:
        """For tests: a journal in anonymous memory recovers as one in files does when it is opened.

        Returns whether a torn tail was cut off. Raises JournalCorruptError; the journal is of no use then.
        """
        cdef journal_t* j = self.handle
        cdef private_t* p = inside(j)
        if self.path is not None:
            raise JournalError(f"{self.path}: open it again instead")
        if p.segment_count == 0:
            return False
        j.first_lsn = 1
        reindex(j, 0)
        torn, _, _ = self._walk(power_lost)
        store_u64(&j.flushed_lsn, min(j.flushed_lsn, j.last_lsn))
        return torn

    # --- background ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Makes the next segment ready when it is due. Raises JournalError (disk full)."""
        cdef private_t* p = inside(self.handle)
        cdef journal_status status
        self._require_writable()
        with nogil:
            status = journal_prepare(self.handle)
            while status == JOURNAL_OK and p.preparing.base is not NULL:
                status = journal_prepare(self.handle)
        self._check(status)

    def flush(self) -> None:
        """Makes everything durable. Raises JournalError."""
        cdef journal_status status
        self._require_writable()
        with nogil:
            status = journal_flush(self.handle)
        self._check(status)

    def run_background(self, bint flushing, uint64_t interval_ns) -> None:
        """Prepares segments and flushes until `stop_running`, then flushes once more. Raises JournalError on each
        failure.

        After an error call it again: it goes on with what works and repeats what failed after a pause.
        """
        cdef journal_status status
        self._require_writable()
        with nogil:
            status = journal_background(self.handle, flushing, interval_ns, &self.stop_background)
        self._check(status)

    def start_running(self) -> None:
        """Takes a `stop_running` back. Call it before the thread starts."""
        store_int(&self.stop_background, 0)

    def stop_running(self) -> None:
        """Ends `run_background` on its thread, now or as soon as it starts."""
        store_int(&self.stop_background, 1)
        journal_wake(self.handle)

    def tail_settled(self) -> None:
        """The owner has dealt with `recovery.lost_from_lsn`, and `recovery.new` is true no more: the next opening does
        not report it again. Raises JournalError."""
        cdef meta_t* meta = inside(self.handle).meta
        self._require_writable()
        if meta is NULL or (meta.lost_from_lsn == 0 and not meta.new):
            return
        meta.lost_from_lsn = 0
        meta.new = 0
        meta.cut = 0
        error = sync_page(meta)
        if error:
            raise JournalError(f"{self.path / 'journal.meta'}: {os.strerror(error)}")
        self.handle.unproven = 0

    def next_incarnation(self, uint64_t at_least=0) -> int:
        """A number larger than any that this journal gave before, and at least `at_least`; on disk when it returns.

        `at_least` is the wall clock in ms, so that the numbers grow even after the journal was lost. Raises
        JournalError.
        """
        cdef meta_t* meta = inside(self.handle).meta
        cdef int error
        self._require_writable()
        if meta is NULL:
            return max(1, at_least)
        meta.incarnation = max(meta.incarnation + 1, at_least)
        error = sync_page(meta)
        if error:
            raise JournalError(f"{self.path / 'journal.meta'}: {os.strerror(error)}")
        return meta.incarnation

    def close(self) -> None:
        """Flushes and marks the journal as closed in order. Safe to call twice. Raises JournalError when it cannot
        flush."""
        cdef private_t* p = inside(self.handle)
        cdef int error = 0
        try:
            if p.meta is not NULL:
                self.flush()
                error = name_current(p)
                if error == 0:
                    p.meta.clean = 1
                    error = sync_page(p.meta)
                if error:
                    raise JournalError(f"{self.path}: {os.strerror(error)}")
        finally:
            self._abandon()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # --- measuring ----------------------------------------------------------------------------------------------------

    def measure_append(self, uint32_t count, uint32_t payload_bytes, uint32_t batch=1) -> array:
        """Appends `count` batches of OUT records; the ns of each append, averaged over its batch (an array of
        float)."""
        cdef bytes payload = b"8=FIX.4.4\x019=999\x01" .ljust(payload_bytes, b"x")[:payload_bytes]
        cdef const char* source = payload
        cdef double[:] taken
        cdef record_header_t* place
        cdef uint64_t start
        cdef uint32_t i
        cdef uint32_t _k
        cdef uint64_t seq = self.handle.last_lsn
        self._require_writable()
        result = array("d", bytes(8 * count))
        taken = result
        with nogil:
            for i in range(count):
                start = mono_ns()
                for _k in range(batch):
                    place = journal_reserve(self.handle, payload_bytes)
                    while place is NULL:
                        start = mono_ns()
                        place = journal_reserve(self.handle, payload_bytes)
                    seq += 1
                    place.seq = seq
                    place.time_ns = start
                    place.epoch = 1
                    place.client = 1
                    place.aux = 0
                    place.session = 0
                    place.kind = RECORD_OUT
                    place.flags = 0
                    memcpy(<uint8_t*>record_payload(place), source, payload_bytes)
                    journal_commit(self.handle, place, payload_bytes)
                taken[i] = <double>(mono_ns() - start) / batch
        return result

    # --- opening ------------------------------------------------------------------------------------------------------

    def _lay_out(self, uint64_t segment_bytes, uint64_t max_records, uint32_t max_sessions, uint64_t max_seq):
        cdef private_t* p = inside(self.handle)
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

    def _open_for_writing(self):
        cdef private_t* p = inside(self.handle)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        p.directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        names = self._segment_files()
        power_lost = self._open_meta(bool(names))
        for i, name in enumerate(names, 1):
            self._map_segment(name, i == len(names))
        if p.segment_count and p.segments[0].first_lsn != 1:
            raise JournalCorruptError(f"{self.path}: the oldest segment starts with LSN {p.segments[0].first_lsn}: "
                                      f"those before it are missing. Put them back, or {self._remedy()}")
        torn, size, kept = self._walk(power_lost)
        self._settle(torn, size, kept, power_lost)

    def _settle(self, bint torn, size, kept, bint power_lost):
        """Recovered: keeps what was found for `recovery`, and makes durable all that is relied on from now."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t last = self.handle.last_lsn
        if not p.meta.lost_from_lsn and (torn or power_lost or last < p.meta.flushed_lsn):
            p.meta.lost_from_lsn = last + 1
        if torn or last < p.meta.flushed_lsn:
            p.meta.cut = 1
        self.handle.flushed_lsn = min(p.meta.flushed_lsn, last)
        p.meta.flushed_lsn = self.handle.flushed_lsn
        self.recovery = Recovery(len(self), last, self.handle.last_epoch, torn, size, kept, power_lost,
                                 p.meta.lost_from_lsn, p.meta.lost_from_lsn != 0, None, p.meta.cut != 0,
                                 p.meta.new != 0)
        self.handle.unproven = p.meta.new != 0
        self.flush()
        if journal_prepare(self.handle) != JOURNAL_OK and p.segment_count == 0:
            self._check(JOURNAL_IO_ERROR)       # a journal that holds something can be served from without space
        while p.segment_count == 0 and not p.prepared_full:
            self._check(journal_prepare(self.handle))
        # Only now: a crash above must find power_lost again.
        boot = boot_id()
        memset(p.meta.boot_id, 0, sizeof(p.meta.boot_id))
        memcpy(p.meta.boot_id, <const char*><bytes>boot, len(boot))
        p.meta.clean = 0
        self._check_page(sync_page(p.meta))

    def _open_for_reading(self):
        if not self.path.exists():
            raise JournalError(f"{self.path}: there is no journal here")
        whole = self.path.is_dir()
        self._map_all(whole)
        if whole and not inside(self.handle).segment_count and not (self.path / "journal.meta").exists():
            raise JournalError(f"{self.path}: there is no journal here")
        torn, size, damage = False, 0, None
        try:
            torn, size, _ = self._walk(False)
        except JournalCorruptError as error:
            damage = str(error)
        if whole:
            self._read_meta()
        self.recovery = Recovery(len(self), self.handle.last_lsn, self.handle.last_epoch, torn, size, None, False,
                                 0, False, damage, False, False)

    def _map_all(self, bint whole):
        """Maps for reading. A live node may rename the newest segment meanwhile: then once more."""
        cdef private_t* p = inside(self.handle)
        for attempt in range(READ_ATTEMPTS):
            try:
                names = self._segment_files() if whole else [self.path]
                for i, name in enumerate(names, 1):
                    self._map_segment(name, i == len(names))
            except FileNotFoundError:
                if attempt == READ_ATTEMPTS - 1:
                    raise
                while p.segment_count:
                    p.segment_count -= 1
                    segment_unmap(&p.segments[p.segment_count], p.segment_bytes)
            else:
                return

    def _read_meta(self):
        cdef private_t* p = inside(self.handle)
        cdef const meta_t* meta
        cdef bytes raw
        name = self.path / "journal.meta"
        raw = name.read_bytes() if name.exists() else b""
        if len(raw) >= <Py_ssize_t>sizeof(meta_t):
            meta = <const meta_t*><const char*>raw
            self.handle.flushed_lsn = min(meta.flushed_lsn, self.handle.last_lsn)
            p.pair_id = meta.pair_id
            p.node = meta.node

    def _lock(self):
        self.lock = (self.path / "journal.lock").open("a+b", buffering=0)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            holder = os.pread(self.lock.fileno(), 32, 0).decode("ascii", "replace").strip() or "(not known)"
            raise JournalError(f"{self.path}: this journal is in use by process {holder}; stop it first") from None
        self.lock.truncate(0)
        self.lock.write(f"{os.getpid()}\n".encode())

    def _segment_files(self):
        """The directory's segments by first LSN; last the prepared one, if it is in use or cannot be told."""
        names = sorted(self.path.glob("[0-9]" * 20 + ".log"))
        prepared = self.path / PREPARED_NAME.decode()
        if prepared.exists():
            if self._prepared_in_use(prepared):
                names.append(prepared)
            elif not self.read_only:
                prepared.unlink()
        return names

    def _prepared_in_use(self, prepared):
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

    def _open_meta(self, bint exists):
        """Maps journal.meta; whether power was lost since it was last closed."""
        cdef private_t* p = inside(self.handle)
        cdef segment_t page
        cdef int fd
        name = self.path / "journal.meta"
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(fd, 0, META_BYTES)
        except OSError as error:
            os.close(fd)
            raise JournalError(f"{name}: {error.strerror}") from error
        self._check_page(segment_map(&page, fd, META_BYTES, True))
        p.meta = <meta_t*>page.base
        fresh = p.meta.magic == 0
        if fresh and exists:
            raise JournalCorruptError(f"{name}: missing or empty, but there are segments. "
                                      f"Put it back, or {self._remedy()}")
        if fresh:
            p.meta.version = FORMAT_VERSION
            p.meta.pair_id = p.pair_id
            p.meta.node = p.node
            p.meta.clean = 1
            p.meta.new = 1
            store_u64(&p.meta.magic, META_MAGIC)
            self._check_page(sync_page(p.meta))
            os.fsync(p.directory)
        self._check_meta(name)
        same_boot = bytes(p.meta.boot_id[:40]).rstrip(b"\0") == boot_id()
        return not p.meta.clean and not same_boot

    def _check_meta(self, name):
        cdef private_t* p = inside(self.handle)
        if p.meta.magic != META_MAGIC:
            raise JournalCorruptError(f"{name}: not a journal's meta file. Put the right one back, or {self._remedy()}")
        if p.meta.version != FORMAT_VERSION:
            raise JournalError(f"{name}: format version {p.meta.version}, this program reads {FORMAT_VERSION}")
        if p.meta.pair_id != p.pair_id or p.meta.node != p.node:
            raise JournalError(f"{self.path}: the journal of node {'ab'[p.meta.node & 1]} of pair {p.meta.pair_id}, "
                               f"not of node {'ab'[p.node & 1]} of pair {p.pair_id}: wrong directory?")

    def _map_segment(self, name, bint last):
        cdef private_t* p = inside(self.handle)
        cdef segment_header_t header
        cdef segment_t* segment = &p.segments[p.segment_count]
        cdef bytes raw
        if p.segment_count == MAX_SEGMENTS - 1:
            raise JournalError(f"{self.path}: more than {MAX_SEGMENTS - 1} segments")
        with name.open("rb" if self.read_only else "r+b") as file:
            raw = file.read(sizeof(segment_header_t)).ljust(sizeof(segment_header_t), b"\0")
            memcpy(&header, <const char*>raw, sizeof(header))
            self._check_segment(name, &header)
            if p.segment_count == 0:
                p.segment_bytes = header.segment_bytes
            size = os.fstat(file.fileno()).st_size
            if header.segment_bytes != p.segment_bytes or (size < p.segment_bytes and not last):
                raise JournalCorruptError(f"{name}: {size} bytes, and {header.segment_bytes} by its header; expected "
                                          f"{p.segment_bytes}: {self._remedy()}")
            if size >= p.segment_bytes:
                self._check_page(segment_map(segment, os.dup(file.fileno()), p.segment_bytes, not self.read_only))
            elif self.read_only:
                self._copy_segment(segment, file, size)
            else:
                # cut short: what is missing shows in the walk
                os.posix_fallocate(file.fileno(), 0, p.segment_bytes)
                self._check_page(segment_map(segment, os.dup(file.fileno()), p.segment_bytes, True))
        segment.first_lsn = header.first_lsn
        p.segment_count += 1
        p.unnamed = not self.read_only and name.name == PREPARED_NAME.decode()

    cdef _copy_segment(self, segment_t* segment, file, size):
        """A segment file that is shorter than it should be, for reading: beyond its end, a mapping of it would be a
        SIGBUS."""
        cdef bytes raw
        self._check_page(segment_create_anonymous(segment, inside(self.handle).segment_bytes))
        file.seek(0)
        raw = file.read(size)
        memcpy(segment.base, <const char*>raw, len(raw))

    cdef _check_segment(self, name, const segment_header_t* header):
        cdef private_t* p = inside(self.handle)
        cdef segment_fault fault = segment_check_header(header)
        if fault == SEGMENT_OTHER_VERSION:
            raise JournalError(f"{name}: format version {header.version}, this program reads {FORMAT_VERSION}")
        named = name.stem.isdigit() and len(name.stem) == 20
        if (fault != SEGMENT_GOOD or header.segment_bytes % PAGE_BYTES
                or not 2 * PAGE_BYTES <= header.segment_bytes < 1 << 32
                or (named and int(name.stem) != header.first_lsn)):
            raise JournalCorruptError(f"{name}: offset 0: the segment header is damaged: {self._remedy()}")
        if not self.read_only and (header.pair_id != p.pair_id or header.node != p.node):
            raise JournalError(f"{name}: a segment of node {'ab'[header.node & 1]} of pair {header.pair_id}, which "
                               "does not belong here: move it away")

    # --- recovery -----------------------------------------------------------------------------------------------------

    def _walk(self, bint power_lost):
        """Checks and indexes every record: (whether there was a torn tail, its bytes, the file that keeps it or
        None)."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t limit = UINT64_MAX
        cdef walk_end end
        cdef uint32_t i
        if p.meta is not NULL and p.meta.truncating:
            limit = p.meta.truncate_lsn
        for i in range(p.segment_count):
            if i and p.segments[i].first_lsn != expected_lsn(self.handle):
                raise JournalCorruptError(f"{self._name(i)}: starts with LSN {p.segments[i].first_lsn}, expected "
                                          f"{expected_lsn(self.handle)}: something before it is missing: "
                                          f"{self._remedy()}")
            enter_segment(p, i)
            end = walk(self.handle, limit)
            while end == WALK_NO_RECORD:
                found = self._end_of_log(limit, power_lost)
                if found is not None:
                    return found
                end = walk(self.handle, limit)
            if end == WALK_INDEX_FULL:
                raise JournalError(f"{self.path}: more records than max_records ({p.max_records - 1}): raise it")
        if limit != UINT64_MAX:
            self._end_truncation()
        return False, 0, None

    def _end_of_log(self, uint64_t limit, bint power_lost):
        """The log ends before the last segment does: why? As _walk, or None: it goes on by now."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t expected = expected_lsn(self.handle)
        cdef uint64_t stopped_at = p.offset
        cdef uint64_t behind
        if expected > limit:
            self._end_truncation()
            return False, 0, None
        with nogil:
            behind = record_behind(self.handle)
        if self.read_only and (walk(self.handle, limit) != WALK_NO_RECORD or p.offset != stopped_at):
            return None                          # a live node has appended meanwhile
        blank = load_u32(<uint32_t*>(p.tail + p.offset)) == 0
        if behind and not (power_lost and expected > self._was_flushed()):
            raise JournalCorruptError(
                f"{self._name(p.current)}: offset {p.offset}: the record with LSN {expected} is damaged, and "
                f"record {behind} behind it is there. Nothing was changed: {self._remedy()}")
        if not behind and blank:
            if not self.read_only:
                wipe(p.tail + p.offset, p.segment_bytes - p.offset)     # what a killed process had begun to write
            return False, 0, None
        pieces = self._tail_pieces()
        size = sum(map(len, pieces))
        return True, size, None if self.read_only else self._cut_tail(expected, pieces)

    def _was_flushed(self) -> int:
        """LSN up to which everything was on disk when the journal was last in use."""
        cdef private_t* p = inside(self.handle)
        return p.meta.flushed_lsn if p.meta is not NULL else self.handle.flushed_lsn

    def _cut_tail(self, uint64_t expected, pieces):
        if self.path is None:
            self._check_page(cut(self.handle))
            return None
        kept = self.path / f"torn-{expected}-{time.time_ns()}.bin"
        with kept.open("xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.fsync(inside(self.handle).directory)
        self._check_page(cut(self.handle))
        return kept

    def _tail_pieces(self):
        """What stands behind the good prefix, of each segment, without the zeros at its end."""
        cdef private_t* p = inside(self.handle)
        cdef uint32_t i
        cdef uint64_t start
        pieces = []
        for i in range(p.current, p.segment_count):
            start = p.offset if i == p.current else 0
            whole = PyBytes_FromStringAndSize(<const char*>p.segments[i].base + start, p.segment_bytes - start)
            pieces.append(whole.rstrip(b"\0"))
        return pieces

    def _end_truncation(self):
        """Finishes a truncation that a crash interrupted."""
        cdef private_t* p = inside(self.handle)
        self._check_page(cut(self.handle))
        p.meta.truncating = 0
        self._check_page(sync_page(p.meta))

    def _keep_aside(self, uint64_t first, aside):
        """Copies the records from `first` into files of their own; the Path of the first file, or None."""
        cdef uint64_t last = self.handle.last_lsn
        cdef uint64_t end
        if aside is None and self.path is None:
            return None
        paths = []
        while first <= last:
            end = self._end_of_part(first)
            name = f"diverged-{self.handle.last_epoch}-{first}-{end - first}.log"
            target = self.path / name if aside is None else Path(aside)
            if aside is not None and paths:
                target = target.with_name(f"{target.name}.{len(paths)}")
            try:
                paths.append(self._write_part(unused(target), first, end))
            except JournalError:
                discard(paths)
                raise
            first = end
        return paths[0]

    def _end_of_part(self, uint64_t first):
        """LSN behind the last record that fits in one file with `first`."""
        cdef uint64_t size = 0
        cdef uint64_t lsn = first
        while lsn <= self.handle.last_lsn and (lsn == first or size < MAX_PART_BYTES):
            size += record_padded_length(journal_at(self.handle, lsn).length)
            lsn += 1
        return lsn

    def _write_part(self, target, uint64_t first, uint64_t end):
        cdef private_t* p = inside(self.handle)
        cdef segment_header_t header
        cdef const record_header_t* record
        cdef uint64_t size = HEADER_PAGE_BYTES
        cdef uint64_t lsn
        try:
            with target.open("xb") as file:
                file.seek(HEADER_PAGE_BYTES)
                for lsn in range(first, end):
                    record = journal_at(self.handle, lsn)
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

    # --- small change -------------------------------------------------------------------------------------------------

    def _abandon(self):
        """Gives everything back, and writes nothing."""
        cdef private_t* p = inside(self.handle)
        release(self.handle)
        if p.directory >= 0:
            os.close(p.directory)
            p.directory = -1
        if self.lock is not None:
            self.lock.close()
            self.lock = None

    def _name(self, uint32_t i):
        if self.path is None or not self.path.is_dir():
            return self.path
        if inside(self.handle).unnamed and i + 1 == inside(self.handle).segment_count:
            return self.path / PREPARED_NAME.decode()
        return self.path / f"{inside(self.handle).segments[i].first_lsn:020d}.log"

    def _remedy(self):
        return (f"if its peer is in sync, move {self.path} away and start the node, which catches up from its peer; if "
                "not, there is no other whole copy. `gateway journal verify` shows what can be read")

    def _require_writable(self):
        if inside(self.handle).positions is NULL:
            raise JournalError("the journal is closed")
        if self.read_only:
            raise JournalError(f"{self.path}: opened for reading only")

    cdef record_header_t* _reserve(self, size) except NULL:
        cdef record_header_t* place = NULL
        if size < inside(self.handle).segment_bytes:
            place = journal_reserve(self.handle, <uint32_t>size)
            if place is NULL:
                self.prepare()
                place = journal_reserve(self.handle, <uint32_t>size)
        if place is NULL:
            raise self._no_room(size)
        return place

    def _no_room(self, size):
        cdef private_t* p = inside(self.handle)
        return JournalError(f"a record of {size} payload bytes does not fit: segments have {p.segment_bytes} bytes, "
                            f"and {len(self)} of at most {p.max_records - 1} records are taken")

    def _check(self, journal_status status):
        if status != JOURNAL_OK:
            sticky = "; start the node anew" if inside(self.handle).flush_error else ""
            raise JournalError(f"{self.path}: {os.strerror(self.handle.error_number)}: "
                               f"free space or mend the disk{sticky}")

    def _check_page(self, int error):
        if error:
            raise OSError(error, os.strerror(error), str(self.path))


cdef uint64_t round_up(uint64_t entries) noexcept:
    """To whole pages of the index."""
    return (entries + ENTRIES_PER_PAGE - 1) & ~<uint64_t>(ENTRIES_PER_PAGE - 1)


cdef bytes boot_id():
    """Identifies this start of the host's kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:39]


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
