from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api.cli import app
from engine.settings_fields import NAMES

Tickguard = Callable[..., Result]


@pytest.fixture
def tickguard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tickguard:
    """Runs a command in an empty folder, without any setting of the machine's."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return invoke
