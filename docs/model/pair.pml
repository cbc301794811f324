/*
 * The pair protocol: register, acknowledgements, release, takeover, solo, rejoin. Checked exhaustively by spin at a small
 * size (tests/model/test_model.py); docs/model/README.md says what is modelled, what is not, and what each mistake is.
 *
 * A log is a sequence of orders; the place of an order is its MsgSeqNum. Time does not exist: whoever may suspect its peer
 * does so whenever it likes, and every message may be late. MISTAKE_* are deliberate errors: each must be found.
 */

#ifndef ORDERS
#define ORDERS 2        /* a client hands in each until it is accepted */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef VERSIONS
#define VERSIONS 5      /* changes of the register */
#endif
#define PLACES (ORDERS + 1)
#define BOTH 3
#define BIT(i) (1 << (i))

mtype = { DEAD, STANDBY, CANDIDATE, PRIMARY, FENCED };

/* From index 0: place n is index n - 1. last_epoch: of the newest EPOCH record in it. */
typedef Log { byte length; byte last_epoch; byte order[PLACES]; byte epoch[PLACES] }
typedef Cell { byte version; byte epoch; byte primary; byte in_sync }

Log log[2];
mtype role[2];
byte epoch[2];              /* of a standby: of the primary that it follows; 0: follows nobody yet */
bool free_release[2];       /* RELEASE_ALL: no acknowledgement is required */
byte released[2];           /* places that have left, or may have */
byte acked[2];              /* what the primary knows of its standby's log */
byte told[2];               /* the standby's latest acknowledgement, and its epoch; the primary reads it when it likes */
byte told_epoch[2];
Cell cell;                  /* the register */
Cell known[2];              /* what a node has read of it */
byte crashes;

/* The counterparty. */
byte expected = 1;
byte taken[PLACES];         /* order taken under each number */
bool done[ORDERS + 1];
bool accepted[ORDERS + 1];  /* promised to the client */
chan wire[2] = [2] of { byte, byte };    /* number, order */

inline read_register(reader) {
    known[reader].version = cell.version;
    known[reader].epoch = cell.epoch;
    known[reader].primary = cell.primary;
    known[reader].in_sync = cell.in_sync
}

inline write_register(writer, new_epoch, new_primary, new_in_sync) {
    cell.version++;
    cell.epoch = new_epoch;
    cell.primary = new_primary;
    cell.in_sync = new_in_sync;
    read_register(writer)
}

#ifdef MISTAKE_PLAIN_WRITE
#define UNCHANGED(i) true
#else
#define UNCHANGED(i) (known[i].version == cell.version)
#endif

inline has_order(owner, wanted, answer) {
    answer = false;
    k = 0;
    do
    :: k < log[owner].length -> answer = answer || log[owner].order[k] == wanted; k++
    :: else -> break
    od
}

/* Whoever becomes primary knows every number that can have reached the counterparty, and every promise. */
inline check_primary(leader) {
    k = 0;
    do
    :: k < expected - 1 -> assert(k < log[leader].length && log[leader].order[k] == taken[k]); k++
    :: else -> break
    od;
    o = 1;
    do
    :: o <= ORDERS ->
        if
        :: accepted[o] -> has_order(leader, o, found); assert(found)
        :: else
        fi;
        o++
    :: else -> break
    od
}

inline lead(leads, new_epoch) {
    role[leads] = PRIMARY;
    epoch[leads] = new_epoch;
    log[leads].last_epoch = new_epoch;
#ifdef MISTAKE_REUSE_NUMBER
    if
    :: log[leads].length > 0 -> log[leads].length--
    :: else
    fi;
#endif
    free_release[leads] = true;
    released[leads] = log[leads].length;
    acked[leads] = 0;
    check_primary(leads)
}

/* The common prefix, by epoch and order; the rest is set aside. */
inline follow(follower) {
    k = 0;
    do
    :: k < log[follower].length && k < log[1 - follower].length && log[follower].epoch[k] == log[1 - follower].epoch[k] -> k++
    :: else -> break
    od;
#ifndef MISTAKE_NO_TRUNCATION
    log[follower].length = k;
    do
    :: k < PLACES -> log[follower].order[k] = 0; log[follower].epoch[k] = 0; k++
    :: else -> break
    od;
#endif
    epoch[follower] = epoch[1 - follower];
    told[follower] = 0;
    told_epoch[follower] = 0
}

