# The end of a run: has the pair healed, and does the log say what was derived from it? Part of sim.pyx.


cdef void check_healed(World w) noexcept nogil:
    cdef const char* lacks = what_lacks(w)
    cdef uint16_t i
    if lacks is NULL:
        w.healed = 1
        w.ended = 1
        if not w.truth.gone:
            truth_audit(&w.truth)
        for i in range(2):
            check_replay(w, i)
    elif w.net.now >= w.config.faults_end + w.config.heal_ns:
        w.ended = 1
        truth_unhealed(&w.truth, lacks)
    else:
        if w.net.now >= w.config.faults_end + w.config.heal_ns // 4:
            help_new_logs(w)
        queue_push(&w.net.queue, w.net.now + CHECK_NS, EVENT_CHECK, 0, 0, 0, NULL, 0)


cdef void check_replay(World w, uint16_t node) noexcept nogil:
    cdef const char* differs
    if w.nodes[node].up and not w.nodes[node].n.unfit:
        differs = replay_differs(&w.nodes[node].n.replica)
        if differs is not NULL:
            truth_replayed(&w.truth, node, differs)


cdef void help_new_logs(World w) noexcept nogil:
    """Nobody acts, because the register counts on a log that was lost: the operator accepts it."""
    cdef uint16_t i
    cdef instant_t now
    for i in range(2):
        if not w.nodes[i].up or w.nodes[i].n.role.state != ROLE_STARTING:
            return
    for i in range(2):
        if w.nodes[i].n.role.cause == CAUSE_NEW_LOG and w.nodes[i].journal.last_lsn:
            now = now_of(w, i)
            w.truth.lossy = 1
            w.truth.gone = 1
            node_on_command(w.nodes[i].n, COMMAND_ACT_ALONE, &now)
            turn(w, i)
            return


cdef const char* what_lacks(World w) noexcept nogil:
    cdef simnode_t* primary = NULL
    cdef uint16_t i
    cdef uint16_t k
    for i in range(2):
        if not w.nodes[i].up:
            return "a node is down"
        if w.nodes[i].n.role.state == ROLE_PRIMARY:
            if primary is not NULL:
                return "two primaries"
            primary = &w.nodes[i]
    if primary is NULL:
        return "no primary"
    for i in range(2):
        if &w.nodes[i] != primary and w.nodes[i].n.receiver.state != RECEIVER_FOLLOWING:
            return "the standby does not follow"
    if w.cell.in_sync != 3 or primary.n.role.release != RELEASE_ACKED:
        return "the standby is not in sync"
    for k in range(w.config.sessions):
        if primary.n.replica.sessions[k].state != SESSION_READY:
            return "a session is not ready"
        if not broker_idle(&w.brokers[k]):
            return "a counterparty's answers wait"
    for k in range(w.config.clients):
        if w.clients[k].active < 0:
            return "a client has no primary"
        if w.clients[k].pending_count:
            return "an order has no answer"
    if w.truth.gone:
        return NULL
    for k in range(w.truth.order_count):
        if w.truth.orders[k].accepted and not w.truth.orders[k].processed \
                and not w.truth.orders[k].told_unknown:
            return "an accepted order is not at the counterparty"
    if not truth_all_delivered(&w.truth):
        return "a client lacks executions"
    return NULL
