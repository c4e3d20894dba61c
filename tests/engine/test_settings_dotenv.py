"""``.env`` as a whole: names that are not ours, and who may read the file."""

from pathlib import Path

import pytest

from engine.settings import Settings
from tests.engine.env_files import CANARY, refusal, write_env


class SomeoneElses(type(Path())):
    """A folder whose files belong to another user."""

    def chmod(self, mode, *, follow_symlinks=True):
        raise PermissionError(1, "Operation not permitted")


class TestNames:
    def test_a_near_name_in_the_file_is_an_error(self, tmp_path):
        write_env(tmp_path, "TAKE_PROFIT=3\n")
        assert "did you mean TAKE_PROFIT_PERCENT" in refusal(tmp_path)

    def test_another_case_in_the_file_is_an_error(self, tmp_path):
        write_env(tmp_path, "leverage=3\n")
        assert "did you mean LEVERAGE" in refusal(tmp_path)

    def test_another_unknown_name_in_the_file_is_a_warning(self, tmp_path):
        write_env(tmp_path, "POSTGRES_USER=me\n")
        assert any("POSTGRES_USER" in text for text in Settings.load({}, tmp_path).warnings)

    def test_a_near_name_in_the_environment_is_a_warning(self, tmp_path):
        settings = Settings.load({"STOP_LOS_PERCENT": "3"}, tmp_path)
        assert any("did you mean STOP_LOSS_PERCENT" in text for text in settings.warnings)
        assert settings.stop_loss_percent == 15

    def test_other_names_in_the_environment_are_ignored(self, tmp_path):
        environ = dict.fromkeys(["PATH", "HOME", "TZ", "APP_PORT", "TICKGUARD_REQUIRE"], "x")
        assert Settings.load(environ, tmp_path).warnings == Settings.load({}, tmp_path).warnings


class TestFileMode:
    def test_on_paper_a_readable_file_with_a_secret_is_tightened_with_a_word(self, tmp_path):
        path = write_env(tmp_path, f"BYBIT_API_SECRET={CANARY}\n", 0o644)
        settings = Settings.load({}, tmp_path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert any("open to others" in text for text in settings.warnings)
        assert not any("open to others" in text for text in Settings.load({}, tmp_path).warnings)

    @pytest.mark.parametrize("mode", ["demo", "testnet", "live"])
    def test_elsewhere_it_is_refused_and_left_alone(self, tmp_path, mode):
        path = write_env(tmp_path, f"BYBIT_API_SECRET={CANARY}\n", 0o640)
        assert "chmod 600 .env" in refusal(tmp_path, TRADING_MODE=mode)
        assert path.stat().st_mode & 0o777 == 0o640

    def test_a_password_in_the_database_address_counts(self, tmp_path):
        path = write_env(tmp_path, "DATABASE_URL=postgresql://user:word@host/db\n", 0o604)
        refusal(tmp_path)
        assert path.stat().st_mode & 0o777 == 0o600

    def test_one_that_cannot_be_tightened_is_told_of_with_the_remedy(self, tmp_path):
        write_env(tmp_path, f"BYBIT_API_SECRET={CANARY}\n", 0o644)
        settings = Settings.load({}, SomeoneElses(tmp_path))
        assert any("chmod 600 .env" in text for text in settings.warnings)

    def test_a_file_without_a_secret_stays_as_it_is(self, tmp_path):
        path = write_env(tmp_path, "LEVERAGE=2\nWEBHOOK_SECRET=\n", 0o644)
        Settings.load({}, tmp_path)
        assert path.stat().st_mode & 0o777 == 0o644

    def test_a_private_file_is_fine_in_every_mode(self, tmp_path):
        write_env(tmp_path, f"BYBIT_API_SECRET={CANARY}\n")
        assert "chmod" not in refusal(tmp_path, TRADING_MODE="demo")
