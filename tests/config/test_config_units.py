"""Durations, sizes, addresses and times of day: what is written is what is read."""

from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import units


@given(st.integers(0, 10**18))
def test_a_duration_is_read_as_it_is_written(duration_ns):
    assert units.parse_duration(units.format_duration(duration_ns)) == duration_ns


@given(st.integers(0, 2**50))
def test_a_size_is_read_as_it_is_written(size):
    assert units.parse_size(units.format_size(size)) == size


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_address_is_read_as_it_is_written(host, port):
    address = units.Address(str(host), port)
    assert units.parse_address(str(address)) == address


@given(st.times(), st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]))
def test_a_time_of_day_is_read_as_it_is_written(clock, zone):
    value = units.parse_daily_time(f"{clock.isoformat()} {zone}")
    assert value == units.DailyTime(clock, value.zone)
    assert units.parse_daily_time(units.format_daily_time(value)) == value


@pytest.mark.parametrize(
    ("text", "duration_ns"), [("50us", 50_000), ("1.5 s", 1_500_000_000), ("5min", 300 * 10**9), ("0s", 0), ("7ns", 7)]
)
def test_durations_carry_their_unit(text, duration_ns):
    assert units.parse_duration(text) == duration_ns


@pytest.mark.parametrize("value", [10, 1.5, "10", "ms", "-1s", "10 parsecs", "1s 5ms", None, True, ["1s"]])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match='"10ms"'):
        units.parse_duration(value)


@pytest.mark.parametrize("value", [64, "64", "64 MB", "1.5 KiB", "-1 B", None])
def test_what_is_no_size_is_refused(value):
    with pytest.raises(ValueError, match='"64 MiB"'):
        units.parse_size(value)


@pytest.mark.parametrize(
    "value", [7001, "7001", "host:7001", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", None]
)
def test_what_is_no_address_is_refused(value):
    with pytest.raises(ValueError, match="numeric address"):
        units.parse_address(value)


@pytest.mark.parametrize("value", ["17:00", "25:00 UTC", "17:00 Nowhere/City", "17:00 UTC extra", 17, None])
def test_what_is_no_time_of_day_is_refused(value):
    with pytest.raises(ValueError, match="time zone"):
        units.parse_daily_time(value)


def test_midnight_is_a_time_of_day():
    assert units.parse_daily_time("00:00 UTC").time == time(0)
