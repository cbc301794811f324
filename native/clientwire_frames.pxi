# The Python face: decoded frames as objects. Part of clientwire.pyx.


cdef class Frame:
    """One decoded frame; subclasses name their fields in `__slots_shown__` (secrets are not in it)."""

    __slots_shown__ = ()
    cdef readonly uint8_t type

    def __repr__(self):
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots_shown__)
        return f"{self.__class__.__name__}({fields})"

    def __eq__(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots_shown__)

    __hash__ = None


cdef class SessionInfo(Frame):
    """One session as WELCOME describes it."""

    __slots_shown__ = ("session", "name", "state", "generation", "next_out", "next_in")
    cdef readonly uint16_t session
    cdef readonly str name
    cdef readonly uint8_t state
    cdef readonly uint32_t generation
    cdef readonly uint64_t next_out
    cdef readonly uint64_t next_in

    def __init__(self, uint16_t session, str name, uint8_t state, uint32_t generation, uint64_t next_out,
                 uint64_t next_in=0):
        self.session = session
        self.name = name
        self.state = state
        self.generation = generation
        self.next_out = next_out
        self.next_in = next_in


cdef class Login(Frame):
    """LOGIN. Its repr leaves the token out."""

    __slots_shown__ = ("version", "name", "positions")
    cdef readonly uint16_t version
    cdef readonly str name
    cdef readonly bytes token
    cdef readonly list positions


cdef class Submit(Frame):
    """SUBMIT: `fields` is the body's bytes, "tag=value<SOH>" repeated."""

    __slots_shown__ = ("session", "msg_type", "fields")
    cdef readonly uint16_t session
    cdef readonly str msg_type
    cdef readonly bytes fields


cdef class Checkpoint(Frame):
    """CHECKPOINT: store `value` under `key`."""

    __slots_shown__ = ("key", "value")
    cdef readonly bytes key
    cdef readonly bytes value


cdef class Fetch(Frame):
    """FETCH: ask for the value under `key`."""

    __slots_shown__ = ("key",)
    cdef readonly bytes key


cdef class Ping(Frame):
    """PING; the PONG carries the same `seq`."""

    __slots_shown__ = ("seq",)
    cdef readonly uint64_t seq


cdef class Positions(Frame):
    """POSITIONS: replaces those of the LOGIN."""

    __slots_shown__ = ("positions",)
    cdef readonly list positions


cdef class Welcome(Frame):
    """WELCOME: this node (0 for a, 1 for b) is primary in `epoch`."""

    __slots_shown__ = ("node", "epoch", "sessions")
    cdef readonly uint8_t node
    cdef readonly uint64_t epoch
    cdef readonly list sessions


cdef class Standby(Frame):
    """STANDBY: this node is not primary now."""

    __slots_shown__ = ("node",)
    cdef readonly uint8_t node


cdef class Accepted(Frame):
    """ACCEPTED: numbered `seq` of (session, generation), in the log, released."""

    __slots_shown__ = ("session", "generation", "seq", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly str cl_ord_id


cdef class Rejected(Frame):
    """REJECTED by the gateway: the order has no number and was not sent."""

    __slots_shown__ = ("session", "reason", "cl_ord_id", "text")
    cdef readonly uint16_t session
    cdef readonly uint8_t reason
    cdef readonly str cl_ord_id
    cdef readonly str text


cdef class Held(Frame):
    """HELD: waits without a number until its session is ready."""

    __slots_shown__ = ("session", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly str cl_ord_id


cdef class OrderState(Frame):
    """ORDER_STATE: the answer to a repeated submission. `reason` is set if `state` is REFUSED."""

    __slots_shown__ = ("session", "generation", "seq", "state", "reason", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly uint8_t state
    cdef readonly uint32_t reason
    cdef readonly str cl_ord_id


cdef class Message(Frame):
    """MESSAGE: a FIX message of the counterparty, as received."""

    __slots_shown__ = ("session", "generation", "seq", "poss_dup", "raw")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly bint poss_dup
    cdef readonly bytes raw


cdef class Fate(Frame):
    """FATE: what a resend did to an accepted order."""

    __slots_shown__ = ("session", "generation", "seq", "kind", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly uint8_t kind
    cdef readonly str cl_ord_id


cdef class SessionChange(Frame):
    """SESSION: a session's state changed."""

    __slots_shown__ = ("session", "generation", "state", "next_out")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint8_t state
    cdef readonly uint64_t next_out


cdef class CheckpointStored(Frame):
    """CHECKPOINT_STORED: the value of `key` is in the log."""

    __slots_shown__ = ("key",)
    cdef readonly bytes key


cdef class CheckpointValue(Frame):
    """CHECKPOINT_VALUE; `value` is None if there is no such key."""

    __slots_shown__ = ("key", "value")
    cdef readonly bytes key
    cdef readonly bytes value


cdef class Pong(Frame):
    """PONG."""

    __slots_shown__ = ("seq",)
    cdef readonly uint64_t seq


cdef class NodeError(Frame):
    """ERROR: the node closes the connection after it."""

    __slots_shown__ = ("code", "text")
    cdef readonly uint8_t code
    cdef readonly str text
