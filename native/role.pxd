"""Which node may act: the pair's role state machine (DESIGN sections 3 and 4).

The only place where a node becomes primary, solo, standby or fenced. Inputs: what the peer says, the tripwire, answers
of the register, operator's commands, time. Outputs: a state, what must be required of acks, and register requests. It
decides nothing by comparing clocks of two nodes. May depend on: instant. Never does I/O.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .instant cimport instant_t


cdef enum role_state:
    ROLE_STARTING = 0     # reads the register, meets the peer, compares logs
    ROLE_STANDBY = 1      # follows `primary` of `epoch`
    ROLE_CANDIDATE = 2    # its compare-and-set for a new epoch is under way; acknowledges nothing
    ROLE_PRIMARY = 3      # holds the sessions of `epoch`
    ROLE_FENCED = 4       # must not send to any counterparty; standby when it meets the primary of a later epoch


# What a primary may release (role_t.release).
cdef enum release_rule:
    RELEASE_NOTHING = 0      # not primary
    RELEASE_ACKED = 1        # the register may say that the standby is in sync: only what it acknowledged
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
    uint64_t id                   # from 1; answers carry it, 0 is for what a watch saw. A late answer only informs
    bint act_alone                # an operator vouches that the peer is dead: what the `static` register asks for
    register_value_t expected     # compared by version
    register_value_t desired      # its version is not used: the register gives the next one


cdef enum register_outcome:
    REGISTER_VALUE = 1     # answer to a read, or a change seen by a watch: value is what the cell holds
    REGISTER_WON = 2       # compare-and-set took effect: value is what the cell holds now
    REGISTER_LOST = 3      # another value was there: value is that
    REGISTER_UNKNOWN = 4   # no answer in time, or unreachable: it may or may not have taken effect


cdef enum role_command:
    COMMAND_TAKEOVER = 1       # this standby shall take over now
    COMMAND_SWITCHOVER = 2     # this primary shall hand over to its standby
    COMMAND_SOLO = 3           # this primary shall go on without its standby
    # The operator vouches that the peer is dead and accepts loss: a node out of sync or held back by `static` may act.
    COMMAND_ACT_ALONE = 4


cdef enum command_status:
    COMMAND_ACCEPTED = 0
    COMMAND_NOT_STANDBY = -1
    COMMAND_NOT_PRIMARY = -2
    COMMAND_NOT_IN_SYNC = -3
    COMMAND_BUSY = -4
    COMMAND_PEER_ALIVE = -5    # ACT_ALONE: this node hears its peer as primary


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
    CAUSE_REGISTER_BEHIND = 11    # own or peer's log is later than the register: it was lost. Waits for an operator
    CAUSE_NO_ACKS = 12         # the standby lives, but has acknowledged nothing for fence_timeout
    CAUSE_NEW_LOG = 13         # the register counts on a log that this node has not. Waits for the peer or an operator


cdef struct role_config_t:
    uint8_t node
    uint8_t peer
    uint64_t suspect_after_ns
    uint64_t fence_timeout_ns
    uint64_t register_timeout_ns     # one request
    uint64_t register_retry_ns
    # How long a restarted in-sync node waits for its peer before it acts alone; and the second node of a first start
    # before it tries.
    uint64_t startup_wait_ns
    bint preferred                   # first start: this node goes first
    bint lost_tail                   # power was lost with an unflushed tail: skip ahead if it must act alone
    # The journal was made anew and nobody has filled it yet: what the register says of this node it says of a log that
    # is gone.
    bint new_log


cdef struct peer_view_t:             # from the peer's datagrams
    bint alive                       # heard within suspect_after
    bint tripwire                    # connected
    uint8_t role                     # role_state
    uint32_t epoch
    uint32_t last_epoch              # of its log
    uint64_t last_lsn
    bint log_in_doubt                # DATAGRAM_LOG_IN_DOUBT
    uint64_t last_heard_mono_ns


# How many records a standby may be behind when the primary starts to require acks: they stall releases for that long.
cdef enum:
    JOIN_LAG_RECORDS = 256


# After each input the owner looks at `transitions`, then takes the request. It must apply a change of `release` before
# it makes the request: a join is only safe once acks are required.
cdef struct role_t:
    role_config_t config
    role_state state
    release_rule release
    uint32_t epoch                   # ours while primary; the primary's while standby
    uint8_t primary
    bint intake                      # orders may be numbered (primary, not handing over)
    bint skip_ahead                  # promoted without the whole log (act alone): skip numbers and reconcile
    # config.lost_tail, until we hold all that a primary had released (role_on_whole_log), or were promoted (and skipped
    # ahead). That the register comes to say we are in sync does not count: it may speak of a former life. The owner
    # keeps the mark on disk for as long: a mere restart of the process does not bring the tail back.
    bint tail_suspect
    # config.new_log, until it has held all that the primary had released (role_on_whole_log), or we were promoted
    bint unproven
    role_cause cause
    register_value_t cell            # last known content of the register
    peer_view_t peer
    uint64_t own_last_lsn            # told by the owner before each input
    uint32_t own_last_epoch
    uint64_t transitions             # counts every change of state, release or epoch: the owner compares and acts
    uint64_t detected_mono_ns        # of the last takeover: when the peer was suspected
    uint64_t won_mono_ns             # of the last takeover: when the register was won
    uint64_t handovers_given_up      # switchovers that were accepted, and after which this node went on as primary
    register_request_t request

    # Private to role.pyx from here on. Times are mono_ns; 0: not running.
    bint cell_known                  # the register answered in this life
    bint cell_guessed                # in_sync of `cell` is our assumption, made when we met a primary of a later epoch
    bint cell_behind                 # the register's latest answer is older than what it held: it lost its data
    bint cell_fresh                  # the register answered since we were fenced
    bint request_open                # no answer yet
    bint request_waiting             # the owner has not taken it yet
    uint64_t request_since
    uint64_t retry_at                # no request before this: the last one got no answer
    uint64_t read_at                 # no routine read before this
    uint64_t settled_version         # every compare-and-set of ours is decided once cell.version has reached this
    uint32_t claimed_epoch           # our last compare-and-set for ourselves as primary
    bint claim_skips                 # it was made without the whole log
    bint act_alone
    uint32_t act_alone_epoch         # of the cell when the operator said so
    role_cause loss_cause
    uint64_t started_at
    uint64_t last_timer
    uint64_t pauses                  # times this node was not running for half of suspect_after or longer
    uint64_t longest_pause_ns
    uint64_t primary_heard           # standby: last datagram that says PRIMARY of our epoch
    bint primary_lost                # standby: tripwire fell or the primary says it is none any more
    bint loss_read                   # standby: the register was asked since the primary was lost
    uint64_t candidate_since
    bint joined                      # primary: as told by role_on_standby
    uint64_t acked_lsn
    uint64_t acked_at                # when it moved last, or nothing was missing
    uint64_t join_grace_until        # a primary by switchover waits so long for the old one to join
    uint64_t lost_since              # the register has been needed since
    uint64_t join_since              # acks required, not yet declared in sync
    uint64_t join_target
    uint64_t rejoin_target           # what a standby in sync must hold again that has left and come back
    uint64_t handover_since
    uint32_t handover_epoch          # epoch that we tried to hand to the peer
    bint solo_wanted


cdef void role_init(role_t* r, const role_config_t* config, uint64_t own_last_lsn, uint32_t own_last_epoch,
                    const instant_t* now) noexcept nogil
cdef void role_on_log(role_t* r, uint64_t own_last_lsn, uint32_t own_last_epoch) noexcept nogil
# Until role_on_whole_log a standby may hold less than was released, whatever the register says of it.
cdef inline bint role_log_in_doubt(const role_t* r) noexcept nogil:
    return r.unproven or r.tail_suspect

# An authentic datagram of the peer arrived.
cdef void role_on_peer(role_t* r, uint8_t peer_role, uint32_t peer_epoch, uint32_t peer_last_epoch,
                       uint64_t peer_last_lsn, bint log_in_doubt, const instant_t* now) noexcept nogil
cdef void role_on_tripwire(role_t* r, bint connected, const instant_t* now) noexcept nogil
# Primary: whether the standby has joined in this epoch and in its present life (after a new incarnation: 0 until it
# joins again), and the LSN it acknowledged (received).
cdef void role_on_standby(role_t* r, bint joined, uint64_t acked_lsn, const instant_t* now) noexcept nogil
# The primary says that it wrote us into the register as primary of new_epoch.
cdef void role_on_handover(role_t* r, uint32_t new_epoch, const instant_t* now) noexcept nogil
# Standby: our log is the primary's as far as it had released it when it knew this life of ours. What it releases from
# then on, it releases to us first, or after it took us out of in_sync.
cdef void role_on_whole_log(role_t* r, const instant_t* now) noexcept nogil
# The register is empty, and so is our log: nothing was ever released. The owner removes the journal's mark of a new
# log, then says role_on_whole_log.
cdef bint role_is_first_start(const role_t* r) noexcept nogil
cdef void role_on_register(role_t* r, uint64_t request_id, register_outcome outcome, const register_value_t* value,
                           const instant_t* now) noexcept nogil
cdef command_status role_on_command(role_t* r, role_command command, const instant_t* now) noexcept nogil
cdef void role_on_timer(role_t* r, const instant_t* now) noexcept nogil
cdef uint64_t role_deadline(const role_t* r) noexcept nogil
# The next register request to make, once.
cdef bint role_take_request(role_t* r, register_request_t* request) noexcept nogil


cdef inline bint role_may_have_handed_over(const role_t* r) noexcept nogil:
    """The peer may be primary by a switchover already, and know nothing that it has not acknowledged."""
    return r.handover_since != 0 or (r.handover_epoch > r.epoch and r.cell.version < r.settled_version)
