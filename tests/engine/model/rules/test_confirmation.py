import pytest

from engine.model.rules.confirmation import Confirmation


@pytest.mark.parametrize(
    ("rule", "is_on"),
    [
        (Confirmation(), False),
        (Confirmation(ticks=1), False),
        (Confirmation(ticks=2), True),
        (Confirmation(ms=1), True),
    ],
)
def test_one_price_is_no_confirmation(rule: Confirmation, is_on: bool) -> None:
    assert rule.is_on is is_on
