# long: one table of every setting, in the order of .env.example
"""Every setting: its name, type, bounds, default and one line of description.

A field ``take_profit_percent`` is read from ``TAKE_PROFIT_PERCENT``. Percents are of price, money
is in quote asset, seconds and milliseconds stand in the names. The order of the fields is that of
``.env.example``, and ``GROUPS`` names the heading before a field.
"""

import datetime
import ipaddress
import re
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from engine.model.instrument import Market
from engine.model.rules.confirmation import MAX_CONFIRM_MS, MAX_CONFIRM_TICKS
from engine.model.rules.ladder import MAX_RUNGS
from engine.model.ticks import PriceSource
from engine.settings_addresses import ADDRESSES, HOSTS, PAPER, clean_address

KNOWN_VENUES: Final = ("bybit", "binance", "okx", "kucoin")
SQLITE_URL: Final = "sqlite:///{DATA_DIR}/tickguard.sqlite"
MIN_SECRET_LENGTH: Final = 16


class TradingMode(StrEnum):
    PAPER = "paper"
    DEMO = "demo"
    TESTNET = "testnet"
    LIVE = "live"


class Confirmation(StrEnum):
    NO = "no"
    YES = "yes"


class Language(StrEnum):
    EN = "en"
    RU = "ru"


class GapPolicy(StrEnum):
    CURRENT = "current"
    STRICT = "strict"


class Backstop(StrEnum):
    LINEAR = "linear"
    ALL = "all"
    OFF = "off"


class FeedTransport(StrEnum):
    WEBSOCKETS = "websockets"
    PICOWS = "picows"


class MarginMode(StrEnum):
    ISOLATED = "isolated"
    CROSS = "cross"


class OnOpposite(StrEnum):
    CLOSE = "close"
    REVERSE = "reverse"
    IGNORE = "ignore"


class OnSame(StrEnum):
    IGNORE = "ignore"
    ADD = "add"


GROUPS: Final = {
    "trading_mode": "Start here",
    "take_profit_percent": "When a position is closed",
    "position_size": "How a position is opened",
    "paper_balance": "The paper account",
    "api_host": "The service",
    "telegram_bot_token": "Telling you (of these the heartbeat is built)",
    "bybit_api_key": "Exchange accounts (unused on paper)",
    "backstop": "Safety nets",
    "bybit_rest_url": "Addresses; empty means the venue's own for the trading mode",
    "feed_transport": "For developers",
}


_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,18})?")
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9]")


def _split_venues(value: object) -> object:
    """Read ``bybit,binance`` as a tuple of names, each once."""
    if not isinstance(value, str):
        return value
    names = [part.strip().lower() for part in value.split(",") if part.strip()]
    return tuple(dict.fromkeys(names))


def _read_zone(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError("it has to be a zone name such as UTC or Europe/Berlin") from None


def _plain_number(value: object) -> object:
    """Refuse what is hardly meant: exponents, separators, more digits than any amount has."""
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value) is None:
        raise ValueError("it has to be a plain number such as 15 or 0.5")
    return value


def _split_ladder(value: object) -> object:
    """Read ``5:0.5,10:0.5`` as pairs of profit in per cent and fraction."""
    if not isinstance(value, str):
        return value
    pairs = [part.strip().split(":") for part in value.split(",")]
    numbers = [number.strip() for pair in pairs for number in pair]
    if any(len(pair) != 2 for pair in pairs) or not all(map(_PLAIN_NUMBER.fullmatch, numbers)):
        raise ValueError("it has to be percent:fraction with commas between, as 5:0.5,10:0.5")
    return tuple(tuple(map(Decimal, pair)) for pair in pairs)


def _read_time_of_day(value: object) -> object:
    if not isinstance(value, str):
        return value
    if _TIME_OF_DAY.fullmatch(value) is None:
        raise ValueError("it has to be a time of day as 21:30")
    hours, minutes = map(int, value.split(":"))
    return datetime.time(hours, minutes)


def _expand_home(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) else value


