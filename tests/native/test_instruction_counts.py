"""The native cores take the instructions that bench/instructions.toml says, where that can be told."""

import pytest

from bench import instructions


@pytest.fixture(scope="module")
def wrong() -> list[str]:
    try:
        return instructions.compare()
    except instructions.Incomparable as reason:
        pytest.skip(f"instruction counts are not compared: {reason}")


def test_codec_session_and_journal_take_the_instructions_of_the_table(wrong: list[str]) -> None:
    assert wrong == [], "look at what changed; if it is meant: python -m bench.instructions --write"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What counting finds from now on: what the table says."""
    surroundings, counts = instructions.read_table()
    monkeypatch.setattr(instructions, "count", lambda: (surroundings, counts))
    return counts


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_a_count_that_went_either_way_is_told(counted: dict[str, int], factor: float) -> None:
    assert instructions.compare() == []
    before = instructions.read_table()[1]["parse an order"]
    counted["parse an order"] = after = round(before * factor)
    assert instructions.compare() == [f"parse an order: {after:,} instructions, the table says {before:,}"]


def test_another_compiler_is_no_matter_for_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings, counts = instructions.read_table()
    monkeypatch.setattr(instructions, "count", lambda: ({**surroundings, "compiler": "1.0"}, counts))
    with pytest.raises(instructions.Incomparable, match=r"^compiler: 1\.0, the table is of "):
        instructions.compare()


def test_every_case_is_in_the_table() -> None:
    assert list(instructions.read_table()[1]) == [case.name for case in instructions.CASES]
