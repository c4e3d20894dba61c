"""Settings that wait for their feature, and settings that need each other."""

import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from engine.model.errors import Misconfigured
from engine.model.exit_set import Exits
from engine.model.exits import Percent
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Rung
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.settings import Settings, default_exits
from engine.settings_checks import UNBUILT, text_of
from engine.settings_fields import Fields

BYBIT = {"BYBIT_REST_URL": "http://h:1", "BYBIT_WS_PUBLIC_URL": "ws://h:1/v5/public"}
BINANCE = {
    "BINANCE_SPOT_REST_URL": "http://h:1",
    "BINANCE_SPOT_WS_URL": "ws://h:1",
    "BINANCE_USDM_REST_URL": "http://h:1",
    "BINANCE_USDM_WS_URL": "ws://h:1",
}


def refusal(folder: Path, environ: dict[str, str]) -> str:
    with pytest.raises(Misconfigured) as caught:
        Settings.load(environ, folder)
    return str(caught.value)


UNBUILT_VALUES = [
    "VENUES=okx",
    "VENUES=bybit,kucoin",
    "DEFAULT_VENUE=okx",
    "OKX_REST_URL=http://h",
    "OKX_WS_URL=ws://h",
    "KUCOIN_REST_URL=http://h",
    "DATABASE_URL=postgresql://host/db",
    "ON_OPPOSITE_SIGNAL=reverse",
    "MAX_DAILY_LOSS_PERCENT=5",
    "OWNER_LANGUAGE=ru",
    "TELEGRAM_BOT_TOKEN=123:abc",
    "TELEGRAM_CHAT_ID=1",
    "TELEGRAM_API_URL=http://h",
    "ENABLE_EMAIL_NOTIFICATIONS=True",
    "SMTP_URL=smtp://h",
    "NOTIFY_URLS=http://h",
    "DAILY_REPORT_AT=10:00",
]


@pytest.mark.parametrize("line", UNBUILT_VALUES)
def test_a_value_whose_feature_is_not_built_is_refused_with_the_remedy(tmp_path, line):
    name, _, value = line.partition("=")
    told = [
        text for text in refusal(tmp_path, {name: value}).splitlines() if "not built yet" in text
    ]
    assert len(told) == 1
    assert told[0].startswith(name)
    assert "remove it" in told[0]


@pytest.mark.parametrize("value", ["monitor.example/ping", "ftp://host/a", "https://", "yes"])
def test_a_heartbeat_that_is_no_address_is_refused_unshown(tmp_path, value):
    text = refusal(tmp_path, {"HEARTBEAT_URL": value})
    assert text == "HEARTBEAT_URL is no address: write it as https://host/path, or remove it"


@pytest.mark.parametrize("value", ["https://monitor.example/ping/token", "http://10.0.0.2:8000"])
def test_a_heartbeat_is_any_web_address(tmp_path, value):
    settings = Settings.load({"HEARTBEAT_URL": value}, tmp_path)
    assert settings.heartbeat_url is not None
    assert settings.heartbeat_url.get_secret_value() == value


def test_every_row_of_the_table_is_proved_above():
    assert {line.partition("=")[0].lower() for line in UNBUILT_VALUES} == set(UNBUILT)


@pytest.mark.parametrize("field", sorted(UNBUILT))
def test_a_default_that_is_spelt_out_is_no_error(tmp_path, field):
    default = text_of(Fields.model_fields[field].default)
    Settings.load({field.upper(): default}, tmp_path)


@pytest.mark.parametrize(
    "line",
    ["ON_OPPOSITE_SIGNAL=ignore", "TRIGGER_PRICE=mark", "TRIGGER_PRICE=book", "API_PORT=0",
     "BYBIT_API_KEY=x", "OKX_PASSPHRASE=x", "DATABASE_URL=sqlite:///other.sqlite", "VENUES=binance",
     "BYBIT_WS_PRIVATE_URL=ws://h/v5/private", "BACKSTOP_EXTRA_PERCENT=6", "LEVERAGE=125",
     "BACKSTOP=all", "BACKSTOP=off",
     "TIMEZONE=Europe/Berlin", "DEFAULT_MARKET=spot", "API_HOST=0.0.0.0", "ON_SAME_SIGNAL=add",
     "MAX_TICK_JUMP_PERCENT=10", "TRAILING_PERCENT=2", "BREAK_EVEN_PERCENT=3", "CLOSE_AT=21:30",
     "TAKE_PROFIT_LADDER=5:0.5,10:0.5", "MAX_HOLD_SECONDS=3600", "CONFIRM_MS=500",
     "CONFIRM_TICKS=3", "MARGIN_MODE=cross", "LIVE_CONFIRMED=yes"],
)  # fmt: skip
def test_what_is_built_may_be_set_on_paper(tmp_path, line):
    name, _, value = line.partition("=")
    Settings.load({name: value}, tmp_path)


