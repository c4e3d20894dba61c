"""``.env`` files for tests of the settings."""

from pathlib import Path

import pytest

from engine.model.errors import Misconfigured
from engine.settings import Settings

CANARY = "canary-0123456789abcdef"
"""A secret that no message may repeat."""


def write_env(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refusal(folder: Path, **environ: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        Settings.load(environ, folder)
    return str(caught.value)
