"""Every mutation still applies to the code as it is; that the simulator finds it is `gateway sim --mutants`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.sim.mutants import apply_to
from gateway.sim.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
ENOUGH = 15


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_changes_the_code(mutation: Mutation) -> None:
    source = (ROOT / "native" / mutation.file).read_text()
    assert apply_to(mutation, source) != source


def test_there_are_enough_of_them() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) >= ENOUGH


def test_a_mutation_whose_text_is_gone_is_an_error_that_names_it() -> None:
    gone = Mutation("gone", "node", "no such text", "")
    with pytest.raises(GatewayError, match="gone"):
        apply_to(gone, "something else")
