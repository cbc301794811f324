"""A node driven by hand: every input of a node as a call from Python, for fuzzing. The product does not use it.

May depend on: node. What the reactor does in a turn is done by `turn`, without sockets and without a clock.
"""

from gateway.errors import JournalError
from gateway.native.role import RegisterValue, Request, RequestKind

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from .datagram cimport MAX_DATAGRAM_BYTES
from .feed cimport client_tx_consume, client_tx_peek
from .instant cimport instant_t
from .node cimport (MAX_CLIENT_CONNECTIONS, Node, node_advance, node_deadline, node_fill_logon, node_on_client_bytes,
                    node_on_client_connected, node_on_client_disconnected, node_on_command, node_on_datagram,
                    node_on_register, node_on_session_bytes, node_on_session_command, node_on_session_connected,
                    node_on_session_disconnected, node_on_timer, node_poll_datagram, node_session_closing,
                    node_session_tx_consume, node_session_tx_gather, node_set_kill, node_settle, node_start,
                    node_take_accept, node_take_connect, node_take_register_request, node_truncated, session_command)
from .role cimport register_outcome, register_request_t, register_value_t, role_command

cdef enum:
    ROUNDS_PER_TURN = 4
    DATAGRAMS_PER_TURN = 256
    RUN_BYTES = 4096                 # so that runs of messages are made up, and end


