"""What types cannot say: settings that wait for a feature, and settings that need each other."""

import datetime
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from engine.model.exit_checks import ExitProblem, Situation, exit_problems, orphans
from engine.model.exit_set import ExitChanges, Exits, amended
from engine.model.exits import Disarmed, Percent, Side
from engine.model.instrument import InstrumentId, Market
from engine.model.money import plain
from engine.model.rules.ladder import Rung
from engine.settings_addresses import HOSTS, needed
from engine.settings_fields import (
    TELLING,
    Fields,
    Language,
    OnOpposite,
    TradingMode,
    is_loopback,
)


class Problem(Struct, frozen=True):
    """One thing the owner has to change: the field, then what is wrong and the remedy.

    ``text`` follows the name: ``=okx is not ...`` or ``is missing ...``.
    """

    field: str
    text: str

    def __str__(self) -> str:
        gap = "" if self.text.startswith(("=", " ")) else " "
        return f"{self.field.upper()}{gap}{self.text}"


class Unbuilt(Struct, frozen=True):
    """Which values of a setting are refused for now, and what they wait for."""

    waits: Callable[[Any], bool]
    feature: str


def _beyond(*built: object) -> Callable[[Any], bool]:
    return lambda value: value not in built


def _present(value: object) -> bool:
    return value is not None


UNBUILT: Final[dict[str, Unbuilt]] = {
    "venues": Unbuilt(lambda names: not set(names) <= {"bybit", "binance"}, "OKX and KuCoin"),
    "default_venue": Unbuilt(_beyond("bybit", "binance"), "OKX and KuCoin"),
    "okx_rest_url": Unbuilt(_beyond(HOSTS["paper"]["okx_rest_url"]), "OKX"),
    "okx_ws_url": Unbuilt(_beyond(HOSTS["paper"]["okx_ws_url"]), "OKX"),
    "kucoin_rest_url": Unbuilt(_beyond(HOSTS["paper"]["kucoin_rest_url"]), "KuCoin"),
    "database_url": Unbuilt(lambda url: not url.startswith("sqlite:///"), "PostgreSQL"),
    "on_opposite_signal": Unbuilt(_beyond(OnOpposite.CLOSE, OnOpposite.IGNORE), "reversing"),
    "max_daily_loss_percent": Unbuilt(_present, "the daily loss limit"),
    "owner_language": Unbuilt(_beyond(Language.EN), "Russian"),
    "telegram_bot_token": Unbuilt(_present, "Telegram"),
    "telegram_chat_id": Unbuilt(_present, "Telegram"),
    "telegram_api_url": Unbuilt(_beyond("https://api.telegram.org"), "Telegram"),
    "enable_email_notifications": Unbuilt(_beyond(False), "e-mail"),
    "smtp_url": Unbuilt(_present, "e-mail"),
    "notify_urls": Unbuilt(_present, "telling other services"),
    "daily_report_at": Unbuilt(
        lambda at: at != Fields.model_fields["daily_report_at"].default, "the daily report"
    ),
}
"""Field -> values refused in this version. A feature that is built takes its row away."""


def problems(settings: Fields, given: frozenset[str]) -> Iterator[Problem]:
    """Find what is wrong with settings that are valid one by one.

    Args:
        given: fields that the owner set, to a default or not.
    """
    of_service = (_unbuilt, _addresses, _default_venue, _keyless_api, _heartbeat)
    for check in (*of_service, _exchange_keys, _exits):
        yield from check(settings, given)


def warnings(settings: Fields, given: frozenset[str]) -> Iterator[str]:
    """Find what works, but perhaps not as the owner thinks."""
    if settings.enable_telegram_notifications and settings.telegram_bot_token is None:
        yield (
            "no Telegram messages will be sent: TELEGRAM_BOT_TOKEN is not set "
            "(ENABLE_TELEGRAM_NOTIFICATIONS=False silences this)"
        )
    if settings.default_venue not in settings.venues and "default_venue" not in given:
        yield (
            f"signals must name their venue: DEFAULT_VENUE={settings.default_venue} is not in "
            f"VENUES; set DEFAULT_VENUE={settings.venues[0]}"
        )
    for problem in _problems_of_shorts(settings):
        field = exit_setting(problem.field)
        value = text_of(getattr(settings, field))
        yield f"shorts will be refused by {field.upper()}={value}: {problem.remedy}"


def _unbuilt(settings: Fields, given: frozenset[str]) -> Iterator[Problem]:
    for field, row in UNBUILT.items():
        value = getattr(settings, field)
        if field in given and row.waits(value):
            shown = "" if field in TELLING else f"={text_of(value)}"
            yield Problem(field, f"{shown} waits for {row.feature}, not built yet: {remedy(field)}")


def remedy(field: str) -> str:
    """Say how to get back to the default."""
    default = Fields.model_fields[field].default
    if default is None or default in ("", ()):
        return "remove it"
    return f"remove it, or set the default {field.upper()}={text_of(default)}"


