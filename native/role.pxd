"""Which node may act: the pair's role state machine (DESIGN sections 3 and 4).

The only place where a node becomes primary, solo, standby or fenced. Inputs: what the peer says, the tripwire, answers of
the register, operator's commands, time. Outputs: a state, what must be required of acks, and register requests. It
decides nothing by comparing clocks of two nodes. May depend on: instant. Never does I/O.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .instant cimport instant_t


cdef enum role_state:
    ROLE_STARTING = 0     # reads the register, meets the peer, compares logs
    ROLE_STANDBY = 1      # follows `primary` of `epoch`
    ROLE_CANDIDATE = 2    # its compare-and-set for a new epoch is under way; acknowledges nothing
    ROLE_PRIMARY = 3      # holds the sessions of `epoch`
    ROLE_FENCED = 4       # must not send to any counterparty; joins as standby when it meets the primary of a later epoch


# What a primary may release (role_t.release).
cdef enum release_rule:
    RELEASE_NOTHING = 0      # not primary, or standby lost and compare-and-set for solo under way
    RELEASE_ACKED = 1        # the standby is in sync, or about to be declared so: only what it acknowledged
    RELEASE_ALL = 2          # solo


cdef struct register_value_t:
    uint64_t version      # of the cell; 0: the cell was never written
    uint32_t epoch
    uint8_t primary       # node index
    uint8_t in_sync       # bit mask of node indices


cdef enum register_request_kind:
    REGISTER_NONE = 0
    REGISTER_READ = 1
    REGISTER_COMPARE_AND_SET = 2


cdef struct register_request_t:
    register_request_kind kind
    uint64_t id                   # answers carry it; an answer to an older request is ignored
    register_value_t expected
    register_value_t desired


cdef enum register_outcome:
    REGISTER_VALUE = 1     # answer to a read, or a change seen by a watch: value is what the cell holds
    REGISTER_WON = 2       # compare-and-set took effect: value is what the cell holds now
    REGISTER_LOST = 3      # another value was there: value is that
    REGISTER_UNKNOWN = 4   # no answer in time, or unreachable: it may or may not have taken effect


cdef enum role_command:
    COMMAND_TAKEOVER = 1       # this standby shall take over now
    COMMAND_SWITCHOVER = 2     # this primary shall hand over to its standby
    COMMAND_SOLO = 3           # this primary shall go on without its standby
    COMMAND_ACT_ALONE = 4      # operator vouches that the peer is dead: an out-of-sync or `static` node may act (accepts loss)


cdef enum command_status:
    COMMAND_ACCEPTED = 0
    COMMAND_NOT_STANDBY = -1
    COMMAND_NOT_PRIMARY = -2
    COMMAND_NOT_IN_SYNC = -3
    COMMAND_BUSY = -4


# Why the last change happened: for incident reports.
cdef enum role_cause:
    CAUSE_NONE = 0
    CAUSE_FIRST_START = 1
    CAUSE_TRIPWIRE = 2
    CAUSE_SILENCE = 3          # no datagram of the peer for suspect_after
    CAUSE_COMMAND = 4
    CAUSE_SWITCHOVER = 5
    CAUSE_RESTART = 6
    CAUSE_LOST_REGISTER = 7    # lost a compare-and-set
    CAUSE_NO_REGISTER = 8      # fence_timeout
    CAUSE_LATER_EPOCH = 9      # met a later epoch
    CAUSE_CAUGHT_UP = 10


cdef struct role_config_t:
    uint8_t node
    uint8_t peer
    uint64_t suspect_after_ns
    uint64_t fence_timeout_ns
    uint64_t register_timeout_ns     # one request
    uint64_t register_retry_ns
    uint64_t startup_wait_ns         # how long a restarted in-sync node waits for its peer before it acts alone; and the
                                     # second node of a first start before it tries
    bint preferred                   # first start: this node goes first
    bint lost_tail                   # power was lost with an unflushed tail: skip ahead if it must act alone


cdef struct peer_view_t:             # from the peer's datagrams
    bint alive                       # heard within suspect_after
    bint tripwire                    # connected
    uint8_t role                     # role_state
    uint32_t epoch
    uint32_t last_epoch              # of its log
    uint64_t last_lsn
    uint64_t last_heard_mono_ns


cdef struct role_t:
    role_config_t config
    role_state state
    release_rule release
    uint32_t epoch                   # ours while primary; the primary's while standby
    uint8_t primary
    bint intake                      # orders may be numbered (primary, not handing over)
    bint skip_ahead                  # promoted without the whole log (act alone): skip numbers and reconcile
    role_cause cause
    register_value_t cell            # last known content of the register
    peer_view_t peer
    uint64_t own_last_lsn            # told by the owner before each input
    uint32_t own_last_epoch
    uint64_t transitions             # counts every change of state, release or epoch: the owner compares and acts
    uint64_t detected_mono_ns        # of the last takeover: when the peer was suspected
    uint64_t won_mono_ns             #                      when the register was won
    register_request_t request
    # Requests under way and timers follow (role.pyx).


cdef void role_init(role_t* r, const role_config_t* config, uint64_t own_last_lsn, uint32_t own_last_epoch, const instant_t* now) noexcept nogil
cdef void role_on_log(role_t* r, uint64_t own_last_lsn, uint32_t own_last_epoch) noexcept nogil
cdef void role_on_peer(role_t* r, uint8_t peer_role, uint32_t peer_epoch, uint32_t peer_last_epoch, uint64_t peer_last_lsn,
                       const instant_t* now) noexcept nogil          # an authentic datagram of the peer arrived
cdef void role_on_tripwire(role_t* r, bint connected, const instant_t* now) noexcept nogil
# Primary: whether the standby has joined in this epoch, and the LSN it acknowledged (received).
cdef void role_on_standby(role_t* r, bint joined, uint64_t acked_lsn, const instant_t* now) noexcept nogil
cdef void role_on_handover(role_t* r, uint32_t new_epoch, const instant_t* now) noexcept nogil   # the primary says we won epoch
cdef void role_on_register(role_t* r, uint64_t request_id, register_outcome outcome, const register_value_t* value,
                           const instant_t* now) noexcept nogil
cdef command_status role_on_command(role_t* r, role_command command, const instant_t* now) noexcept nogil
cdef void role_on_timer(role_t* r, const instant_t* now) noexcept nogil
cdef uint64_t role_deadline(const role_t* r) noexcept nogil
cdef bint role_take_request(role_t* r, register_request_t* request) noexcept nogil   # next register request to make, once
