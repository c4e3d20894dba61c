"""Loading: what wins, what is refused and in which words, and what is never said."""

import datetime
import itertools
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.errors import Misconfigured
from engine.model.instrument import Market
from engine.model.ticks import PriceSource
from engine.settings import MASK, OnOpposite, Settings, TradingMode, example
from tests.engine.env_files import CANARY, refusal, write_env

ROOT = Path(__file__).parents[2]

# The contract's section 3, name by name; what it leaves unset is empty here.
CONTRACT = [
    "TELEGRAM_BOT_TOKEN=",
    "TELEGRAM_CHAT_ID=",
    "TAKE_PROFIT_PERCENT=15.0",
    "STOP_LOSS_PERCENT=15.0",
    "MONITOR_INTERVAL=30",
    "ENABLE_TELEGRAM_NOTIFICATIONS=True",
    "ENABLE_EMAIL_NOTIFICATIONS=False",
    "TRADING_MODE=paper",
    "LIVE_CONFIRMED=no",
    "VENUES=bybit,binance",
    "DATA_DIR=./data",
    "DATABASE_URL=sqlite:///{DATA_DIR}/tickguard.sqlite",
    "API_HOST=127.0.0.1",
    "API_PORT=8080",
    "WEBHOOK_SECRET=",
    "API_KEYS_REQUIRED=True",
    "OWNER_LANGUAGE=en",
    "TIMEZONE=UTC",
    "TRIGGER_PRICE=last",
    "GAP_POLICY=current",
    "BACKSTOP=linear",
    "BACKSTOP_EXTRA_PERCENT=5",
    "FEED_TRANSPORT=websockets",
    "STALE_FEED_SECONDS=10",
    "MAX_TICK_JUMP_PERCENT=20",
    "POSITION_SIZE=100",
    "LEVERAGE=1",
    "MARGIN_MODE=",
    "MAX_ENTRY_DEVIATION_PERCENT=1",
    "SIGNAL_MAX_AGE_SECONDS=60",
    "DEFAULT_VENUE=bybit",
    "DEFAULT_MARKET=linear",
    "ON_OPPOSITE_SIGNAL=close",
    "ON_SAME_SIGNAL=ignore",
    "MAX_OPEN_POSITIONS=10",
    "MAX_DAILY_LOSS_PERCENT=",
    "DAILY_REPORT_AT=09:00",
    "HEARTBEAT_URL=",
    "SMTP_URL=",
    "NOTIFY_URLS=",
    "PAPER_BALANCE=10000",
    "PAPER_LATENCY_MS=100",
    "PAPER_SLIPPAGE_BPS=5",
    "TICKGUARD_RECORDED=../shared/recorded",
    "BYBIT_API_KEY=",
    "BYBIT_API_SECRET=",
    "BINANCE_API_KEY=",
    "BINANCE_API_SECRET=",
    "OKX_API_KEY=",
    "OKX_API_SECRET=",
    "OKX_PASSPHRASE=",
    "KUCOIN_API_KEY=",
    "KUCOIN_API_SECRET=",
    "KUCOIN_PASSPHRASE=",
    "BYBIT_REST_URL=",
    "BYBIT_WS_PUBLIC_URL=",
    "BYBIT_WS_PRIVATE_URL=",
    "BINANCE_SPOT_REST_URL=",
    "BINANCE_SPOT_WS_URL=",
    "BINANCE_SPOT_WS_API_URL=",
    "BINANCE_USDM_REST_URL=",
    "BINANCE_USDM_WS_URL=",
    "OKX_REST_URL=",
    "OKX_WS_URL=",
    "KUCOIN_REST_URL=",
    "TELEGRAM_API_URL=https://api.telegram.org",
]
OURS = [
    "TRAILING_PERCENT=0",
    "TRAILING_ACTIVATION_PERCENT=0",
    "TRAILING_STEP_PERCENT=0",
    "BREAK_EVEN_PERCENT=0",
    "BREAK_EVEN_OFFSET_PERCENT=",
    "BREAK_EVEN_AFTER_RUNG=0",
    "TAKE_PROFIT_LADDER=",
    "MAX_HOLD_SECONDS=0",
    "CLOSE_AT=",
    "CONFIRM_MS=0",
    "CONFIRM_TICKS=0",
    "ALLOW_RISKY_KEYS=no",
]
LISTED = CONTRACT + OURS
NAMES = [line.partition("=")[0] for line in LISTED]


