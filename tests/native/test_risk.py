"""Pre-trade checks, throttle and kill switch."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.native.risk import Risk

E8 = 10**8
SECOND = 10**9
KILLED, MAX_QTY, MAX_NOTIONAL, THROTTLE, MAX_OPEN, PRICE_REQUIRED = 9, 10, 11, 12, 15, 16


def test_without_limits_everything_passes():
    assert Risk().check(1, 10**6 * E8, 10**4 * E8, 0) == 0


def test_an_order_above_the_quantity_limit_is_refused_and_one_at_it_passes():
    risk = Risk()
    risk.set_limits(1, max_order_qty_e8=100 * E8)
    assert risk.check(1, 100 * E8, E8, 0) == 0
    assert risk.check(1, 100 * E8 + 1, E8, 0) == MAX_QTY
    assert risk.check(2, 101 * E8, E8, 0) == 0


def test_notional_is_quantity_times_price_even_where_64_bits_would_overflow():
    risk = Risk()
    risk.set_limits(1, max_notional_e8=10**6 * E8)
    assert risk.check(1, 1000 * E8, 1000 * E8, 0) == 0
    assert risk.check(1, 1000 * E8, 1000 * E8 + 1, 0) == MAX_NOTIONAL
    assert risk.check(1, 90_000_000_000 * E8, 90_000_000_000 * E8, 0) == MAX_NOTIONAL


def test_a_notional_limit_needs_a_price():
    risk = Risk()
    risk.set_limits(1, max_notional_e8=E8)
    assert risk.check(1, E8, 0, 0) == PRICE_REQUIRED


def test_open_quantity_counts_until_it_is_settled():
    risk = Risk()
    risk.set_limits(1, max_open_qty_e8=10 * E8)
    risk.on_order(1, 6 * E8, 0)
    assert risk.check(1, 5 * E8, E8, 0) == MAX_OPEN
    risk.on_open_change(1, -6 * E8)
    assert risk.check(1, 5 * E8, E8, 0) == 0


def test_an_open_quantity_that_64_bits_cannot_hold_is_above_any_limit():
    risk = Risk()
    risk.set_limits(1, max_open_qty_e8=4_000_000_000 * E8)
    risk.on_order(1, 3_000_000_000 * E8, 0)
    assert risk.check(1, 90_000_000_000 * E8, E8, 0) == MAX_OPEN
    assert risk.check(1, 1_000_000_000 * E8, E8, 0) == 0
    assert risk.check(1, 1_000_000_000 * E8 + 1, E8, 0) == MAX_OPEN


def test_the_kill_switch_of_one_client_leaves_the_others():
    risk = Risk()
    risk.kill(1, True)
    assert (risk.check(1, E8, E8, 0), risk.check(2, E8, E8, 0)) == (KILLED, 0)
    risk.kill(0, True)
    assert risk.check(2, E8, E8, 0) == KILLED
    risk.kill(0, False)
    risk.kill(1, False)
    assert risk.check(1, E8, E8, 0) == 0


def test_a_wall_clock_that_is_set_back_does_not_throttle_for_long():
    risk = Risk()
    risk.set_limits(1, orders_per_second=10, burst=1)
    risk.on_order(1, 0, 3600 * SECOND)
    risk.on_order(1, 0, 0)
    assert risk.check(1, 0, 0, SECOND) == 0


@given(st.lists(st.integers(0, SECOND), min_size=1, max_size=60), st.integers(1, 50), st.integers(1, 10))
def test_no_more_than_rate_plus_burst_pass_in_any_second(gaps: list[int], rate: int, burst: int):
    risk = Risk()
    risk.set_limits(1, orders_per_second=rate, burst=burst)
    now, passed = SECOND, []
    for gap in gaps:
        now += gap
        if risk.check(1, 0, 0, now) == 0:
            risk.on_order(1, 0, now)
            passed.append(now)
    for start in passed:
        assert sum(start <= at < start + SECOND for at in passed) <= rate + burst


def test_a_steady_flow_at_the_rate_is_never_throttled():
    risk = Risk()
    risk.set_limits(1, orders_per_second=100, burst=1)
    for i in range(1000):
        now = SECOND + i * SECOND // 100
        assert risk.check(1, 0, 0, now) == 0
        risk.on_order(1, 0, now)


def test_forgetting_the_log_keeps_the_limits():
    risk = Risk()
    risk.set_limits(1, max_order_qty_e8=E8)
    risk.on_order(1, E8, 0)
    risk.kill(1, True)
    risk.forget()
    assert risk.open_qty_e8(1) == 0
    assert risk.check(1, 2 * E8, E8, 0) == MAX_QTY
    assert risk.check(1, E8, E8, 0) == 0
