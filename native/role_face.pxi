# The Python face: for tests, tools and the simulator. Part of role.pyx.


class State(IntEnum):
    """`role_state`."""

    STARTING = ROLE_STARTING
    STANDBY = ROLE_STANDBY
    CANDIDATE = ROLE_CANDIDATE
    PRIMARY = ROLE_PRIMARY
    FENCED = ROLE_FENCED


class Release(IntEnum):
    """`release_rule`."""

    NOTHING = RELEASE_NOTHING
    ACKED = RELEASE_ACKED
    ALL = RELEASE_ALL


class RequestKind(IntEnum):
    """`register_request_kind`."""

    READ = REGISTER_READ
    COMPARE_AND_SET = REGISTER_COMPARE_AND_SET


class RegisterOutcome(IntEnum):
    """`register_outcome`."""

    VALUE = REGISTER_VALUE
    WON = REGISTER_WON
    LOST = REGISTER_LOST
    UNKNOWN = REGISTER_UNKNOWN


class Command(IntEnum):
    """`role_command`."""

    TAKEOVER = COMMAND_TAKEOVER
    SWITCHOVER = COMMAND_SWITCHOVER
    SOLO = COMMAND_SOLO
    ACT_ALONE = COMMAND_ACT_ALONE


class CommandStatus(IntEnum):
    """`command_status`."""

    ACCEPTED = COMMAND_ACCEPTED
    NOT_STANDBY = COMMAND_NOT_STANDBY
    NOT_PRIMARY = COMMAND_NOT_PRIMARY
    NOT_IN_SYNC = COMMAND_NOT_IN_SYNC
    BUSY = COMMAND_BUSY
    PEER_ALIVE = COMMAND_PEER_ALIVE


class Cause(IntEnum):
    """`role_cause`."""

    NONE = CAUSE_NONE
    FIRST_START = CAUSE_FIRST_START
    TRIPWIRE = CAUSE_TRIPWIRE
    SILENCE = CAUSE_SILENCE
    COMMAND = CAUSE_COMMAND
    SWITCHOVER = CAUSE_SWITCHOVER
    RESTART = CAUSE_RESTART
    LOST_REGISTER = CAUSE_LOST_REGISTER
    NO_REGISTER = CAUSE_NO_REGISTER
    LATER_EPOCH = CAUSE_LATER_EPOCH
    CAUGHT_UP = CAUSE_CAUGHT_UP
    REGISTER_BEHIND = CAUSE_REGISTER_BEHIND
    NEW_LOG = CAUSE_NEW_LOG
    NO_ACKS = CAUSE_NO_ACKS


class RegisterValue(NamedTuple):
    """`register_value_t`: what the register holds. `in_sync` is a bit mask of node indices."""

    version: int
    epoch: int
    primary: int
    in_sync: int


class Request(NamedTuple):
    """`register_request_t`: one request to the register, to be made once."""

    kind: RequestKind
    id: int
    act_alone: bool
    expected: RegisterValue
    desired: RegisterValue


cdef object cell_of(const register_value_t* value):
    return RegisterValue(value.version, value.epoch, value.primary, value.in_sync)