def test_nothing_set_gives_the_defaults_of_the_contract(tmp_path):
    settings = Settings.load({}, tmp_path)
    assert settings.trading_mode is TradingMode.PAPER
    assert settings.venues == ("bybit", "binance")
    assert settings.take_profit_percent == settings.stop_loss_percent == Decimal(15)
    assert settings.default_market is Market.LINEAR
    assert settings.trigger_price is PriceSource.LAST
    assert settings.on_opposite_signal is OnOpposite.CLOSE
    assert settings.timezone == ZoneInfo("UTC")
    assert settings.paper_balance == Decimal(10000)
    assert settings.webhook_secret is None
    assert settings.api_keys_required
    assert settings.database_url == f"sqlite:///{tmp_path}/data/tickguard.sqlite"


def test_every_name_of_the_contract_is_a_setting_with_its_default(tmp_path):
    rows = {row.name: row for row in Settings.load({}, tmp_path).describe()}
    assert set(rows) == set(NAMES)
    for line in LISTED:
        name, _, default = line.partition("=")
        assert rows[name].default == default or not default
        assert rows[name].description


def test_the_example_lists_every_name_with_a_line_on_each():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert sorted(line for line in lines if "=" in line and line[0] != "#") == sorted(LISTED)
    for before, line in itertools.pairwise(lines):
        if line.split("=")[0] in NAMES:
            assert before.startswith("# ")
            assert len(before) > 8


def test_the_example_is_the_one_made_from_the_descriptions():
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == example()


def test_the_example_loads_cleanly_as_it_stands(tmp_path):
    path = write_env(tmp_path, example(), 0o644)
    settings = Settings.load({}, tmp_path)
    path.rename(tmp_path / "elsewhere")
    assert settings == Settings.load({}, tmp_path)
    (tmp_path / "elsewhere").rename(path)
    assert len(settings.warnings) == 1
    assert "TELEGRAM" in settings.warnings[0]
    assert path.stat().st_mode & 0o777 == 0o644, "without a secret it may stay readable"


def test_a_copied_example_does_not_set_the_margin_mode_at_the_venues(tmp_path):
    write_env(tmp_path, example(), 0o644)
    assert "margin_mode" not in Settings.load({}, tmp_path).model_fields_set
    given = Settings.load({"MARGIN_MODE": "isolated"}, tmp_path)
    assert "margin_mode" in given.model_fields_set


def test_the_environment_goes_before_the_file(tmp_path):
    write_env(tmp_path, "API_PORT=1111\nLEVERAGE=3\n")
    settings = Settings.load({"API_PORT": "2222"}, tmp_path)
    assert (settings.api_port, settings.leverage) == (2222, 3)


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_is_unset_and_lets_the_file_speak(tmp_path, empty):
    write_env(tmp_path, "API_PORT=1111\nLEVERAGE=\n")
    settings = Settings.load({"API_PORT": empty}, tmp_path)
    assert (settings.api_port, settings.leverage) == (1111, 1)


def test_the_process_is_asked_when_no_environment_is_given(tmp_path):
    assert Settings.load(directory=tmp_path).trading_mode is TradingMode.PAPER


def test_without_a_directory_folders_stay_as_they_are_written():
    settings = Settings.load({"DATA_DIR": "elsewhere"})
    assert settings.data_dir == Path("elsewhere")
    assert settings.database_url == "sqlite:///elsewhere/tickguard.sqlite"


def test_settings_are_built_from_values_alone_without_a_file(tmp_path):
    settings = Settings(data_dir=tmp_path, trigger_price=PriceSource.BOOK, timezone=ZoneInfo("UTC"))
    assert settings.database_url.startswith(f"sqlite:///{tmp_path}")
    assert settings.warnings == []


