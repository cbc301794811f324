"""What goes between the nodes: sealed UDP datagrams. Header, MAC, replay protection; no meaning.

Why a recorded datagram has no effect. A datagram other than HELLO is taken only if it names the present incarnation of
its receiver, so nothing from before the receiver's start is taken; only if it comes from the highest incarnation of its
sender that was ever taken in this life of the receiver, so nothing of an earlier life of the sender is taken after the
present one was met; and only if its counter was not seen, so nothing is taken twice. A HELLO that names no or another
incarnation of its receiver may be a recording: it changes nothing here, and its receiver at most answers it. A sender
learns the receiver's incarnation from a datagram that names its own present one, which no recording can.

May depend on: siphash. Never does I/O, never reads a clock, never allocates.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .siphash cimport siphash128

cdef enum:
    DATAGRAM_MAGIC = 0x5847          # "GX"


cdef void channel_init(channel_t* c, const uint8_t* key, uint32_t pair_id, uint8_t node,
                       uint64_t incarnation) noexcept nogil:
    memset(c, 0, sizeof(channel_t))
    memcpy(c.key, key, 16)
    c.pair_id = pair_id
    c.node = node
    c.incarnation = incarnation


cdef size_t channel_seal(channel_t* c, uint8_t* buffer, uint8_t to_node, size_t body_bytes,
                         uint64_t wall_ns) noexcept nogil:
    return seal(c, buffer, to_node, body_bytes, c.peer_incarnation[to_node], wall_ns)


cdef size_t channel_seal_hello(channel_t* c, uint8_t* buffer, uint8_t to_node, uint64_t to_incarnation,
                               uint64_t wall_ns) noexcept nogil:
    return seal(c, buffer, to_node, 0, to_incarnation, wall_ns)


cdef open_status channel_open(channel_t* c, const uint8_t* data, size_t size,
                              const datagram_header_t** header) noexcept nogil:
    cdef open_status status = inspect(c, data, size)
    cdef const datagram_header_t* h = <const datagram_header_t*>data
    if status == OPEN_OK:
        status = judge_freshness(c, h)
    if status != OPEN_OK:
        c.dropped[<int>status] += 1
        if status == OPEN_WRONG_VERSION:
            c.other_version = h.version
        return status
    c.opened += 1
    header[0] = h
    return OPEN_OK


# --- helpers --------------------------------------------------------------------------------------------------------

cdef size_t seal(channel_t* c, uint8_t* buffer, uint8_t to_node, size_t body_bytes, uint64_t to_incarnation,
                 uint64_t wall_ns) noexcept nogil:
    cdef datagram_header_t* h = <datagram_header_t*>buffer
    cdef size_t length = DATAGRAM_HEADER_BYTES + body_bytes
    h.magic = DATAGRAM_MAGIC
    h.version = DATAGRAM_VERSION
    h.from_node = c.node
    h.role = c.role
    h.flags = c.flags
    h.to_node = to_node
    h.pair_id = c.pair_id
    h.from_incarnation = c.incarnation
    h.to_incarnation = to_incarnation
    c.next_counter[to_node] += 1
    h.counter = c.next_counter[to_node]
    h.send_time_ns = wall_ns
    h.body_bytes = <uint16_t>body_bytes
    siphash128(c.key, buffer, length, buffer + length)
    return length + DATAGRAM_MAC_BYTES


cdef open_status inspect(const channel_t* c, const uint8_t* data, size_t size) noexcept nogil:
    """Is it whole, for us, and from somebody who has the key?"""
    cdef const datagram_header_t* h = <const datagram_header_t*>data
    cdef uint8_t mac[DATAGRAM_MAC_BYTES]
    cdef uint8_t difference = 0
    cdef int i
    if size < DATAGRAM_HEADER_BYTES + DATAGRAM_MAC_BYTES:
        return OPEN_TRUNCATED
    if size > MAX_DATAGRAM_BYTES:
        return OPEN_OVERSIZED
    if h.magic != DATAGRAM_MAGIC:
        return OPEN_WRONG_MAGIC
    if h.version != DATAGRAM_VERSION:
        return OPEN_WRONG_VERSION
    if h.pair_id != c.pair_id:
        return OPEN_WRONG_PAIR
    if h.to_node != c.node or h.from_node >= MAX_NODES or h.from_node == c.node:
        return OPEN_WRONG_NODE
    if h.body_bytes + <size_t>DATAGRAM_HEADER_BYTES + DATAGRAM_MAC_BYTES != size:
        return OPEN_TRUNCATED
    siphash128(c.key, data, size - DATAGRAM_MAC_BYTES, mac)
    for i in range(DATAGRAM_MAC_BYTES):          # in the same time, whichever byte is wrong
        difference |= mac[i] ^ data[size - DATAGRAM_MAC_BYTES + i]
    return OPEN_OK if difference == 0 else OPEN_BAD_MAC


cdef open_status judge_freshness(channel_t* c, const datagram_header_t* h) noexcept nogil:
    cdef uint8_t peer = h.from_node
    if h.to_incarnation != c.incarnation:
        return OPEN_OK if h.kind == DATAGRAM_HELLO else OPEN_STALE
    if h.from_incarnation < c.peer_incarnation[peer]:
        return OPEN_STALE
    if h.from_incarnation > c.peer_incarnation[peer]:
        c.peer_incarnation[peer] = h.from_incarnation
        c.highest_counter[peer] = 0
        memset(c.seen[peer], 0, sizeof(c.seen[peer]))
    return first_sight(c, peer, h.counter)


cdef open_status first_sight(channel_t* c, uint8_t peer, uint64_t counter) noexcept nogil:
    """Sliding window over counters, as in IPsec (RFC 6479)."""
    cdef uint64_t highest = c.highest_counter[peer]
    cdef uint64_t word
    cdef uint64_t first
    if counter + REPLAY_WINDOW_BITS - 64 <= highest:
        return OPEN_DUPLICATE                    # too old to tell: one word is always being reused
    if counter > highest:
        # Words that the window moves into start empty.
        first = highest // 64 + 1
        if counter // 64 - highest // 64 >= REPLAY_WINDOW_WORDS:
            memset(c.seen[peer], 0, sizeof(c.seen[peer]))
        else:
            while first <= counter // 64:
                c.seen[peer][first % (REPLAY_WINDOW_WORDS)] = 0
                first += 1
        c.highest_counter[peer] = counter
    word = counter // 64 % (REPLAY_WINDOW_WORDS)
    if c.seen[peer][word] & (<uint64_t>1 << counter % 64):
        return OPEN_DUPLICATE
    c.seen[peer][word] |= <uint64_t>1 << counter % 64
    return OPEN_OK


# --- Python face ----------------------------------------------------------------------------------------------------

STATUS_NAMES = ("OK", "TRUNCATED", "WRONG_MAGIC", "WRONG_VERSION", "WRONG_PAIR", "WRONG_NODE", "BAD_MAC", "STALE",
                "DUPLICATE", "OVERSIZED")
KIND_NAMES = ("", "HELLO", "HEARTBEAT", "DATA", "ACK", "JOIN", "JOIN_REPLY", "HANDOVER")


cdef class Channel:
    """One node's end of the channel. Raises ValueError unless the key has 16 bytes."""

    def __cinit__(self, bytes key not None, *, uint32_t pair_id=1, uint8_t node=0, uint64_t incarnation=1):
        if len(key) != 16:
            raise ValueError(f"key: 16 bytes, found {len(key)}")
        channel_init(&self.channel, key, pair_id, node, incarnation)

    def seal(self, int kind, uint8_t to_node, bytes body=b"", *, to_incarnation=None, uint64_t wall_ns=0) -> bytes:
        """A sealed datagram. `to_incarnation`: for a HELLO, what the peer claims to be."""
        cdef bytearray buffer = bytearray(DATAGRAM_HEADER_BYTES + len(body) + DATAGRAM_MAC_BYTES)
        cdef uint8_t* raw = buffer
        (<datagram_header_t*>raw).kind = kind
        buffer[DATAGRAM_HEADER_BYTES:DATAGRAM_HEADER_BYTES + len(body)] = body
        raw = buffer
        seal(&self.channel, raw, to_node, len(body), self.channel.peer_incarnation[to_node] if to_incarnation is None
             else to_incarnation, wall_ns)
        return bytes(buffer)

    def open(self, bytes data not None) -> str:
        """Name of the open_status."""
        cdef const datagram_header_t* header = NULL
        return STATUS_NAMES[channel_open(&self.channel, data, len(data), &header)]

    @property
    def incarnation(self) -> int:
        """Of this end."""
        return self.channel.incarnation

    def peer_incarnation(self, uint8_t node) -> int:
        """What is known of the peer; 0: not met yet."""
        return self.channel.peer_incarnation[node]

    @property
    def dropped(self) -> dict:
        """Datagrams dropped, by reason."""
        return {name: self.channel.dropped[i] for i, name in enumerate(STATUS_NAMES) if i}
