# The register: it compares, sets, answers, and tells of changes. Part of sim.pyx.


cdef void on_register_request(World w, uint16_t i, event_t* e) noexcept nogil:
    cdef register_request_t request
    cdef register_outcome outcome = REGISTER_VALUE
    memcpy(&request, e.data, sizeof(request))
    if w.net.now < w.register_down_until:
        return
    if request.kind == REGISTER_COMPARE_AND_SET:
        outcome = REGISTER_LOST
        if request.expected.version == w.cell.version:
            outcome = REGISTER_WON
            request.desired.version = w.cell.version + 1
            w.cell = request.desired
            check_in_sync(w, i, e.b, e.c)
            if w.cell.in_sync == 1 << i and w.nodes[i].moved_away and w.nodes[i].boot != e.b:
                only_copy_is_gone(w)      # asked for by the life that had a log
            if w.tracing:
                with gil:
                    tell_register(w, i)
            if w.config.watch:
                register_says(w, 1 - i, 0, REGISTER_VALUE, w.nodes[1 - i].boot)
    register_says(w, i, request.id, outcome, e.b)


cdef void check_in_sync(World w, uint16_t i, uint32_t boot, uint32_t other_boot) noexcept nogil:
    """Unless one of them has died since the request was made, or before it without the other one knowing."""
    cdef simnode_t* s = &w.nodes[i]
    cdef simnode_t* other = &w.nodes[1 - i]
    if (w.cell.in_sync == 3 and w.cell.primary == i and s.up and s.boot == boot and other.up
            and other.boot == other_boot and s.n.sender.epoch == w.cell.epoch):
        truth_in_sync(&w.truth, w.cell.epoch, s.journal, s.n.released_lsn, other.journal)


cdef void register_says(World w, uint16_t i, uint64_t request_id, register_outcome outcome,
                        uint32_t boot) noexcept nogil:
    cdef answer_t answer
    answer.id = request_id
    answer.value = w.cell
    net_message(&w.net, <uint8_t>(LINK_REGISTER + i), 1, EVENT_REGISTER_ANSWER, i, boot, outcome,
                <const uint8_t*>&answer, sizeof(answer))


cdef void on_register_answer(World w, uint16_t i, event_t* e) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef answer_t answer
    cdef instant_t now
    if not s.up or s.boot != e.b:
        return
    if w.net.now < s.paused_until:
        queue_push(&w.net.queue, s.paused_until, e.kind, e.a, e.b, e.c, e.data, e.size)
        return
    memcpy(&answer, e.data, sizeof(answer))
    now = now_of(w, i)
    node_on_register(s.n, answer.id, <register_outcome>e.c, &answer.value, &now)
    turn(w, i)