#ifdef MISTAKE_NO_ACK
#define MAY_RELEASE(i) (released[i] < log[i].length)
#else
#define MAY_RELEASE(i) (released[i] < log[i].length && (free_release[i] || released[i] < acked[i]))
#endif

#ifdef MISTAKE_OUT_OF_SYNC
#define MAY_TAKE_OVER(i) true
#else
#define MAY_TAKE_OVER(i) ((known[i].in_sync & BIT(i)) != 0)
#endif

#ifdef MISTAKE_STALE_CLAIM
#define CLAIM_STANDS(i) UNCHANGED(i)
#else
#define CLAIM_STANDS(i) (UNCHANGED(i) && MAY_TAKE_OVER(i))
#endif

#ifdef MISTAKE_FOLLOW_OLD
#define MAY_FOLLOW(i) true
#else
#define MAY_FOLLOW(i) (epoch[1 - i] >= known[i].epoch && epoch[1 - i] >= log[i].last_epoch)
#endif

#define FOLLOWS(i) (role[i] == STANDBY && role[1 - i] == PRIMARY && epoch[i] == epoch[1 - i])

proctype Node(byte i) {
    byte k, o;
    bool found;
    do
    /* --- primary: orders, releases, resends ---------------------------------------------------------------------- */
    :: d_step { role[i] == PRIMARY && log[i].length < PLACES ->
        o = 1;
        do
        :: o <= ORDERS ->
            has_order(i, o, found);
            if
            :: !found && !accepted[o] -> break
            :: else -> o++
            fi
        :: else -> break
        od;
        if
        :: o <= ORDERS ->
            log[i].order[log[i].length] = o;
            log[i].epoch[log[i].length] = epoch[i];
            log[i].length++
        :: else
        fi;
        k = 0; o = 0; found = false }
    :: atomic { role[i] == PRIMARY && MAY_RELEASE(i) ->
        o = log[i].order[released[i]];
        released[i]++;
        accepted[o] = true;
        if
        :: nfull(wire[i]) -> wire[i]!released[i], o
        :: true                                     /* the connection broke: a resend, perhaps */
        fi;
        o = 0 }
    :: atomic { role[i] == PRIMARY && expected <= released[i] && nfull(wire[i]) ->
        wire[i]!expected, log[i].order[expected - 1] }
    :: d_step { role[i] == PRIMARY && told_epoch[1 - i] == epoch[i] && told[1 - i] > acked[i] -> acked[i] = told[1 - i] }

    /* --- primary: roles ------------------------------------------------------------------------------------------- */
    :: d_step { role[i] == PRIMARY && !free_release[i] && known[i].epoch == epoch[i] && known[i].in_sync == BOTH &&
                cell.version < VERSIONS ->
        if                                          /* the standby is suspected: solo */
        :: UNCHANGED(i) -> write_register(i, epoch[i], i, BIT(i)); free_release[i] = true
        :: else -> role[i] = FENCED
        fi }
#ifdef MISTAKE_SOLO_WITHOUT_REGISTER
    :: d_step { role[i] == PRIMARY && !free_release[i] -> free_release[i] = true }
#endif
#ifdef MISTAKE_DECLARE_FIRST
    :: d_step { FOLLOWS(1 - i) && free_release[i] && known[i].in_sync == BIT(i) && told_epoch[1 - i] == epoch[i] &&
                told[1 - i] >= released[i] && cell.version < VERSIONS && UNCHANGED(i) ->
        write_register(i, epoch[i], i, BOTH) }
    :: d_step { role[i] == PRIMARY && free_release[i] && known[i].in_sync == BOTH -> free_release[i] = false }
#else
    :: d_step { role[i] == PRIMARY && free_release[i] && told_epoch[1 - i] == epoch[i] ->
        free_release[i] = false }                   /* it seems to have caught up: acknowledgements first ... */
    :: d_step { role[i] == PRIMARY && !free_release[i] && known[i].in_sync == BIT(i) && known[i].epoch == epoch[i] ->
        if
        :: acked[i] >= released[i] && cell.version < VERSIONS ->
            if                                      /* ... then declare it in sync */
            :: UNCHANGED(i) -> write_register(i, epoch[i], i, BOTH)
            :: else -> role[i] = FENCED
            fi
        :: else -> free_release[i] = true           /* too slow: alone again, as the register says */
        fi }
#endif
    :: d_step { role[i] == PRIMARY && (cell.epoch > epoch[i] || role[1 - i] == PRIMARY && epoch[1 - i] > epoch[i]) ->
        role[i] = FENCED }
    :: d_step { role[i] == FENCED -> role[i] = STANDBY; epoch[i] = 0; read_register(i) }

    /* --- standby -------------------------------------------------------------------------------------------------- */
    :: d_step { role[i] == STANDBY && role[1 - i] == PRIMARY && epoch[i] < epoch[1 - i] && MAY_FOLLOW(i) ->
        follow(i); k = 0 }
    :: d_step { FOLLOWS(i) && log[i].last_epoch < epoch[i] -> log[i].last_epoch = epoch[i] }
    :: d_step { FOLLOWS(i) && log[i].last_epoch == epoch[i] && log[i].length < log[1 - i].length ->
        log[i].order[log[i].length] = log[1 - i].order[log[i].length];
        log[i].epoch[log[i].length] = log[1 - i].epoch[log[i].length];
        log[i].length++ }
    :: d_step { FOLLOWS(i) && log[i].last_epoch == epoch[i] && (told[i] != log[i].length || told_epoch[i] != epoch[i]) ->
        told[i] = log[i].length; told_epoch[i] = epoch[i] }
    :: d_step { role[i] != DEAD && role[i] != PRIMARY && known[i].version != cell.version -> read_register(i) }
    :: d_step { role[i] == STANDBY && MAY_TAKE_OVER(i) && (epoch[i] == known[i].epoch || role[1 - i] != PRIMARY) ->
        role[i] = CANDIDATE }                       /* acknowledges nothing any more */
    :: d_step { role[i] == CANDIDATE && cell.version < VERSIONS ->
        if
        :: CLAIM_STANDS(i) -> write_register(i, known[i].epoch + 1, i, BIT(i)); lead(i, cell.epoch)
        :: else -> read_register(i); role[i] = STANDBY
        fi;
        k = 0; o = 0; found = false }
#ifdef MISTAKE_ACK_AS_CANDIDATE
    :: d_step { role[i] == CANDIDATE && role[1 - i] == PRIMARY && epoch[i] == epoch[1 - i] &&
                told[i] < log[1 - i].length -> told[i] = log[1 - i].length; told_epoch[i] = epoch[i] }
#endif

    /* --- crash and restart: the log stays ------------------------------------------------------------------------- */
    :: d_step { role[i] != DEAD && crashes < CRASHES -> role[i] = DEAD; crashes++ }
    :: d_step { role[i] == DEAD ->
#ifdef MISTAKE_GO_ON_AFTER_RESTART
        if
        :: cell.primary == i -> role[i] = PRIMARY; epoch[i] = cell.epoch; free_release[i] = true
        :: else -> role[i] = STANDBY; epoch[i] = 0
        fi;
#else
        role[i] = STANDBY;
        epoch[i] = 0;
#endif
        read_register(i) }
    od
}

proctype Counterparty() {
    byte n, o, p;
    do
    :: atomic { (nempty(wire[0]) || nempty(wire[1])) ->
        if
        :: wire[0]?n, o
        :: wire[1]?n, o
        fi;
        if
        :: n == expected ->
            assert(!done[o]);                       /* never twice */
            done[o] = true;
            taken[n - 1] = o;
            expected++;
            p = cell.primary;
            assert(role[p] != PRIMARY || epoch[p] != cell.epoch ||
                   n <= log[p].length && log[p].order[n - 1] == o)
        :: else                                     /* too low: ignored; too high: a gap, it asks */
        fi;
        n = 0; o = 0; p = 0 }
    od
}

init {
    atomic {
        cell.version = 1; cell.epoch = 1; cell.primary = 0; cell.in_sync = BOTH;
        read_register(0);
        read_register(1);
        role[0] = PRIMARY; epoch[0] = 1; log[0].last_epoch = 1;
        role[1] = STANDBY; epoch[1] = 1; log[1].last_epoch = 1;
        run Node(0);
        run Node(1);
        run Counterparty()
    }
}