SETS = [
    ("TRAILING_ACTIVATION_PERCENT=5", "TRAILING_PERCENT too"),
    ("TRAILING_STEP_PERCENT=1", "TRAILING_PERCENT too"),
    ("BREAK_EVEN_OFFSET_PERCENT=1", "BREAK_EVEN_PERCENT too"),
    ("BREAK_EVEN_AFTER_RUNG=1", "0 rungs"),
    ("TRAILING_ACTIVATION_PERCENT=15 TRAILING_PERCENT=1", "take-profit"),
    ("TRAILING_ACTIVATION_PERCENT=8 TRAILING_PERCENT=1 TAKE_PROFIT_LADDER=8:1", "last rung"),
    ("BREAK_EVEN_PERCENT=15", "take-profit"),
    ("BREAK_EVEN_OFFSET_PERCENT=3 BREAK_EVEN_PERCENT=3", "give less"),
    ("BREAK_EVEN_AFTER_RUNG=2 TAKE_PROFIT_LADDER=5:0.5,10:0.5", "closes all"),
    ("TAKE_PROFIT_LADDER=5:0.6,10:0.6", "more than 1"),
    ("TAKE_PROFIT_LADDER=10:0.5,5:0.5", "more profit"),
    ("TAKE_PROFIT_LADDER=5:0.5,20:0.5", "take-profit"),
    ("TAKE_PROFIT_LADDER=5:0", "fraction"),
    ("TAKE_PROFIT_LADDER=0:0.5", "above 0"),
    ("TAKE_PROFIT_LADDER=" + ",".join(f"{n}:0.01" for n in range(1, 12)), "at most 10"),
]


class TestDefaultExits:
    @pytest.mark.parametrize(("line", "words"), SETS)
    def test_a_set_that_cannot_hold_together_is_refused_by_name(self, tmp_path, line, words):
        environ = dict(pair.split("=") for pair in line.split())
        name, value = next(iter(environ.items()))
        told = refusal(tmp_path, environ)
        assert told.startswith(f"{name}={value} does not go with the other exits: ")
        assert words in told
        assert "\n" not in told

    def test_a_set_that_holds_together_is_taken_whole(self, tmp_path):
        environ = {
            "TAKE_PROFIT_PERCENT": "30",
            "STOP_LOSS_PERCENT": "5",
            "TRAILING_PERCENT": "2.5",
            "TRAILING_ACTIVATION_PERCENT": "4",
            "TRAILING_STEP_PERCENT": "0.5",
            "BREAK_EVEN_PERCENT": "3",
            "BREAK_EVEN_OFFSET_PERCENT": "0",
            "BREAK_EVEN_AFTER_RUNG": "1",
            "TAKE_PROFIT_LADDER": "5:0.5, 10:0.25",
            "MAX_HOLD_SECONDS": "90.5",
            "CONFIRM_MS": "250",
            "CONFIRM_TICKS": "3",
        }
        assert default_exits(Settings.load(environ, tmp_path)) == Exits(
            Percent(Decimal(30)),
            Percent(Decimal(5)),
            trailing=Trailing(
                Percent(Decimal("2.5")), Percent(Decimal(4)), Percent(Decimal("0.5"))
            ),
            break_even=BreakEven(Percent(Decimal(3)), Decimal(0), after_rung=1),
            ladder=(
                Rung(Percent(Decimal(5)), Decimal("0.5")),
                Rung(Percent(Decimal(10)), Decimal("0.25")),
            ),
            time=TimeStop(max_hold_ns=90_500_000_000),
            confirmation=Confirmation(ms=250, ticks=3),
        )

    def test_only_the_two_limits_are_on_unless_the_owner_says_so(self, tmp_path):
        limit = Percent(Decimal(15))
        assert default_exits(Settings.load({}, tmp_path)) == Exits(limit, limit)

    def test_a_break_even_stop_covers_the_fees_unless_an_offset_is_given(self, tmp_path):
        settings = Settings.load({"BREAK_EVEN_PERCENT": "3"}, tmp_path)
        assert default_exits(settings).break_even == BreakEven(Percent(Decimal(3)))

    @pytest.mark.parametrize("line", ["TAKE_PROFIT_PERCENT=100", "TAKE_PROFIT_LADDER=100:1"])
    def test_what_only_a_short_cannot_reach_is_a_warning(self, tmp_path, line):
        name, _, value = line.partition("=")
        environ = {"TAKE_PROFIT_PERCENT": "0", "ENABLE_TELEGRAM_NOTIFICATIONS": "False"}
        (told,) = Settings.load(environ | {name: value}, tmp_path).warnings
        assert told.startswith(f"shorts will be refused by {line}: a price cannot fall by 100 %")


