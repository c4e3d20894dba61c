"""Play money and real money never share a folder unnoticed, and real money is confirmed once."""

from pathlib import Path

import pytest

from api.first_start import check_mode
from engine.model.errors import Misconfigured
from engine.settings import Confirmation, Settings, TradingMode


def settings(folder: Path, mode: str, confirmed: str = "no") -> Settings:
    return Settings(
        data_dir=folder, trading_mode=TradingMode(mode), live_confirmed=Confirmation(confirmed)
    )


def flat() -> bool:
    return False


def holding() -> bool:
    return True


@pytest.mark.parametrize("mode", ["paper", "demo", "testnet"])
def test_play_money_needs_no_confirmation(tmp_path: Path, mode: str) -> None:
    check_mode(settings(tmp_path, mode), flat)
    check_mode(settings(tmp_path, mode), flat)


def test_the_first_start_with_real_money_is_confirmed_once(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="set LIVE_CONFIRMED=yes"):
        check_mode(settings(tmp_path, "live"), flat)
    check_mode(settings(tmp_path, "live", "yes"), flat)
    check_mode(settings(tmp_path, "live"), holding)


def test_a_folder_whose_mode_was_another_is_confirmed_again(tmp_path: Path) -> None:
    check_mode(settings(tmp_path, "live", "yes"), flat)
    check_mode(settings(tmp_path, "demo"), flat)
    with pytest.raises(Misconfigured, match="LIVE_CONFIRMED"):
        check_mode(settings(tmp_path, "live"), flat)


def test_open_positions_of_another_mode_are_not_taken_over(tmp_path: Path) -> None:
    check_mode(settings(tmp_path, "testnet"), flat)
    with pytest.raises(Misconfigured) as caught:
        check_mode(settings(tmp_path, "demo"), holding)
    assert "open positions of TRADING_MODE=testnet" in str(caught.value)
    assert "DATA_DIR=./data-demo" in str(caught.value)
    check_mode(settings(tmp_path, "testnet"), holding)


def test_a_folder_from_before_modes_were_remembered_is_of_paper(tmp_path: Path) -> None:
    check_mode(settings(tmp_path, "paper"), holding)
    with pytest.raises(Misconfigured, match="TRADING_MODE=paper"):
        check_mode(settings(tmp_path, "testnet"), holding)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="choose another folder"):
        check_mode(settings(tmp_path / "missing", "testnet"), flat)
