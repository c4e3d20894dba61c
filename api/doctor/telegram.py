"""Whether Telegram takes the bot's token."""

import re

import telegram
from telegram.error import InvalidToken, NetworkError, TelegramError
from telegram.request import HTTPXRequest

from api.doctor.findings import Finding, Grade

WHERE, CHECK = "telegram", "token"
TIMEOUT_S = 10.0
TOKEN = re.compile(r"[0-9]{5,12}:[A-Za-z0-9_-]{30,50}")
"""Telegram's bot documentation, "Authorizing your bot": the bot's number, a colon, its secret."""

NEW_TOKEN = "copy the token from @BotFather again (/token), and set TELEGRAM_BOT_TOKEN"  # noqa: S105


async def examine_token(token: str | None, api_url: str) -> Finding:
    """Ask Telegram whose token it is; nothing of the token is shown."""
    if token is None:
        remedy = "make a bot with @BotFather if you want messages, and set TELEGRAM_BOT_TOKEN"
        return Finding(WHERE, CHECK, Grade.WARNING, "TELEGRAM_BOT_TOKEN is not set", remedy)
    if TOKEN.fullmatch(token) is None:
        return Finding(WHERE, CHECK, Grade.BAD, "it is no token of a bot", NEW_TOKEN)
    request = HTTPXRequest(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, httpx_kwargs={"trust_env": True}
    )
    bot = telegram.Bot(token, base_url=f"{api_url.rstrip('/')}/bot", request=request)
    try:
        async with request:
            owner = await bot.get_me()
    except InvalidToken:
        return Finding(WHERE, CHECK, Grade.BAD, "Telegram does not know the token", NEW_TOKEN)
    except NetworkError:
        remedy = "check the connection to Telegram, or TELEGRAM_API_URL"
        return Finding(WHERE, CHECK, Grade.BAD, "Telegram cannot be reached", remedy)
    except TelegramError as error:
        return Finding(WHERE, CHECK, Grade.BAD, f"Telegram answers {error.message}", NEW_TOKEN)
    return Finding(WHERE, CHECK, Grade.OK, f"of @{owner.username}")