Venues = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_venues)]
Zone = Annotated[ZoneInfo, BeforeValidator(_read_zone), PlainSerializer(str)]
Amount = Annotated[Decimal, BeforeValidator(_plain_number)]
Folder = Annotated[Path, BeforeValidator(_expand_home)]
Rungs = Annotated[tuple[tuple[Decimal, Decimal], ...], NoDecode, BeforeValidator(_split_ladder)]
TimeOfDay = Annotated[datetime.time, BeforeValidator(_read_time_of_day)]


class Fields(BaseSettings):
    """The settings as plain typed values. Building one reads no environment and no file."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trading_mode: TradingMode = Field(
        TradingMode.PAPER,
        description="paper trades on real prices with play money; demo, testnet, live",
    )
    live_confirmed: Confirmation = Field(
        Confirmation.NO, description="yes is needed once for the first start with real money"
    )
    venues: Venues = Field(
        ("bybit", "binance"), description="exchanges to watch, with commas between"
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="signals are taken by this secret; made and written here at the first start",
    )
    timezone: Zone = Field(
        ZoneInfo("UTC"), description="time zone of days and reports, as Europe/Berlin"
    )
    owner_language: Language = Field(Language.EN, description="language of messages to you: en, ru")

    take_profit_percent: Amount = Field(
        Decimal("15.0"), ge=0, le=1000, description="close at this profit, in % of price; 0 is off"
    )
    stop_loss_percent: Amount = Field(
        Decimal("15.0"), ge=0, lt=100, description="close at this loss, in % of price; 0 is off"
    )
    trailing_percent: Amount = Field(
        Decimal(0), ge=0, lt=100, description="close this far off the best price, in %; 0 is off"
    )
    trailing_activation_percent: Amount = Field(
        Decimal(0), ge=0, le=1000, description="profit in % from which it trails; 0 is at once"
    )
    trailing_step_percent: Amount = Field(
        Decimal(0), ge=0, lt=100, description="it moves in steps of at least this %; 0 is any"
    )
    break_even_percent: Amount = Field(
        Decimal(0), ge=0, le=1000, description="at this profit in % the stop moves to entry; 0 off"
    )
    break_even_offset_percent: Amount | None = Field(
        None, ge=0, le=1000, description="how far beyond entry, in %; empty covers the fees"
    )
    break_even_after_rung: int = Field(
        0, ge=0, le=MAX_RUNGS, description="the stop moves there after this rung too; 0 is none"
    )
    take_profit_ladder: Rungs = Field(
        (), description="parts closed at rising profits, percent:fraction as 5:0.5,10:0.5"
    )
    max_hold_seconds: float = Field(
        0.0, ge=0, le=315_360_000, description="close after this time whatever the price; 0 is off"
    )
    close_at: TimeOfDay | None = Field(
        None, description="close when clocks in TIMEZONE next show this, as 21:30; empty is off"
    )
    confirm_ms: int = Field(
        0, ge=0, le=MAX_CONFIRM_MS, description="ms the price must stay beyond a stop; 0 is off"
    )
    confirm_ticks: int = Field(
        0,
        ge=0,
        le=MAX_CONFIRM_TICKS,
        description="prices in a row that must lie beyond a stop; 0 is off",
    )
    trigger_price: PriceSource = Field(
        PriceSource.LAST, description="price that is compared: last trade, mark (linear only), book"
    )
    gap_policy: GapPolicy = Field(
        GapPolicy.CURRENT,
        description="after missed prices: current goes by the price now, strict by the missed ones",
    )
    monitor_interval: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="seconds between reconciliations, and slowest price polling",
    )
    stale_feed_seconds: float = Field(
        10.0, gt=0, le=3600, description="a symbol silent for this long is asked for by REST"
    )

    position_size: Amount = Field(
        Decimal(100),
        gt=0,
        description="value of an entry in quote asset, where the signal names none",
    )
    leverage: int = Field(1, ge=1, le=125, description="leverage on linear markets, 1 to 125")
    margin_mode: MarginMode = Field(
        MarginMode.ISOLATED,
        description="margin on linear markets: isolated, cross; empty keeps the exchange's",
    )
    default_venue: str = Field("bybit", description="exchange of signals that name none")
    default_market: Market = Field(
        Market.LINEAR, description="market of signals that name none: spot, linear"
    )
    on_opposite_signal: OnOpposite = Field(
        OnOpposite.CLOSE, description="a signal against an open position: close, reverse, ignore"
    )
    on_same_signal: OnSame = Field(
        OnSame.IGNORE, description="a signal along an open position: ignore, add"
    )
    max_open_positions: int = Field(10, ge=1, description="entries beyond this number are refused")
    max_entry_deviation_percent: Amount = Field(
        Decimal(1),
        ge=0,
        le=100,
        description="refuse an entry this much worse than the signal's price",
    )
    signal_max_age_seconds: float = Field(
        60.0, gt=0, le=86_400, description="refuse an entry whose signal was sent longer ago"
    )
    max_daily_loss_percent: Amount | None = Field(
        None, gt=0, le=100, description="no entries until midnight after this loss, in % of equity"
    )

    paper_balance: Amount = Field(
        Decimal(10000), gt=0, description="play money per exchange and quote asset"
    )
    paper_latency_ms: int = Field(100, ge=0, le=60_000, description="delay of a paper order in ms")
    paper_slippage_bps: Amount = Field(
        Decimal(5), ge=0, lt=10_000, description="paper fills are worse by this, in 0.01 %"
    )

    api_host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 is every interface"
    )
    api_port: int = Field(
        8080, ge=0, le=65_535, description="port to listen on; 0 takes a free one"
    )
    api_keys_required: bool = Field(
        True, description="False opens the API without keys, on loopback and paper only"
    )
    data_dir: Folder = Field(Path("data"), description="folder of the database and its lock")
    database_url: str = Field(
        SQLITE_URL,
        description="sqlite:///file (postgresql:// comes later); {DATA_DIR} is filled in",
    )

    telegram_bot_token: SecretStr | None = Field(
        None, description="token of your bot from @BotFather"
    )
    telegram_chat_id: str | None = Field(None, description="the only chat the bot obeys")
    enable_telegram_notifications: bool = Field(True, description="messages by Telegram")
    enable_email_notifications: bool = Field(
        False, description="messages by e-mail, by way of SMTP_URL"
    )
    smtp_url: SecretStr | None = Field(
        None, description="mail server: smtps://user:password@host:465"
    )
    notify_urls: SecretStr | None = Field(None, description="webhooks to tell, with commas between")
    heartbeat_url: SecretStr | None = Field(
        None, description="address asked each minute while guarding"
    )
    daily_report_at: datetime.time = Field(
        datetime.time(9), description="local time of the daily report"
    )

    bybit_api_key: SecretStr | None = Field(
        None, description="Bybit key, without withdrawal rights"
    )
    bybit_api_secret: SecretStr | None = Field(None, description="its secret")
    binance_api_key: SecretStr | None = Field(
        None, description="Binance key, without withdrawal rights"
    )
    binance_api_secret: SecretStr | None = Field(None, description="its secret")
    okx_api_key: SecretStr | None = Field(None, description="OKX key, without withdrawal rights")
    okx_api_secret: SecretStr | None = Field(None, description="its secret")
    okx_passphrase: SecretStr | None = Field(None, description="its passphrase")
    kucoin_api_key: SecretStr | None = Field(
        None, description="KuCoin key, without withdrawal rights"
    )
    kucoin_api_secret: SecretStr | None = Field(None, description="its secret")
    kucoin_passphrase: SecretStr | None = Field(None, description="its passphrase")

    backstop: Backstop = Field(
        Backstop.LINEAR,
        description="stop orders at the exchange, for when this host is gone: linear, all, off; "
        "none on paper",
    )
    backstop_extra_percent: Amount = Field(
        Decimal(5), gt=0, le=100, description="how far beyond the stop-loss they lie, in % of it"
    )
    allow_risky_keys: Confirmation = Field(
        Confirmation.NO, description="yes trades with keys that may withdraw or transfer"
    )
    max_tick_jump_percent: Amount = Field(
        Decimal(20),
        gt=0,
        le=1000,
        description="a price further away is confirmed before it is believed",
    )

    bybit_rest_url: str = Field("", description="Bybit REST, before /v5")
    bybit_ws_public_url: str = Field("", description="Bybit prices, ends in /v5/public")
    bybit_ws_private_url: str = Field("", description="Bybit account stream, whole")
    binance_spot_rest_url: str = Field("", description="Binance spot REST, before /api")
    binance_spot_ws_url: str = Field("", description="Binance spot prices, before /ws and /stream")
    binance_spot_ws_api_url: str = Field("", description="Binance spot WebSocket API, whole")
    binance_usdm_rest_url: str = Field("", description="Binance futures REST, before /fapi")
    binance_usdm_ws_url: str = Field(
        "", description="Binance futures streams, before /public, /market, /private"
    )
    okx_rest_url: str = Field("", description="OKX REST (not built yet)")
    okx_ws_url: str = Field("", description="OKX streams, before /public (not built yet)")
    kucoin_rest_url: str = Field("", description="KuCoin REST (not built yet)")
    telegram_api_url: str = Field(
        "https://api.telegram.org", description="Telegram, before /bot<token>"
    )

    feed_transport: FeedTransport = Field(
        FeedTransport.WEBSOCKETS, description="library of the price streams: websockets, picows"
    )
    tickguard_recorded: Folder = Field(
        Path("../shared/recorded"), description="recordings of real streams, for demo and tests"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing but what ``load`` hands over, so that no test depends on a machine."""
        return (init_settings,)

    @field_validator("venues")
    @classmethod
    def _known_venues(cls, venues: tuple[str, ...]) -> tuple[str, ...]:
        if not venues or not set(venues) <= set(KNOWN_VENUES):
            raise ValueError(f"it has to name some of {', '.join(KNOWN_VENUES)}")
        return venues

    @field_validator("default_venue")
    @classmethod
    def _known_venue(cls, venue: str) -> str:
        if venue.lower() not in KNOWN_VENUES:
            raise ValueError(f"it has to be one of {', '.join(KNOWN_VENUES)}")
        return venue.lower()

    @field_validator("webhook_secret")
    @classmethod
    def _long_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(
                f"it has to have {MIN_SECRET_LENGTH} characters or more; "
                "left empty, a good one is made at the first start on paper"
            )
        return secret

    @field_validator("api_host")
    @classmethod
    def _bare_host(cls, host: str) -> str:
        if "/" in host or " " in host or (":" in host and not _is_ip(host)):
            raise ValueError("it has to be a host or an IP address, without scheme and port")
        return host

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: str, info: ValidationInfo) -> str:
        if url.startswith(("postgresql://", "postgres://")):
            return url
        if not url.startswith("sqlite:///") or url in {"sqlite:///", "sqlite:///:memory:"}:
            raise ValueError("it has to be sqlite:///file or postgresql://...")
        return url.replace("{DATA_DIR}", str(info.data.get("data_dir", Path("data"))))

    @field_validator(*sorted(ADDRESSES), "telegram_api_url")
    @classmethod
    def _address(cls, url: str, info: ValidationInfo) -> str:
        """Empty is the venue's own host in this trading mode."""
        name = str(info.field_name)
        if not url:
            return HOSTS[info.data.get("trading_mode", PAPER)][name]
        return clean_address(name, url)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether a listening address is reached from this machine only."""
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


NAMES: Final[dict[str, str]] = {field.upper(): field for field in Fields.model_fields}
"""Name in the environment -> field."""

SECRETS: Final = frozenset(
    field for field, info in Fields.model_fields.items() if "SecretStr" in str(info.annotation)
)
"""Fields whose values are never shown. ``database_url`` is shown without its password."""

TELLING: Final = SECRETS | {"database_url"}
"""Fields whose values do not belong into a message."""
