"""Settings that wait for their feature, and settings that need each other."""

import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from engine.model.errors import Misconfigured
from engine.settings import Settings
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
    "TRADING_MODE=demo",
    "TRADING_MODE=testnet",
    "TRADING_MODE=live",
    "LIVE_CONFIRMED=yes",
    "VENUES=okx",
    "VENUES=bybit,kucoin",
    "DEFAULT_VENUE=okx",
    "OKX_REST_URL=http://h",
    "OKX_WS_URL=ws://h",
    "KUCOIN_REST_URL=http://h",
    "DATABASE_URL=postgresql://host/db",
    "GAP_POLICY=strict",
    "MARGIN_MODE=cross",
    "ON_OPPOSITE_SIGNAL=reverse",
    "ON_SAME_SIGNAL=add",
    "MAX_DAILY_LOSS_PERCENT=5",
    "BACKSTOP=all",
    "BACKSTOP=off",
    "BACKSTOP_EXTRA_PERCENT=6",
    "MAX_TICK_JUMP_PERCENT=10",
    "OWNER_LANGUAGE=ru",
    "TELEGRAM_BOT_TOKEN=123:abc",
    "TELEGRAM_CHAT_ID=1",
    "TELEGRAM_API_URL=http://h",
    "ENABLE_EMAIL_NOTIFICATIONS=True",
    "SMTP_URL=smtp://h",
    "NOTIFY_URLS=http://h",
    "HEARTBEAT_URL=http://h",
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
     "BYBIT_WS_PRIVATE_URL=ws://h/v5/private", "BACKSTOP_EXTRA_PERCENT=5.0", "LEVERAGE=125",
     "TIMEZONE=Europe/Berlin", "DEFAULT_MARKET=spot", "API_HOST=0.0.0.0"],
)  # fmt: skip
def test_what_is_built_may_be_set_on_paper(tmp_path, line):
    name, _, value = line.partition("=")
    Settings.load({name: value}, tmp_path)


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
        (Path("data"), "./data"),
        (Path("../x"), "../x"),
        (Path("/abs"), "/abs"),
    ],
)
def test_values_are_written_as_in_the_file(value, text):
    assert text_of(value) == text
