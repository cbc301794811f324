"""The client protocol over TCP (and, byte for byte, over any other stream): frames between a client and a node.

A frame is a 24-byte little-endian header and a body. All text is ASCII. May depend on: nothing. Never allocates in the
functions that the node uses.

A client connects to both nodes and sends LOGIN on each. The primary answers WELCOME and starts the client's feed; a
standby answers STANDBY, keeps the connection, and sends WELCOME when it becomes primary. The feed is a function of the
log: MESSAGE for each IN record that belongs to the client, in order, from the position the client named; ACCEPTED and
REJECTED for its submissions once the record may be released.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    CLIENT_PROTOCOL_VERSION = 1
    FRAME_HEADER_BYTES = 24
    MAX_FRAME_BYTES = 65536
    MAX_CLORDID_BYTES = 64


cdef enum frame_type:
    # client -> node
    FRAME_LOGIN = 1         # body: login_body_t, name, token, positions x position_t
    # session; flags: submit_flag; seq: CLOCK_MONOTONIC (ns) of the client's host when it was handed in, or 0;
    # generation: epoch of the WELCOME that it was handed in under: one that was under way while another node was
    # primary may have been handed in there as well, and counts as handed in again; body: u8 length of MsgType, MsgType,
    # fields "tag=value<SOH>..." (11= among them)
    FRAME_SUBMIT = 2
    FRAME_CHECKPOINT = 3    # body: u16 key length, key, value: stored in the log
    FRAME_FETCH = 4         # body: key: asks for a CHECKPOINT_VALUE
    FRAME_PING = 5          # seq is echoed
    # body: positions x position_t, instead of those of LOGIN; sent to a standby now and then, so that after its WELCOME
    # it need not repeat everything since the LOGIN. No answer
    FRAME_POSITIONS = 6
    # node -> client
    FRAME_WELCOME = 16      # seq: epoch; session: number of sessions; body: u8 node, per session: session_body_t, name
    FRAME_STANDBY = 17      # this node is not primary; body: u8 node
    FRAME_ACCEPTED = 18     # in the log, numbered seq of (session, generation), and released; body: ClOrdID
    FRAME_REJECTED = 19     # flags: reject_reason; body: u8 length of ClOrdID, ClOrdID, text
    FRAME_HELD = 20         # waits without a number (session not ready); will be ACCEPTED or REJECTED; body: ClOrdID
    # answer to a repeated submission: flags: order_state; seq, generation of the original; aux: reject_reason if
    # ORDER_REFUSED; body: ClOrdID. Waits for the original's release as ACCEPTED does
    FRAME_ORDER_STATE = 21
    FRAME_MESSAGE = 22      # seq, generation: position; flags: 1 PossDup; body: FIX message as received
    FRAME_FATE = 23         # flags: fate_kind; what a resend did to an accepted order; seq, generation; body: ClOrdID
    FRAME_SESSION = 24      # flags: session_state; the session's state changed; generation; seq: next MsgSeqNum out
    FRAME_CHECKPOINT_STORED = 25   # body: key
    FRAME_CHECKPOINT_VALUE = 26    # body: u16 key length, key, value; flags 1: no such key
    FRAME_PONG = 27
    FRAME_ERROR = 28        # flags: error_code; body: text; the node closes the connection after it


cdef enum submit_flag:
    SUBMIT_AGAIN = 1         # was handed in before, perhaps to a primary that is gone


cdef enum reject_reason:
    REJECT_MALFORMED = 1          # fields cannot be parsed; text says where
    REJECT_FORBIDDEN_TAG = 2      # a header or trailer tag in the body
    REJECT_NO_CLORDID = 3
    REJECT_UNKNOWN_SESSION = 4
    REJECT_CLORDID_TAKEN = 5      # by another client of the same session
    REJECT_NOT_READY = 6          # session not ready and configured to refuse
    REJECT_HOLD_FULL = 7
    REJECT_BACK_PRESSURE = 8      # replication window, journal or transmit queue full
    REJECT_KILLED = 9             # kill switch
    REJECT_MAX_ORDER_QTY = 10
    REJECT_MAX_NOTIONAL = 11
    REJECT_THROTTLE = 12
    REJECT_TOO_LARGE = 13
    # a session-level MsgType, or one that may trade past the checks (NewOrderList, quotes)
    REJECT_FORBIDDEN_MSG_TYPE = 14
    REJECT_MAX_OPEN_QTY = 15
    REJECT_PRICE_REQUIRED = 16    # a notional limit is set and the order has no price to check against
    REJECT_QUANTITY_REQUIRED = 17  # a limit on quantities is set and the order has no OrderQty (38)
    REJECT_CANCELED = 18          # it was in doubt, its client has canceled it, and the counterparty does not have it


cdef enum fate_kind:
    FATE_RESENT = 1          # went again under its number, PossDupFlag=Y
    FATE_GAP_FILLED = 2      # was not sent again: its fate is the counterparty's to tell (OrderStatusRequest)


cdef enum error_code:
    ERROR_PROTOCOL = 1       # malformed frame
    ERROR_VERSION = 2
    ERROR_LOGIN = 3          # unknown name or wrong token (never says which)
    ERROR_TOO_SLOW = 4
    ERROR_FENCED = 5         # this node was fenced or is stopping: use the other
    ERROR_FULL = 6           # every place for a client is taken


cdef struct frame_header_t:
    uint32_t length          # header + body
    uint8_t type             # frame_type
    uint8_t flags
    uint16_t session
    uint64_t seq
    uint32_t generation
    uint32_t aux


cdef struct login_body_t:    # 8 bytes
    uint16_t version
    uint16_t name_length
    uint16_t token_length
    uint16_t position_count


cdef struct position_t:      # 16 bytes: "I have read up to here"
    uint64_t seq             # UINT64_MAX: whatever is there already is not wanted
    uint32_t generation
    uint16_t session
    uint16_t reserved


cdef struct session_body_t:  # 24 bytes
    uint64_t next_out
    uint64_t next_in         # where the feed of a client that wants nothing old starts; 0: not told
    uint32_t generation
    uint16_t session
    uint8_t state
    uint8_t name_length


# Whole frame at data[0:size]? Its length; 0: need more bytes; -1: length field out of bounds.
cdef int64_t frame_available(const uint8_t* data, size_t size) noexcept nogil