class TestAddresses:
    def test_a_venue_may_be_replaced_whole(self, tmp_path):
        settings = Settings.load(BYBIT | BINANCE, tmp_path)
        assert settings.bybit_ws_public_url == "ws://h:1/v5/public"

    @pytest.mark.parametrize("left_out", [*BYBIT, *BINANCE])
    def test_half_a_venue_is_refused_and_the_missing_half_named(self, tmp_path, left_out):
        replaced = {name: url for name, url in (BYBIT | BINANCE).items() if name != left_out}
        assert refusal(tmp_path, replaced).startswith(f"{left_out} is missing")

    def test_a_venue_that_is_not_watched_needs_nothing(self, tmp_path):
        environ = {"VENUES": "bybit", "BINANCE_SPOT_REST_URL": "http://h"}
        assert Settings.load(environ, tmp_path).venues == ("bybit",)

    def test_one_venue_may_be_replaced_and_the_other_not(self, tmp_path):
        settings = Settings.load(BYBIT, tmp_path)
        assert settings.binance_usdm_rest_url == "https://fapi.binance.com"

    def test_outside_paper_the_private_one_is_needed_too(self, tmp_path):
        text = refusal(tmp_path, BYBIT | {"TRADING_MODE": "live"})
        assert "BYBIT_WS_PRIVATE_URL is missing" in text

    def test_an_invalid_address_is_told_once(self, tmp_path):
        text = refusal(tmp_path, BYBIT | {"BYBIT_REST_URL": "nonsense"})
        assert text.count("BYBIT_REST_URL") == 1


class TestApiWithoutKeys:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_is_allowed_on_loopback(self, tmp_path, host):
        environ = {"API_KEYS_REQUIRED": "False", "API_HOST": host}
        assert not Settings.load(environ, tmp_path).api_keys_required

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "my-host"])
    def test_is_refused_elsewhere(self, tmp_path, host):
        environ = {"API_KEYS_REQUIRED": "False", "API_HOST": host}
        assert "API_KEYS_REQUIRED is False" in refusal(tmp_path, environ)

    def test_is_refused_outside_paper(self, tmp_path):
        environ = {"API_KEYS_REQUIRED": "False", "TRADING_MODE": "demo"}
        assert "API_KEYS_REQUIRED is False" in refusal(tmp_path, environ)


class TestAccounts:
    def test_outside_paper_a_venue_without_keys_is_named(self, tmp_path):
        environ = {"TRADING_MODE": "demo", "BYBIT_API_KEY": "x"}
        text = refusal(tmp_path, environ)
        assert "BYBIT_API_KEY is not set" not in text
        for name in ("BYBIT_API_SECRET", "BINANCE_API_KEY", "BINANCE_API_SECRET"):
            assert f"{name} is not set" in text
        assert "OKX_API_KEY" not in text

    @pytest.mark.parametrize("mode", ["demo", "testnet", "live"])
    def test_with_keys_every_mode_is_built(self, tmp_path, mode):
        keys = {f"{venue}_API_{part}": "x" for venue in ("BYBIT", "BINANCE")
                for part in ("KEY", "SECRET")}  # fmt: skip
        assert Settings.load({"TRADING_MODE": mode} | keys, tmp_path).trading_mode == mode

    def test_a_passphrase_is_a_key_too(self, tmp_path):
        text = refusal(tmp_path, {"TRADING_MODE": "live", "VENUES": "okx"})
        assert "OKX_PASSPHRASE is not set" in text


class TestDefaultVenue:
    def test_one_that_is_set_has_to_be_watched(self, tmp_path):
        text = refusal(tmp_path, {"VENUES": "binance", "DEFAULT_VENUE": "bybit"})
        assert "DEFAULT_VENUE=binance" in text

    def test_one_that_is_not_set_is_a_warning(self, tmp_path):
        settings = Settings.load({"VENUES": "binance"}, tmp_path)
        assert any("DEFAULT_VENUE=binance" in text for text in settings.warnings)


class TestTelegram:
    def test_wanted_without_a_token_is_a_warning(self, tmp_path):
        environ = {"ENABLE_TELEGRAM_NOTIFICATIONS": "True"}
        assert any(
            "TELEGRAM_BOT_TOKEN" in text for text in Settings.load(environ, tmp_path).warnings
        )

    def test_unwanted_is_silent(self, tmp_path):
        environ = {"ENABLE_TELEGRAM_NOTIFICATIONS": "False"}
        assert Settings.load(environ, tmp_path).warnings == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (("a", "b"), "a,b"),
        (30.0, "30"),
        (0.5, "0.5"),
        (True, "True"),
        (Decimal("15.0"), "15.0"),
        (datetime.time(9), "09:00"),
        ((), ""),
        (((Decimal(5), Decimal("0.50")), (Decimal("1E+1"), Decimal(1))), "5:0.5,10:1"),
        (Path("data"), "./data"),
        (Path("../x"), "../x"),
        (Path("/abs"), "/abs"),
    ],
)
def test_values_are_written_as_in_the_file(value, text):
    assert text_of(value) == text
