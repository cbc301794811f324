# The register: what its cell says, and what is asked of it. Part of role.pyx.


cdef void adopt(role_t* r, const register_value_t* value) noexcept nogil:
    """Takes over what the cell holds, unless something later is known."""
    if r.cell_known and value.version < r.cell.version:
        return
    if value.epoch < r.cell.epoch:
        # From before the primary that we have met wrote it: the content is older than our assumption.
        r.cell_known = True
        r.cell.version = value.version
        return
    r.cell = value[0]
    r.cell_known = True
    r.cell_guessed = False


cdef bint claim_won(const role_t* r) noexcept nogil:
    """The cell holds what we asked for in this life, whichever answer told it. With the peer in sync it would be a
    switchover, in an epoch that we claimed in vain before."""
    return (r.claimed_epoch > r.epoch and r.cell.epoch == r.claimed_epoch and r.cell.primary == r.config.node
            and r.cell.in_sync == bit(r.config.node) and not r.cell_guessed)


cdef bint granted_by_peer(const role_t* r) noexcept nogil:
    """The primary that we follow handed over to us. {self} alone would be a claim of a former life."""
    return r.cell.epoch > r.epoch and r.cell.primary == r.config.node and cell_has(r, r.config.peer)


cdef bint stale_claim(const role_t* r) noexcept nogil:
    """A claim of a former life of this node took effect late. It is in sync, but must win an epoch of its own."""
    return (r.cell.epoch > r.epoch and r.cell.primary == r.config.node and not cell_has(r, r.config.peer)
            and not r.unproven)


cdef bint cas_open(const role_t* r) noexcept nogil:
    return r.request_open and r.request.kind == REGISTER_COMPARE_AND_SET


cdef bint may_write(const role_t* r, const instant_t* now) noexcept nogil:
    return not cas_open(r) and now.mono_ns >= r.retry_at


cdef bint has_forgotten_a_claim(const role_t* r) noexcept nogil:
    """A former life became primary by the register and died before its log knew: perhaps by an operator's word, who
    accepted that records are missing."""
    return (r.state == ROLE_STARTING and r.cell.primary == r.config.node and r.cell.epoch > 1
            and r.cell.epoch > r.own_last_epoch)


cdef void claim(role_t* r, const instant_t* now) noexcept nogil:
    """Asks for a new epoch with this node as primary, alone."""
    cdef register_value_t desired
    if not may_write(r, now):
        return
    if not r.cell_known:
        want_read(r, now)
        return
    desired.version = 0
    desired.epoch = later(later(r.cell.epoch, r.own_last_epoch), r.epoch) + 1
    desired.primary = r.config.node
    desired.in_sync = bit(r.config.node)
    r.claimed_epoch = desired.epoch
    r.claim_skips = r.act_alone or r.tail_suspect or has_forgotten_a_claim(r)
    request_write(r, &desired, now)


cdef void write_in_sync(role_t* r, uint8_t in_sync, const instant_t* now) noexcept nogil:
    """Same epoch, same primary, another set of nodes in sync."""
    cdef register_value_t desired
    if not may_write(r, now):
        return
    desired.version = 0
    desired.epoch = r.epoch
    desired.primary = r.config.node
    desired.in_sync = in_sync
    request_write(r, &desired, now)


cdef void request_write(role_t* r, const register_value_t* desired, const instant_t* now) noexcept nogil:
    open_request(r, REGISTER_COMPARE_AND_SET, now)
    r.request.expected = r.cell
    r.request.desired = desired[0]
    r.request.act_alone = r.act_alone
    if r.act_alone and r.act_alone_epoch == UINT32_MAX:
        r.act_alone_epoch = r.cell.epoch
    if r.settled_version <= r.cell.version:
        r.settled_version = r.cell.version + 1


cdef void want_read(role_t* r, const instant_t* now) noexcept nogil:
    if r.request_open or now.mono_ns < r.retry_at or now.mono_ns < r.read_at:
        return
    open_request(r, REGISTER_READ, now)
    memset(&r.request.expected, 0, sizeof(register_value_t))
    memset(&r.request.desired, 0, sizeof(register_value_t))
    r.request.act_alone = False


cdef void open_request(role_t* r, register_request_kind kind, const instant_t* now) noexcept nogil:
    r.request.kind = kind
    r.request.id += 1
    r.request_open = True
    r.request_waiting = True
    r.request_since = now.mono_ns
