"""Every deliberate defect is caught: in its stored seed, and anew within 2,000 seeds."""

import pytest

from engine.simulation.sabotage.defect import Sabotage
from engine.simulation.sabotage.registry import SABOTAGES
from tests.engine.simulation.sabotage.catches import (
    MAX_SEEDS,
    Catch,
    broken_in,
    catches,
    is_clean,
    stored,
)


def test_every_defect_has_one_stored_seed() -> None:
    assert [catch.name for catch in stored()] == list(SABOTAGES)


@pytest.mark.parametrize("catch", stored(), ids=lambda catch: catch.name)
def test_a_stored_seed_catches_its_defect_and_is_clean_without_it(catch: Catch) -> None:
    assert catch.check in broken_in(catch.name, catch.seed)
    assert is_clean(catch.seed)


@pytest.mark.prove
@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=lambda sabotage: sabotage.name)
def test_a_defect_is_caught_within_2000_seeds(sabotage: Sabotage) -> None:
    assert next(catches(sabotage, range(MAX_SEEDS)), None) is not None
