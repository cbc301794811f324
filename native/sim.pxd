"""The simulated world: two production nodes, counterparties, clients, a register and an operator under virtual time.

Drives the compiled cores as the reactor does, one event at a time, in an order that the seed alone decides, and checks
the truth's invariants after each. Faults come in as a schedule. May depend on: every native module but reactor.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from .datagram cimport MAX_DATAGRAM_BYTES
from .instant cimport instant_t
from .journal cimport journal_t
from .node cimport GREETING_BYTES, MAX_CLIENT_CONNECTIONS, node_t
from .role cimport register_request_t, register_value_t
from .simbroker cimport broker_t
from .simclient cimport simclient_t
from .simnet cimport NET_EVENTS, net_t
from .simqueue cimport event_t
from .simrandom cimport random_t
from .simtruth cimport TRUE_CLIENTS, TRUE_SESSIONS, truth_t


cdef enum world_event:
    EVENT_NODE_TIMER = 6           # a: node; b: its boot
    EVENT_BROKER_TIMER = 7         # a: session
    EVENT_CLIENT_TURN = 8          # a: client
    EVENT_ORDER = 9                # a: client
    EVENT_REGISTER = 10            # a: node; b: its boot; c: the other's; data: register_request_t
    EVENT_REGISTER_ANSWER = 11     # a: node; b: its boot; c: register_outcome; data: answer_t
    EVENT_FAULT = 12               # b: index
    EVENT_FLUSH = 13               # a: node; b: its boot
    EVENT_RESTART = 14             # a: node
    EVENT_CHECK = 15               # healed?
    EVENT_CLIENT_BACK = 16         # a: client
    EVENT_CYCLE = 17               # a: node: an operator restarts it
    EVENT_DISK_SPACE = 18          # a: node: is there space again?
    EVENT_SCHEDULE = 19            # a: node; b: its boot; c: session << 8 | session_command
    EVENT_DAY = 20                 # a: session: is it quiet, so that its day can end?


# What can go wrong. `target`: node, client or session; `duration`: until it is made good; `param`: see each.
cdef enum fault_kind:
    FAULT_KILL = 0                 # node; param: steps of its program from now on, so that it dies between two of them
    FAULT_POWER = 1                # node's host; what was not flushed is lost from a random record on
    FAULT_PAUSE = 2                # node
    FAULT_CUT_PATH = 3             # target: 0 A, 1 B, 2 both and the tripwire, 3 both; param: directions
    FAULT_ISOLATE = 4              # node from everything
    FAULT_CUT_REGISTER = 5         # node; param: directions
    FAULT_REGISTER_DOWN = 6
    FAULT_CUT_BROKER = 7           # node; param: directions
    FAULT_CUT_CLIENTS = 8          # node; param: directions
    FAULT_TRIPWIRE = 9             # the connection breaks
    FAULT_BAD_PATHS = 10           # loss, repeats, reordering, corruption; target: 0, 1 both, 2 A, 3 B
    FAULT_SLOW_REGISTER = 11       # late and lost answers
    FAULT_WALL_JUMP = 12           # node; param: seconds + 1,000,000
    FAULT_DRIFT = 13               # node; param: ppm + 1,000,000 of its monotonic clock
    FAULT_BROKER_DROP = 14         # session: the counterparty drops its connection
    FAULT_BROKER_MUTE = 15         # session: it neither reads nor answers
    FAULT_BROKER_REFUSE = 16       # session: it takes no connection
    FAULT_BROKER_ASKS_ALL = 17     # session: ResendRequest for everything
    FAULT_BROKER_GARBAGE = 18      # session: bytes that are no FIX
    FAULT_CLIENT_CRASH = 19
    FAULT_TAKEOVER = 20            # node: operator's commands
    FAULT_SWITCHOVER = 21
    FAULT_SOLO = 22
    FAULT_DISK_STALL = 23          # node: nothing reaches the disk
    FAULT_SLOW_PATHS = 24          # long delays, within which nothing is lost; target: 0, 1 both, 2 A, 3 B
    FAULT_BROKER_DEAF = 25         # session: the next ResendRequest is never answered
    FAULT_ACT_ALONE = 26           # node: the operator's last resort, while the other node is down
    FAULT_DISK_FULL = 27           # node: its journal gets no further segment
    FAULT_BIT_FLIP = 28            # node's host loses power, and a bit of its journal on disk is another one
    FAULT_SLOW_BROKER = 29         # node: long delays to and from counterparties
    FAULT_SLOW_CLIENTS = 30        # node: long delays to and from clients
    FAULT_CLOSE = 31               # session: outside of its window, on both nodes
    FAULT_DAY_CHANGE = 32          # session: closed until all is settled, then it starts over on both sides
    FAULT_BROKER_RESET = 33        # session: SequenceReset-Reset to a higher number; param: how much higher
    FAULTS = 34


cdef enum seen_state:              # of the pair's protocol, for the coverage table
    SEEN_DOWN = 0
    SEEN_STARTING = 1
    SEEN_JOINING = 2
    SEEN_FOLLOWING = 3             # not in sync by the register
    SEEN_IN_SYNC = 4
    SEEN_CANDIDATE = 5
    SEEN_PRIMARY_ACKED = 6
    SEEN_PRIMARY_SOLO = 7
    SEEN_HANDING_OVER = 8
    SEEN_FENCED = 9
    SEEN_STATES = 10


cdef enum:
    SESSION_STATES = 8             # session_state, and 7: no primary
    MAX_FAULTS = 64
    TRIGGER_SEEN = 1               # + seen_state of node `target & 1`
    TRIGGER_SESSION = 32           # + session_state
    SIM_NODE_RX_BYTES = 1 << 17


cdef struct fault_t:
    uint64_t at
    uint64_t duration
    uint32_t param
    uint8_t kind
    uint8_t target
    uint8_t trigger                # 0: at its time; else from then on when the node, or the session, is in a state
    bint armed


cdef struct answer_t:
    uint64_t id
    register_value_t value


cdef struct stream_t:              # what was received and not used yet
    int32_t connection             # -1: none
    bint up
    uint32_t filled
    uint8_t bytes[SIM_NODE_RX_BYTES]


cdef struct simnode_t:
    node_t* n
    journal_t* journal
    bint up
    bint host_up
    uint32_t boot
    uint64_t paused_until
    uint64_t timer_at              # of the earliest timer event that is scheduled
    int32_t crash_in               # steps; -1: not
    uint64_t restart_at            # when it dies so
    uint64_t mono_base             # clock of the host: mono_base + (now - true_base) x (1 + drift)
    uint64_t true_base
    int64_t drift_ppm
    int64_t wall_offset
    bint lost_tail                 # mark on the disk
    bint new_log                   # mark on the disk
    bint moved_away                # its journal, and no primary has filled the new one yet
    bint damaged                   # a bit of its journal has changed, and nobody has looked yet
    uint64_t settled_lsn           # 1 + what must be flushed before the mark goes; 0: it stays
    uint64_t stalled_until         # the disk
    uint64_t full_until
    uint64_t logged_lsn
    uint32_t epoch_seen
    stream_t sessions[TRUE_SESSIONS]
    stream_t slots[MAX_CLIENT_CONNECTIONS]
    int32_t tripwire               # connection
    bint tripwire_verified
    int32_t greeting               # node 0: accepted, not verified
    uint64_t tripwire_retry_at
    uint64_t tripwire_met          # incarnation that was dialled
    uint8_t greeting_rx[2][GREETING_BYTES]   # of tripwire, of greeting
    uint32_t greeting_filled[2]


cdef struct world_config_t:
    uint32_t sessions
    uint32_t clients
    uint8_t durability             # 0 none, 1 interval, 2 every
    bint refuses_second
    bint watch                     # the register tells of changes
    uint64_t order_every_ns
    uint64_t faults_end
    uint64_t heal_ns               # how long healing may take
    uint64_t flush_every_ns