def test_settings_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        Settings.load({}, tmp_path).api_port = 1


def test_every_mistake_is_told_at_once_with_its_remedy(tmp_path):
    write_env(tmp_path, "STOP_LOS_PERCENT=3\nrubbish\nTRIGGER_PRICE=bid\n")
    text = refusal(tmp_path, API_PORT="99999", OWNER_LANGUAGE="ru")
    lines = text.splitlines()
    assert len(lines) == 5
    assert "STOP_LOS_PERCENT" in text
    assert "STOP_LOSS_PERCENT" in text
    assert "line 2" in text
    assert "rubbish" not in text
    assert "TRIGGER_PRICE=bid is not valid" in text
    assert "'last', 'mark' or 'book'" in text
    assert "API_PORT=99999 is not valid" in text
    assert "API_PORT=8080" in text
    assert "OWNER_LANGUAGE=ru waits for" in text
    assert "OWNER_LANGUAGE=en" in text


@pytest.mark.parametrize(
    "line",
    [
        "TAKE_PROFIT_PERCENT=-1",
        "STOP_LOSS_PERCENT=nan",
        "STOP_LOSS_PERCENT=15%",
        "LEVERAGE=0",
        "LEVERAGE=126",
        "LEVERAGE=2.5",
        "API_PORT=-1",
        "API_PORT=65536",
        "API_PORT=http",
        "MONITOR_INTERVAL=0",
        "MONITOR_INTERVAL=inf",
        "STALE_FEED_SECONDS=0",
        "SIGNAL_MAX_AGE_SECONDS=0",
        "POSITION_SIZE=0",
        "MAX_OPEN_POSITIONS=0",
        "MAX_ENTRY_DEVIATION_PERCENT=101",
        "PAPER_BALANCE=0",
        "PAPER_LATENCY_MS=-1",
        "PAPER_SLIPPAGE_BPS=10000",
        "API_KEYS_REQUIRED=perhaps",
        "TRADING_MODE=Paper",
        "DEFAULT_MARKET=futures",
        "TIMEZONE=Mars/Olympus",
        "TIMEZONE=/etc/passwd",
        "VENUES=,",
        "VENUES=bybit,kraken",
        "DEFAULT_VENUE=kraken",
        "WEBHOOK_SECRET=fifteen-letters",
        "API_HOST=http://127.0.0.1",
        "API_HOST=127.0.0.1:8080",
        "DATABASE_URL=mysql://host/db",
        "DATABASE_URL=sqlite:///:memory:",
        "BYBIT_REST_URL=api.bybit.com",
        "DAILY_REPORT_AT=25:00",
        "TRAILING_PERCENT=100",
        "TRAILING_PERCENT=-1",
        "TRAILING_ACTIVATION_PERCENT=1001",
        "TRAILING_STEP_PERCENT=100",
        "BREAK_EVEN_PERCENT=1e3",
        "BREAK_EVEN_OFFSET_PERCENT=-0.1",
        "BREAK_EVEN_AFTER_RUNG=11",
        "BREAK_EVEN_AFTER_RUNG=first",
        "TAKE_PROFIT_LADDER=5",
        "TAKE_PROFIT_LADDER=5:0.5:1",
        "TAKE_PROFIT_LADDER=5:0.5,",
        "TAKE_PROFIT_LADDER=5:half",
        "TAKE_PROFIT_LADDER=5%:0.5",
        "TAKE_PROFIT_LADDER=1e1:0.5",
        "MAX_HOLD_SECONDS=-1",
        "MAX_HOLD_SECONDS=inf",
        "MAX_HOLD_SECONDS=315360001",
        "CLOSE_AT=24:00",
        "CLOSE_AT=9",
        "CLOSE_AT=21:30:15",
        "CLOSE_AT=21:30Z",
        "CONFIRM_MS=60001",
        "CONFIRM_MS=0.5",
        "CONFIRM_TICKS=10001",
    ],
)
def test_an_invalid_value_is_refused_by_name(tmp_path, line):
    name, _, value = line.partition("=")
    text = refusal(tmp_path, **{name: value})
    assert text.startswith(name)
    assert "is not valid" in text
    assert "remove it" in text


