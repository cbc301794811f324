from hypothesis import given
from hypothesis import strategies as st

from gateway.chaos.plan import ON_NODE, Kind, Target, plan_round

ALL = frozenset(Kind)


@given(st.integers(), st.integers(min_value=0))
def test_a_round_is_decided_by_seed_and_number(seed: int, number: int) -> None:
    assert plan_round(seed, number, ALL) == plan_round(seed, number, ALL)


def test_rounds_differ_and_every_kind_and_target_occurs_alone_and_in_a_pair() -> None:
    rounds = [plan_round(1, number, ALL) for number in range(1000)]
    for size in (1, 2):
        faults = [fault for each in rounds if len(each.faults) == size for fault in each.faults]
        assert {fault.kind for fault in faults} == ALL
        assert {fault.target for fault in faults} == {None, *Target}


def test_only_kinds_that_strike_a_node_have_a_target() -> None:
    for number in range(500):
        for fault in plan_round(2, number, ALL).faults:
            assert (fault.target is not None) == (fault.kind in ON_NODE)


def test_only_the_kinds_that_are_asked_for_occur() -> None:
    wanted = frozenset({Kind.KILL, Kind.DISK_FULL})
    drawn = {fault.kind for number in range(100) for fault in plan_round(3, number, wanted).faults}
    assert drawn == wanted
