import asyncio
import json
from typing import Any

import pytest
from starlette.requests import Request

from api.problems import Problem
from api.routes.body import read_body, read_fields, read_query


def request(*chunks: bytes, query: bytes = b"", length: str | None = None) -> Request:
    headers = [] if length is None else [(b"content-length", length.encode())]
    scope = {"type": "http", "method": "POST", "headers": headers, "query_string": query}
    waiting = list(chunks)

    async def receive() -> Any:
        if not waiting:
            await asyncio.sleep(60)
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": body != b""}

    return Request(scope, receive)


async def refused(given: Request, **options: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await read_body(given, **options)
    return caught.value


async def test_a_body_comes_in_pieces() -> None:
    assert await read_body(request(b"ab", b"c", b"")) == b"abc"


async def test_an_announced_size_is_refused_unread() -> None:
    taken = bytearray()
    problem = await refused(request(b"x", b"", length="16385"), taken=taken)
    assert (problem.status, problem.headers["Connection"], taken) == (413, "close", b"")
    assert (await refused(request(length="9" * 5000))).status == 413


async def test_a_wrongly_announced_size_does_not_help() -> None:
    for length in ("5", "-1", "x", "\u0665"):
        given = request(b"x" * 16_000, b"x" * 16_000, b"", length=length.encode().decode("latin-1"))
        assert (await refused(given)).status == 413


async def test_a_body_that_never_ends_is_given_up() -> None:
    taken = bytearray()
    problem = await refused(request(b"x"), taken=taken, within_s=0.01)
    assert (problem.status, problem.headers["Connection"], taken) == (408, "close", b"x")


def test_fields_are_those_allowed() -> None:
    assert read_fields(b"") == {}
    assert read_fields(b'{"a":"1"}', ("a",)) == {"a": "1"}
    with pytest.raises(Problem, match="did you mean fraction"):
        read_fields(b'{"fractoin":1}', ("fraction",))
    with pytest.raises(Problem, match="leave it out"):
        read_fields(b'{"":1}')
    with pytest.raises(Problem, match="41 fields"):
        read_fields(json.dumps({str(n): n for n in range(41)}).encode())


def test_a_query_has_each_parameter_once_and_empty_is_absent() -> None:
    assert read_query(request(query=b"a=1&b="), ("a", "b")) == {"a": "1"}
    with pytest.raises(Problem, match="2500 parameters"):
        read_query(request(query=b"&".join([b"c=1"] * 2500)), ("a", "b"))
    for query in (b"a=1&a=2", b"c=1"):
        with pytest.raises(Problem):
            read_query(request(query=query), ("a", "b"))