def test_zero_disarms_the_default_limits(tmp_path):
    settings = Settings.load({"TAKE_PROFIT_PERCENT": "0", "STOP_LOSS_PERCENT": "0"}, tmp_path)
    assert settings.take_profit_percent == settings.stop_loss_percent == 0


@given(st.decimals("0.000000000001", "99.99", allow_nan=False, places=12))
def test_percents_keep_every_digit(percent):
    environ = {"STOP_LOSS_PERCENT": format(percent, "f")}
    assert Settings.load(environ, ROOT / "no-such-folder").stop_loss_percent == percent


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("STOP_LOSS_PERCENT", "150"),
        ("STOP_LOSS_PERCENT", "1_5"),
        ("TAKE_PROFIT_PERCENT", "1e999999"),
        ("TAKE_PROFIT_PERCENT", "1001"),
        ("PAPER_BALANCE", "1e400"),
        ("POSITION_SIZE", "1" * 16),
    ],
)
def test_a_number_that_is_hardly_meant_is_refused(tmp_path, name, text):
    with pytest.raises(Misconfigured, match=f"{name}={text} is not valid"):
        Settings.load({name: text}, tmp_path)


@pytest.mark.parametrize(
    ("text", "at"), [("21:30", (21, 30)), ("0:05", (0, 5)), ("23:59", (23, 59))]
)
def test_a_time_of_day_is_read_in_hours_and_minutes(tmp_path, text, at):
    assert Settings.load({"CLOSE_AT": text}, tmp_path).close_at == datetime.time(*at)


def test_venues_are_read_in_any_case_each_once(tmp_path):
    settings = Settings.load({"VENUES": " Binance, bybit ,binance"}, tmp_path)
    assert settings.venues == ("binance", "bybit")


@pytest.mark.parametrize(
    "name",
    ["WEBHOOK_SECRET", "TELEGRAM_BOT_TOKEN", "SMTP_URL", "NOTIFY_URLS", "HEARTBEAT_URL"],
)
def test_no_message_echoes_a_secret(tmp_path, name):
    write_env(tmp_path, f"BYBIT_API_SECRET={CANARY}\nBINANCE_API_SECRT={CANARY}\n{CANARY}\n")
    environ = {name: CANARY[:12], "DATABASE_URL": f"mysql://user:{CANARY}@host/db"}
    text = refusal(tmp_path, **environ, BYBIT_REST_URL=f"https://user:{CANARY}@host")
    assert CANARY[:12] not in text
    assert name in text
    assert "BYBIT_REST_URL is not valid" in text


def test_describe_masks_what_is_secret(tmp_path):
    environ = {"WEBHOOK_SECRET": CANARY, "BYBIT_API_KEY": CANARY}
    settings = Settings.load(environ, tmp_path)
    rows = {row.name: row for row in settings.describe()}
    assert CANARY not in str(settings.describe()) + repr(settings) + str(settings)
    assert rows["WEBHOOK_SECRET"].value == rows["BYBIT_API_KEY"].value == MASK
    assert rows["BINANCE_API_KEY"].value == ""
    assert settings.secret_values() == [CANARY, CANARY]


def test_the_password_of_a_database_is_a_secret():
    settings = Settings(database_url=f"postgresql://user:{CANARY}@host/db")
    row = next(row for row in settings.describe() if row.name == "DATABASE_URL")
    assert row.value == f"postgresql://user:{MASK}@host/db"
    assert settings.secret_values() == [CANARY]


def test_describe_gives_the_venues_own_addresses_as_defaults(tmp_path):
    rows = {row.name: row for row in Settings.load({}, tmp_path).describe()}
    assert rows["BYBIT_REST_URL"].value == rows["BYBIT_REST_URL"].default == "https://api.bybit.com"
