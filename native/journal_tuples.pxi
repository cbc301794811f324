# What the Python face hands out: Recovery, Record. Part of journal.pyx.


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
