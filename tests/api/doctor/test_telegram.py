"""Whether Telegram takes the bot's token, asked by the real library."""

import json

import pytest

from api.doctor.findings import Grade
from api.doctor.telegram import examine_token
from tests.api.doctor.servers import serving

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
ME = {"id": 123456789, "is_bot": True, "first_name": "Guard", "username": "guard_bot"}


def said(status: int, **body: object) -> tuple[int, bytes]:
    return status, json.dumps(body).encode()


async def test_a_good_token_is_told_by_its_bot() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, bytes]:
        asked.append(path)
        return said(200, ok=True, result=ME)

    with serving(answer) as url:
        row = await examine_token(TOKEN, f"{url}/")
    assert (row.grade, row.detail) == (Grade.OK, "of @guard_bot")
    assert asked == [f"/bot{TOKEN}/getMe"]


async def test_a_token_that_telegram_does_not_know_is_bad() -> None:
    with serving(lambda _: said(401, ok=False, error_code=401, description="Unauthorized")) as url:
        row = await examine_token(TOKEN, url)
    assert row.grade is Grade.BAD
    assert "@BotFather" in row.remedy
    assert TOKEN not in str(row)


async def test_a_server_that_is_not_telegram_is_told() -> None:
    with serving(lambda _: said(409, ok=False, error_code=409, description="Conflict")) as url:
        row = await examine_token(TOKEN, url)
    assert row.grade is Grade.BAD
    assert "Conflict" in row.detail


async def test_nobody_there_is_no_fault_of_the_token() -> None:
    row = await examine_token(TOKEN, "http://127.0.0.1:9")
    assert (row.grade, row.detail) == (Grade.BAD, "Telegram cannot be reached")
    assert "connection" in row.remedy


@pytest.mark.parametrize("token", ["", "123456789", "token", f"{TOKEN} "])
async def test_what_is_no_token_is_not_sent_anywhere(token: str) -> None:
    row = await examine_token(token, "http://127.0.0.1:9")
    assert (row.grade, row.detail) == (Grade.BAD, "it is no token of a bot")


async def test_without_a_token_the_way_to_one_is_told() -> None:
    row = await examine_token(None, "http://127.0.0.1:9")
    assert row.grade is Grade.WARNING
    assert "TELEGRAM_BOT_TOKEN" in row.remedy
