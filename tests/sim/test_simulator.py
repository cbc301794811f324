"""The simulator itself, and a small run of it."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.native.sim import FAULT_NAMES, SEEN_NAMES, World
from gateway.sim.campaign import run_campaign
from gateway.sim.outcome import Outcome, run_scenario, run_seed, trace_scenario
from gateway.sim.replay import from_text, to_text
from gateway.sim.schedule import MS, Fault, Scenario, scenario_of
from gateway.sim.shrink import shrink
from gateway.sim.story import story_of

CI_SEEDS = 1000
WILD_SEEDS = 200


def quiet(seed: int = 1) -> Scenario:
    options: dict[str, int | bool] = {"sessions": 2, "clients": 2, "faults_end_ns": 200 * MS}
    return Scenario(seed, options, ())


def test_without_faults_every_order_is_processed_and_the_pair_is_in_sync() -> None:
    scenario = quiet()
    result = World(scenario.seed, **scenario.options).run([])  # type: ignore[arg-type]
    assert result["healed"]
    assert not result["broken"]
    assert result["orders"] == result["processed"] > 20
    assert result["promotions"] == 1


def test_a_killed_primary_is_replaced_and_no_order_is_lost() -> None:
    kill = Fault(100 * MS, "kill", 0, 50 * MS, 0)
    outcome = run_scenario(quiet().with_faults((kill,)))
    assert not outcome.broken, outcome.text
    assert outcome.promotions == 2


def test_a_seed_gives_the_same_run_again_and_another_seed_another_one() -> None:
    first, first_trace = trace_scenario(scenario_of(5))
    again, again_trace = trace_scenario(scenario_of(5))
    assert (first, first_trace) == (again, again_trace)
    assert trace_scenario(scenario_of(6))[1] != first_trace


def test_no_invariant_breaks_in_a_small_campaign() -> None:
    tally = run_campaign(0, CI_SEEDS, jobs=1)
    assert not tally.failed, [(outcome.seed, outcome.verdict) for outcome in tally.failures]
    assert tally.runs == CI_SEEDS
    assert tally.promotions > CI_SEEDS


def test_no_invariant_breaks_while_both_clocks_are_wildly_wrong() -> None:
    tally = run_campaign(0, WILD_SEEDS, jobs=1, wild_clocks=True)
    assert not tally.failed, [(outcome.seed, outcome.verdict) for outcome in tally.failures]
    assert all(tally.coverage[FAULT_NAMES.index(kind)][SEEN_NAMES.index("acked")] for kind in ("wall_jump", "drift"))


def test_a_session_starts_over_on_both_sides_when_its_day_changes() -> None:
    scenario = quiet().with_faults((Fault(50 * MS, "day_change", 1, 0, 0),))
    result = World(scenario.seed, **scenario.options).run([fault.native() for fault in scenario.faults])  # type: ignore[arg-type]
    assert (result["days"], result["broken"], result["healed"]) == (1, 0, True)
    assert result["orders"] == result["processed"]


def test_a_damaged_journal_is_refused_moved_away_and_filled_again() -> None:
    scenario = Scenario(2, {**quiet().options, "durability": 2}, (Fault(150 * MS, "bit_flip", 1, 20 * MS, 0),))
    outcome, trace = trace_scenario(scenario)
    assert not outcome.broken, outcome.text
    assert "node b finds a damaged record and refuses its journal" in "\n".join(story_of(trace))


def test_every_fault_is_tried() -> None:
    drawn = {fault.kind for seed in range(CI_SEEDS) for fault in scenario_of(seed).faults}
    assert drawn == set(FAULT_NAMES)


def test_shrinking_keeps_only_the_faults_that_matter() -> None:
    needed = Fault(20 * MS, "kill", 1, 40 * MS, 0)
    noise = tuple(Fault(at * MS, "wall_jump", 0, MS, 1_000_001) for at in (10, 30, 50))

    def breaks_by_a_kill(scenario: Scenario) -> Outcome:
        broken = any(fault.kind == "kill" for fault in scenario.faults)
        return Outcome(scenario.seed, int(broken), "", 0, 0, 0, False, [], [])

    scenario = scenario_of(3).with_faults((noise[0], needed, *noise[1:]))
    small, outcome = shrink(scenario, breaks_by_a_kill(scenario), breaks_by_a_kill)
    assert outcome.broken
    assert [fault.kind for fault in small.faults] == ["kill"]
    assert small.faults[0].duration_ns < needed.duration_ns


def test_a_scenario_survives_being_written_down() -> None:
    scenario = scenario_of(11)
    assert from_text(to_text(scenario)) == scenario
    changed = Scenario(11, {**scenario.options, "clients": 3}, scenario.faults[:1])
    assert from_text(to_text(changed)) == changed


@pytest.mark.parametrize("text", ["", "{}", '{"seed": 1, "options": {}, "faults": [[1, "flood", 0, 1, 0]]}'])
def test_what_is_no_scenario_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(GatewayError, match="--replay"):
        from_text(text)


def test_the_story_names_faults_and_roles() -> None:
    _, trace = trace_scenario(quiet().with_faults((Fault(100 * MS, "kill", 0, 50 * MS, 0),)))
    story = "\n".join(story_of(trace))
    assert "FAULT kill" in story
    assert "node b is PRIMARY, epoch 2" in story


def test_an_outcome_says_what_broke() -> None:
    assert run_seed(1).verdict == "every invariant holds"