cdef class Role:
    """One node's role. Every method takes the moment `now` as CLOCK_MONOTONIC ns; nothing here reads a clock.

    Raises ValueError for a configuration that cannot work: same node and peer, an index above 7, a time-out of 0.
    """

    cdef role_t state_
    cdef instant_t now_

    def __init__(self, int node, int peer, *, uint64_t now, uint64_t own_last_lsn=0, uint32_t own_last_epoch=0,
                 uint64_t suspect_after_ns=50_000_000, uint64_t fence_timeout_ns=1_000_000_000,
                 uint64_t register_timeout_ns=500_000_000, uint64_t register_retry_ns=100_000_000,
                 uint64_t startup_wait_ns=3_000_000_000, bint preferred=False, bint lost_tail=False,
                 bint new_log=False):
        cdef role_config_t config
        if node == peer or not 0 <= node < 8 or not 0 <= peer < 8:
            raise ValueError(f"node {node}, peer {peer}: two different node indices from 0 to 7 are needed")
        if 0 in (suspect_after_ns, fence_timeout_ns, register_timeout_ns, register_retry_ns, startup_wait_ns):
            raise ValueError("a time-out of 0 ns: every time-out of a role must be at least 1 ns")
        config.node = <uint8_t>node
        config.peer = <uint8_t>peer
        config.suspect_after_ns = suspect_after_ns
        config.fence_timeout_ns = fence_timeout_ns
        config.register_timeout_ns = register_timeout_ns
        config.register_retry_ns = register_retry_ns
        config.startup_wait_ns = startup_wait_ns
        config.preferred = preferred
        config.lost_tail = lost_tail
        config.new_log = new_log
        role_init(&self.state_, &config, own_last_lsn, own_last_epoch, self.at(now))

    cdef const instant_t* at(self, uint64_t now):
        self.now_.mono_ns = now
        self.now_.wall_ns = 0
        return &self.now_

    def on_log(self, uint64_t own_last_lsn, uint32_t own_last_epoch):
        """Tell where the node's own log ends; before each input."""
        role_on_log(&self.state_, own_last_lsn, own_last_epoch)

    def on_peer(self, int role, uint32_t epoch, uint32_t last_epoch, uint64_t last_lsn, uint64_t now, *,
                bint log_in_doubt=False):
        """Take an authentic datagram of the peer: its State, epoch, where its log ends, and whether it has yet to learn
        that this is all that was released (DATAGRAM_LOG_IN_DOUBT)."""
        role_on_peer(&self.state_, <uint8_t>role, epoch, last_epoch, last_lsn, log_in_doubt, self.at(now))

    def on_tripwire(self, bint connected, uint64_t now):
        """Take a change of the TCP connection whose end means that the peer's process is gone."""
        role_on_tripwire(&self.state_, connected, self.at(now))

    def on_standby(self, bint joined, uint64_t acked_lsn, uint64_t now):
        """Primary: whether the standby has joined in this epoch and life of it, and the LSN it acknowledged."""
        role_on_standby(&self.state_, joined, acked_lsn, self.at(now))

    def on_handover(self, uint32_t new_epoch, uint64_t now):
        """Take the primary's word that it wrote this node into the register as primary of `new_epoch`."""
        role_on_handover(&self.state_, new_epoch, self.at(now))

    def on_whole_log(self, uint64_t now):
        """This standby holds what its primary had released when it knew this life of it."""
        role_on_whole_log(&self.state_, self.at(now))

    def on_register(self, uint64_t request_id, int outcome, value, uint64_t now):
        """Take the answer to a request, or with `request_id` 0 what a watch saw. `value` is ignored for UNKNOWN."""
        cdef register_value_t native
        memset(&native, 0, sizeof(native))
        if outcome != REGISTER_UNKNOWN:
            native.version, native.epoch, native.primary, native.in_sync = value
        role_on_register(&self.state_, request_id, <register_outcome>outcome, &native, self.at(now))

    def command(self, int command, uint64_t now):
        """Give an operator's Command; returns a CommandStatus."""
        return CommandStatus(role_on_command(&self.state_, <role_command>command, self.at(now)))

    def on_timer(self, uint64_t now):
        """Let time pass; at `deadline` at the latest."""
        role_on_timer(&self.state_, self.at(now))

    def take_request(self):
        """Return the next Request to make, once, or None."""
        cdef register_request_t request
        if not role_take_request(&self.state_, &request):
            return None
        return Request(RequestKind(request.kind), request.id, bool(request.act_alone), cell_of(&request.expected),
                       cell_of(&request.desired))

    @property
    def deadline(self):
        """When `on_timer` is due, ns."""
        return role_deadline(&self.state_)

    @property
    def state(self):
        """The State."""
        return State(self.state_.state)

    @property
    def release(self):
        """What may be released (Release)."""
        return Release(self.state_.release)

    @property
    def epoch(self):
        """Ours while primary, the primary's while standby."""
        return self.state_.epoch

    @property
    def primary(self):
        """Node index of the primary, as far as known."""
        return self.state_.primary

    @property
    def intake(self):
        """Whether orders may be numbered."""
        return bool(self.state_.intake)

    @property
    def skip_ahead(self):
        """Whether this node was promoted without the whole log."""
        return bool(self.state_.skip_ahead)

    @property
    def solo_wanted(self):
        """Whether an operator dropped the standby and it has not left since."""
        return bool(self.state_.solo_wanted)

    @property
    def tail_suspect(self):
        """Whether the end of this node's log may be missing; the owner keeps this on disk."""
        return bool(self.state_.tail_suspect)

    @property
    def cause(self):
        """Why the last change happened (Cause)."""
        return Cause(self.state_.cause)

    @property
    def cell(self):
        """Last known content of the register (RegisterValue)."""
        return cell_of(&self.state_.cell)

    @property
    def peer_alive(self):
        """Whether the peer was heard within suspect_after."""
        return bool(self.state_.peer.alive)

    @property
    def transitions(self):
        """Counts the changes of state, release, epoch, intake or cause."""
        return self.state_.transitions

    @property
    def handovers_given_up(self):
        """Counts the switchovers that were accepted, and after which this node went on as primary."""
        return self.state_.handovers_given_up

    @property
    def detected_mono_ns(self):
        """When the peer was suspected, of the last takeover."""
        return self.state_.detected_mono_ns

    @property
    def won_mono_ns(self):
        """When the register was won, of the last takeover."""
        return self.state_.won_mono_ns

    def __repr__(self):
        return (f"Role(state={self.state.name}, release={self.release.name}, epoch={self.epoch}, "
                f"cause={self.cause.name}, cell={tuple(self.cell)})")