def text_of(value: object) -> str:
    """Write a value of a setting as it is written in ``.env``."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(
            part if isinstance(part, str) else ":".join(map(plain, part)) for part in value
        )
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime.time):
        return f"{value:%H:%M}"
    if isinstance(value, Path) and not value.is_absolute():
        return str(value) if value.parts[:1] == ("..",) else f"./{value}"
    return str(value)


def _addresses(settings: Fields, given: frozenset[str]) -> Iterator[Problem]:
    """Half a venue replaced would mix a simulator's prices with an exchange's."""
    for venue in settings.venues:
        names = needed(venue, settings.trading_mode)
        replaced = [name for name in names if name in given]
        for name in names:
            if replaced and name not in given:
                yield Problem(
                    name,
                    f"is missing: {replaced[0].upper()} is replaced, so every address of {venue} "
                    "has to be; set it too, or remove the others",
                )


def _default_venue(settings: Fields, given: frozenset[str]) -> Iterator[Problem]:
    if "default_venue" in given and settings.default_venue not in settings.venues:
        yield Problem(
            "default_venue",
            f"is {settings.default_venue}, which VENUES does not name: add it there, "
            f"or set DEFAULT_VENUE={settings.venues[0]}",
        )


def _keyless_api(settings: Fields, _: frozenset[str]) -> Iterator[Problem]:
    safe = is_loopback(settings.api_host) and settings.trading_mode is TradingMode.PAPER
    if not settings.api_keys_required and not safe:
        yield Problem(
            "api_keys_required",
            "is False, which is for paper on loopback only: set it to True, "
            "or set API_HOST=127.0.0.1 and TRADING_MODE=paper",
        )


def _exchange_keys(settings: Fields, _: frozenset[str]) -> Iterator[Problem]:
    if settings.trading_mode is TradingMode.PAPER:
        return
    for venue in settings.venues:
        for field in Fields.model_fields:
            is_key = re.fullmatch(f"{venue}_(api_key|api_secret|passphrase)", field)
            if is_key and getattr(settings, field) is None:
                yield Problem(
                    field,
                    f"is not set, and TRADING_MODE={settings.trading_mode} needs it: set it, "
                    f"or take {venue} out of VENUES",
                )


def _heartbeat(settings: Fields, _: frozenset[str]) -> Iterator[Problem]:
    """It may hold a token, so it is not shown."""
    url = settings.heartbeat_url
    if url is not None and not re.match(r"https?://[^\s/]+", url.get_secret_value()):
        yield Problem("heartbeat_url", "is no address: write it as https://host/path, or remove it")


NO_EXITS: Final = Exits(Disarmed(), Disarmed())
_NAME: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
_NAMED_OTHERWISE: Final = {"ladder": "take_profit_ladder", "trigger": "trigger_price"}


def exit_setting(name: str) -> str:
    """Return the setting that is the default of one of the webhook's exit fields."""
    return _NAMED_OTHERWISE.get(name, name)


def default_exits(settings: Fields) -> Exits:
    """Return the exit rules of an entry that does not say otherwise, but for ``close_at``.

    A time of day becomes a moment when a signal comes.
    """
    return amended(NO_EXITS, _asked(settings))


def _asked(settings: Fields) -> ExitChanges:
    offset = settings.break_even_offset_percent
    rungs = settings.take_profit_ladder
    return ExitChanges(
        take_profit=_percent(settings.take_profit_percent),
        stop_loss=_percent(settings.stop_loss_percent),
        trailing=_percent(settings.trailing_percent),
        trailing_activation=_percent(settings.trailing_activation_percent),
        trailing_step=_percent(settings.trailing_step_percent),
        break_even=_percent(settings.break_even_percent),
        break_even_offset=Disarmed() if offset is None else offset,
        break_even_after_rung=settings.break_even_after_rung,
        ladder=tuple(Rung(Percent(percent), fraction) for percent, fraction in rungs),
        max_hold_ns=int(settings.max_hold_seconds * 10**9),
        confirm_ms=settings.confirm_ms,
        confirm_ticks=settings.confirm_ticks,
    )


def _percent(value: Decimal) -> Percent | Disarmed:
    return Percent(value) if value else Disarmed()


def _exit_problems(settings: Fields, side: Side) -> list[ExitProblem]:
    exits = default_exits(settings)
    any_linear = InstrumentId(settings.default_venue, Market.LINEAR, "")
    now = Situation(side, any_linear, settings.trigger_price, at_ns=0)
    return [*exit_problems(exits, now), *orphans(exits, _asked(settings))]


def _problems_of_shorts(settings: Fields) -> list[ExitProblem]:
    """What a short alone cannot reach, such as a price 150 % below; longs may be all one trades."""
    of_longs = _exit_problems(settings, Side.LONG)
    return [found for found in _exit_problems(settings, Side.SHORT) if found not in of_longs]


def _exits(settings: Fields, _: frozenset[str]) -> Iterator[Problem]:
    """Defaults that cannot hold together would make every entry be refused."""
    for found in _exit_problems(settings, Side.LONG):
        field = exit_setting(found.field)
        value = text_of(getattr(settings, field))
        remedy = _NAME.sub(_as_setting, found.remedy)
        yield Problem(field, f"={value} does not go with the other exits: {remedy}")


def _as_setting(match: re.Match[str]) -> str:
    name = exit_setting(match[0])
    return name.upper() if name in Fields.model_fields else match[0]
