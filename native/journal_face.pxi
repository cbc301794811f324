# The Python face: the class Journal. Part of journal.pyx.


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
        lay_out(self, segment_bytes, max_records, max_sessions, max_seq)
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
        lay_out(self, segment_bytes, max_records, max_sessions, max_seq)
        try:
            if read_only:
                open_for_reading(self)
            else:
                open_for_writing(self)
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
            end_failed_truncation(self, lsn)
            return None
        if lsn + 1 < self.handle.first_lsn:
            raise JournalError(f"{self.path}: LSN {lsn} is before the oldest record, {self.first_lsn}")
        kept = keep_aside(self, lsn + 1, aside)
        with nogil:
            pthread_mutex_lock(&inside(self.handle).busy)
            error = truncate(self.handle, lsn)
            pthread_mutex_unlock(&inside(self.handle).busy)
        check_truncation(self, lsn, error)
        return kept

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
        torn, _, _ = recover(self, power_lost)
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