cdef class DrivenNode:
    """Drives `owner`, which no reactor may drive. Times are CLOCK_MONOTONIC and CLOCK_REALTIME in ns, and the caller's.

    Raises ValueError for a slot or session that there is none of.
    """

    cdef readonly Node owner
    cdef instant_t now

    def __cinit__(self, Node owner not None):
        self.owner = owner

    def start(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Replays the journal and begins."""
        self.now.mono_ns = mono_ns
        self.now.wall_ns = wall_ns
        node_start(self.owner.handle, &self.now)

    def move_to(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """The time of the inputs that follow; timers that are due by then fire."""
        self.now.mono_ns = mono_ns
        self.now.wall_ns = wall_ns
        if mono_ns >= node_deadline(self.owner.handle):
            node_on_timer(self.owner.handle, &self.now)

    def receive_datagram(self, bytes data not None) -> None:
        """From the peer's address."""
        node_on_datagram(self.owner.handle, data, len(data), &self.now)

    def take_request(self) -> Request | None:
        """The next request to the register."""
        cdef register_request_t request
        if not node_take_register_request(self.owner.handle, &request):
            return None
        return Request(RequestKind(request.kind), request.id, bool(request.act_alone),
                       RegisterValue(request.expected.version, request.expected.epoch, request.expected.primary,
                                     request.expected.in_sync),
                       RegisterValue(request.desired.version, request.desired.epoch, request.desired.primary,
                                     request.desired.in_sync))

    def answer_register(self, uint64_t request_id, int outcome, value) -> None:
        """What the register says; `value` is (version, epoch, primary, in_sync)."""
        cdef register_value_t cell
        cell.version, cell.epoch, cell.primary, cell.in_sync = value
        node_on_register(self.owner.handle, request_id, <register_outcome>outcome, &cell, &self.now)

    def kill(self, uint32_t client, bint killed=True) -> int:
        """An operator stops a client, or lets it trade again; 0, or -1: not primary, or no space."""
        return node_set_kill(self.owner.handle, client, killed, &self.now)

    def role_command(self, int command) -> int:
        """An operator's Command; a CommandStatus."""
        return node_on_command(self.owner.handle, <role_command>command, &self.now)

    # --- clients ------------------------------------------------------------------------------------------------------

    def client_connects(self) -> int:
        """Slot of a new connection, or -1."""
        return node_on_client_connected(self.owner.handle, 0, &self.now)

    def client_sends(self, int32_t slot, bytes data not None) -> int:
        """How many bytes of `data` the node has used up."""
        self._check(slot, MAX_CLIENT_CONNECTIONS)
        return node_on_client_bytes(self.owner.handle, slot, data, len(data), &self.now)

    def client_reads(self, int32_t slot) -> tuple:
        """What the node sends it (bytes), and whether it closes the connection after that."""
        cdef const uint8_t* data = NULL
        cdef uint32_t size
        cdef list pieces = []
        self._check(slot, MAX_CLIENT_CONNECTIONS)
        size = client_tx_peek(&self.owner.handle.clients[slot], &data)
        while size:
            pieces.append(data[:size])
            client_tx_consume(&self.owner.handle.clients[slot], size)
            size = client_tx_peek(&self.owner.handle.clients[slot], &data)
        return b"".join(pieces), bool(self.owner.handle.clients[slot].closing)

    def client_leaves(self, int32_t slot) -> None:
        """Its connection is gone."""
        self._check(slot, MAX_CLIENT_CONNECTIONS)
        node_on_client_disconnected(self.owner.handle, slot, &self.now)

    # --- counterparties -----------------------------------------------------------------------------------------------

    def wants_connection(self, uint16_t session) -> bool:
        """Whether the node wants to connect it now; answer with session_connects or session_leaves."""
        self._check(session, self.owner.handle.replica.session_count)
        return bool(node_take_connect(self.owner.handle, session, &self.now))

    def session_connects(self, uint16_t session) -> None:
        """The connection is there."""
        self._check(session, self.owner.handle.replica.session_count)
        node_on_session_connected(self.owner.handle, session, &self.now)

    def session_arrives(self, uint16_t session) -> bool:
        """The counterparty has connected; False: it is not welcome now."""
        self._check(session, self.owner.handle.replica.session_count)
        if not node_take_accept(self.owner.handle, session, &self.now):
            return False
        node_on_session_connected(self.owner.handle, session, &self.now)
        return True

    def session_filled(self, uint16_t session, bytes fields not None) -> None:
        """The fields that its Logon waits for."""
        self._check(session, self.owner.handle.replica.session_count)
        node_fill_logon(self.owner.handle, session, self.owner.handle.links[session].attempts, fields,
                        <uint32_t>len(fields), &self.now)

    def session_command(self, uint16_t session, int command, *, uint64_t next_out=0, uint64_t next_in=0) -> int:
        """An operator's session_command; 0: carried out."""
        self._check(session, self.owner.handle.replica.session_count)
        return node_on_session_command(self.owner.handle, session, <session_command>command, next_out, next_in,
                                       &self.now)

    def session_sends(self, uint16_t session, bytes data not None) -> int:
        """How many bytes of the counterparty's `data` the node has used up."""
        self._check(session, self.owner.handle.replica.session_count)
        return node_on_session_bytes(self.owner.handle, session, data, len(data), &self.now)

    def session_reads(self, uint16_t session) -> tuple:
        """What may leave to the counterparty (bytes), and whether the node closes the connection after that."""
        cdef uint8_t run[RUN_BYTES]
        cdef const uint8_t* data = NULL
        cdef size_t size
        cdef list pieces = []
        self._check(session, self.owner.handle.replica.session_count)
        size = node_session_tx_gather(self.owner.handle, session, run, RUN_BYTES, &data)
        while size:
            pieces.append(data[:size])
            node_session_tx_consume(self.owner.handle, session, size, &self.now)
            size = node_session_tx_gather(self.owner.handle, session, run, RUN_BYTES, &data)
        return b"".join(pieces), bool(node_session_closing(self.owner.handle, session)
                                      or self.owner.handle.links[session].reset)

    def session_leaves(self, uint16_t session) -> None:
        """Its connection is gone, or could not be made."""
        self._check(session, self.owner.handle.replica.session_count)
        node_on_session_disconnected(self.owner.handle, session, &self.now)

    # --- progress -----------------------------------------------------------------------------------------------------

    def turn(self) -> list:
        """What follows a batch of inputs; the datagrams that go out to the peer."""
        cdef uint8_t buffer[MAX_DATAGRAM_BYTES]
        cdef uint8_t to_node = 0
        cdef size_t size
        cdef uint64_t before
        cdef uint32_t sent = 0
        cdef int _round
        cdef list datagrams = []
        for _round in range(ROUNDS_PER_TURN):
            node_advance(self.owner.handle, &self.now)
            before = self.owner.handle.journal.last_lsn
            node_settle(self.owner.handle, &self.now)
            if self.owner.handle.journal.last_lsn == before:
                break
        while sent < DATAGRAMS_PER_TURN:
            size = node_poll_datagram(self.owner.handle, &self.now, buffer, &to_node)
            if size == 0:
                break
            datagrams.append(buffer[:size])
            sent += 1
        if self.owner.handle.truncation_due:
            try:
                self.owner.truncate(self.owner.handle.receiver.truncate_lsn)
            except JournalError:
                return datagrams             # tried again at the next turn
            node_truncated(self.owner.handle, &self.now)
        return datagrams

    def _check(self, uint32_t index, uint32_t count):
        if index >= count:
            raise ValueError(f"index {index}: there are {count}")
