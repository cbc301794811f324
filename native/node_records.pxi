# Records and datagrams that the node itself writes. Part of node.pyx.


cdef uint8_t* fill_header(node_t* n, uint8_t* buffer, uint8_t kind) noexcept nogil:
    cdef datagram_header_t* header = <datagram_header_t*>buffer
    memset(buffer, 0, DATAGRAM_HEADER_BYTES)
    header.kind = kind
    header.epoch = n.role.epoch
    header.last_lsn = n.journal.last_lsn
    header.last_epoch = n.journal.last_epoch
    header.released_lsn = n.released_lsn
    return buffer


cdef void answer_hello(node_t* n, const datagram_header_t* header, const instant_t* now) noexcept nogil:
    """A HELLO that names our present incarnation needs no answer once we know its sender's."""
    if (header.to_incarnation == n.channel.incarnation
            and n.channel.peer_incarnation[header.from_node] == header.from_incarnation):
        return
    if now.mono_ns >= n.next_hello_mono_ns or header.from_incarnation != n.hello_to:
        n.hello_to = header.from_incarnation
        n.hello_due = 1


cdef bint append_plain(node_t* n, uint8_t kind, uint16_t session, uint32_t client, uint32_t aux,
                       const uint8_t* payload, uint32_t length, const instant_t* now) noexcept nogil:
    cdef record_header_t* record = journal_reserve(n.journal, length)
    if record is NULL:
        return 0
    record.seq = 0
    record.time_ns = now.wall_ns
    record.epoch = n.role.epoch
    record.client = client
    record.aux = aux
    record.session = session
    record.kind = kind
    record.flags = 0
    memcpy(<uint8_t*>record_payload(record), payload, length)
    journal_commit(n.journal, record, length)
    return 1


cdef bint append_epoch(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint8_t payload[8 + MAX_ROSTER_BYTES]
    memcpy(payload, &n.config.incarnation, 8)
    return append_plain(n, RECORD_EPOCH, 0, 0, n.config.role.node, payload,
                        8 + roster_write(&n.replica.roster, payload + 8), now)


cdef uint32_t identity_of(const session_config_t* config) noexcept nogil:
    cdef uint32_t hashed = crc32c(0, config.begin_string, strlen(<const char*>config.begin_string) + 1)
    hashed = crc32c(hashed, config.sender_comp_id, strlen(<const char*>config.sender_comp_id) + 1)
    hashed = crc32c(hashed, config.target_comp_id, strlen(<const char*>config.target_comp_id) + 1)
    return crc32c(hashed, config.extra_ids, strlen(<const char*>config.extra_ids))
