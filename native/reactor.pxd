"""The only module that makes system calls on sockets, and the only one that reads the clock.

One thread without the GIL: waits (epoll) or spins (busy-poll), hands what arrived to the node, and writes what the node
puts out. The control thread talks to it through two rings and two eventfds. May depend on: node. Decides nothing.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from .instant cimport instant_t
from .node cimport MAX_CLIENT_CONNECTIONS, Node, node_t
from .replica cimport MAX_SESSIONS
from .ring cimport ring_t
from .sharedstream cimport shared_stream_t
from .ticks cimport ticks_clock_t


cdef enum:
    MAX_PATHS = 2
    MAX_ENDPOINTS = 8
    MAX_LINGERING = 32
    MAX_SOCKET_OPTIONS = 12              # of one endpoint
    SOCKET_OPTION_BYTES = 16             # an int, or the name of an interface
    SOCKADDR_BYTES = 28                  # sockaddr_in6, the largest we use
    SESSION_RX_BYTES = 1 << 18
    CLIENT_RX_BYTES = 1 << 17            # MAX_FRAME_BYTES must fit
    COMMAND_RING_BYTES = 1 << 16
    DATAGRAMS_PER_TURN = 64              # received before others get their turn


cdef enum command_kind:
    REACTOR_STOP = 1             # log out and leave the loop
    REACTOR_ROLE = 2             # a: role_command
    REACTOR_REGISTER = 3         # id: request; a: register_outcome; the value fields
    REACTOR_SESSION = 4          # a: session_command; session; value_a, value_b
    REACTOR_KILL = 5             # a: client; b: 1 set, 0 cleared
    # session; a: attempt, b: file descriptor (-1: it failed); behind it what was read from it already. An acceptor's
    # attempt is not looked at. The descriptor is the reactor's from here on
    REACTOR_ADOPT = 6
    REACTOR_FILL_LOGON = 7       # session; a: attempt, b: 1 failed; behind it the fields
    # A client in shared memory. b: its socket, value_a: address of the memory. Both are the reactor's from here on
    REACTOR_ADOPT_CLIENT = 8


cdef struct command_t:
    uint64_t id
    uint32_t kind
    uint32_t a
    uint32_t b
    uint32_t session
    uint64_t value_a             # REGISTER: version. SET_SEQ: next_out. ADOPT_CLIENT: memory
    uint64_t value_b             # REGISTER: epoch << 32 | primary << 8 | in_sync. SET_SEQ: next_in


cdef struct stream_t:            # one connection
    int fd                       # -1: none
    shared_stream_t shared       # a client's that is in shared memory: `fd` only wakes, and ends, then
    bint connecting
    bint local                   # the other end is on this host
    bint wants_write             # EPOLLOUT is asked for
    bint stuck                   # the node takes no more input now: EPOLLIN is not asked for
    uint32_t filled              # bytes in rx
    uint32_t rx_bytes
    uint8_t* rx
    uint64_t deadline_mono_ns    # connecting, lingering, greeting


cdef struct address_t:
    uint8_t bytes[SOCKADDR_BYTES]
    uint32_t length              # 0: none
    int family


cdef struct socket_option_t:     # an argument of setsockopt()
    int level
    int name
    uint32_t size
    uint8_t value[SOCKET_OPTION_BYTES]


cdef struct socket_options_t:
    uint32_t count
    socket_option_t entries[MAX_SOCKET_OPTIONS]


cdef class Reactor:
    cdef readonly Node owner
    cdef node_t* node
    cdef int epoll_fd
    cdef int command_fd                  # eventfd: the control thread wrote commands
    cdef int notify_fd                   # eventfd: there are notes
    cdef ring_t* commands
    cdef object command_buffer
    cdef int path_fds[MAX_PATHS]
    cdef int path_count
    cdef uint64_t path_turns[MAX_PATHS]  # the turn in which something was read last
    cdef int client_listen_fd
    cdef int tripwire_listen_fd
    cdef address_t tripwire_peer         # set on the node that connects
    cdef address_t endpoints[MAX_SESSIONS][MAX_ENDPOINTS]
    cdef address_t sources[MAX_SESSIONS][MAX_ENDPOINTS]
    cdef socket_options_t options[MAX_SESSIONS][MAX_ENDPOINTS]
    cdef uint64_t dialled[MAX_SESSIONS]  # bit mask: endpoints that the control thread connects to
    cdef uint64_t connect_timeouts_ns[MAX_SESSIONS]
    cdef stream_t sessions[MAX_SESSIONS]
    cdef stream_t clients[MAX_CLIENT_CONNECTIONS]
    cdef uint64_t shared_clients         # bit mask: slots of clients in shared memory
    cdef stream_t tripwire
    cdef stream_t greeting               # accepted, its greeting not verified yet
    cdef bint tripwire_verified
    cdef int lifeline_fd                 # to the thread that holds our end of the tripwire; -1: there is none
    cdef uint64_t tripwire_incarnation   # life of the peer that was dialled last
    cdef uint64_t tripwire_retry_mono_ns
    cdef int lingering[MAX_LINGERING]
    cdef uint64_t lingering_until[MAX_LINGERING]
    cdef uint8_t* datagram
    cdef uint8_t* gathered              # messages to one counterparty, one behind the other
    cdef bint busy_poll
    cdef bint yield_when_idle
    cdef bint looked                     # the last turn came from a look
    cdef uint32_t alone_turns            # until the next look whether somebody else wants the core
    cdef uint64_t others_had_ns          # the core, when it was given away last
    cdef uint32_t unasked_turns          # that may still pass without asking the kernel for everything
    cdef bint give_way                   # a counterparty on this host was sent something
    cdef uint64_t truncate_again_mono_ns     # 0: it has not failed
    cdef uint64_t keep_way_until_mono_ns     # the core is not given away before
    cdef bint stopping
    cdef bint more                       # something is left for the next turn: do not wait
    cdef uint64_t stop_mono_ns
    cdef uint64_t notes_seen
    cdef instant_t now
    cdef ticks_clock_t clock
    cdef bint counter                    # the time stamp counter may be used
    cdef readonly uint64_t turns
    cdef readonly uint64_t datagrams_received
    cdef readonly uint64_t datagrams_sent
    cdef readonly uint64_t send_errors
    cdef readonly uint64_t refused_connections
    cdef readonly uint64_t refused_sessions      # connections to an acceptor session that may not log on now
