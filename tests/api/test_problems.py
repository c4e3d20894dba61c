import json
from decimal import Decimal

import pytest
from starlette.exceptions import HTTPException

from api.problems import (
    FieldError,
    JsonResponse,
    Problem,
    malformed,
    problem_response,
    shown,
    to_problem,
    too_large,
    too_many,
    unauthorized,
    unavailable,
    unprocessable,
    wrong_field,
)
from engine.model.errors import InvariantBroken, Retryable


def test_a_problem_is_written_as_rfc_9457() -> None:
    answer = problem_response(unprocessable([FieldError("qty", "give a number")]), "id1")
    assert answer.media_type == "application/problem+json"
    assert json.loads(bytes(answer.body)) == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "qty: give a number",
        "request_id": "id1",
        "errors": [{"field": "qty", "remedy": "give a number"}],
    }


@pytest.mark.parametrize(
    ("problem", "status", "title"),
    [
        (malformed("body", "r"), 400, "Bad Request"),
        (unauthorized("secret", "r"), 401, "Unauthorized"),
        (too_large(5), 413, "Content Too Large"),
        (wrong_field("f", "r"), 422, "Unprocessable Content"),
        (too_many("f", "r"), 429, "Too Many Requests"),
        (unavailable("d"), 503, "Service Unavailable"),
    ],
)
def test_each_kind_has_its_status(problem: Problem, status: int, title: str) -> None:
    body = json.loads(bytes(problem_response(problem, "").body))
    assert (body["status"], body["title"]) == (status, title)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Problem(409, "d"), 409),
        (Retryable("locked"), 503),
        (HTTPException(404), 404),
        (HTTPException(405, headers={"Allow": "GET"}), 405),
        (HTTPException(400, "odd"), 400),
        (InvariantBroken("private words"), 500),
        (ValueError("private words"), 500),
    ],
)
def test_whatever_is_raised_becomes_a_problem_without_private_words(
    error: Exception, status: int
) -> None:
    problem = to_problem(error)
    assert problem.status == status
    assert "private" not in problem.detail


def test_a_senders_words_are_shown_shortened() -> None:
    assert shown("a'b") == '"a\'b"'
    assert len(shown("x" * 1000)) < 70


def test_json_has_no_nan_and_survives_half_a_surrogate_pair() -> None:
    assert JsonResponse({"a": "é", "b": None}).body == '{"a":"é","b":null}'.encode()
    assert JsonResponse("\ud800").body == b'"?"'
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonResponse(float("nan"))
    with pytest.raises(TypeError):
        JsonResponse(Decimal(1))
