from decimal import Decimal

import pytest

from api.problems import FieldError, Problem
from api.webhook.amounts import read_number
from api.webhook.reader import Reader
from engine.model.signal import Action


def test_wrong_fields_are_gathered_and_raised_together() -> None:
    reader = Reader({"a": "x", "b": "-1", "c": "hold", "d": "1"})
    assert reader.read("a", read_number) is None
    assert reader.positive("b") is None
    assert reader.choice("c", Action) is None
    reader.refuse_unknown(("a", "b", "c"))
    with pytest.raises(Problem) as caught:
        reader.raise_errors()
    assert [error.field for error in caught.value.errors] == ["a", "b", "c", "d"]


def test_without_a_wrong_field_nothing_is_raised() -> None:
    reader = Reader({"a": "5", "b": None})
    assert reader.positive("a") == Decimal(5)
    assert reader.positive("b") is None
    assert (reader.has("b"), reader.has("c")) == (True, False)
    reader.raise_errors()


def test_a_choice_that_is_required_says_that_it_is_missing() -> None:
    reader = Reader({})
    assert reader.choice("action", Action, required=True) is None
    remedy = "it is missing; give one of buy, sell, close"
    assert reader.errors == [FieldError("action", remedy)]
