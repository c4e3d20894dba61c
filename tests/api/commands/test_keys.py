import json
from pathlib import Path

import pytest

from tests.api.commands.conftest import Tickguard


def test_the_first_key_makes_the_database_itself(tickguard: Tickguard, tmp_path: Path) -> None:
    result = tickguard("keys", "create", "--name", "n", "--scope", "read", "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert made.keys() == {"id", "key"}
    assert (tmp_path / "data" / "tickguard.sqlite").exists()
    listed = json.loads(tickguard("keys", "list", "--json").stdout)["items"]
    assert [(each["id"], each["name"], each["scope"]) for each in listed] == [
        (made["id"], "n", "read")
    ]
    assert made["key"] not in json.dumps(listed)


def test_a_key_is_shown_once_in_words(tickguard: Tickguard) -> None:
    said = tickguard("keys", "create", "--name", "n", "--scope", "admin").stdout
    key_id, key = (line.split()[1] for line in said.splitlines())
    assert "shown only now" in said
    listing = tickguard("keys", "list").stdout
    assert key_id in listing
    assert key not in listing
    assert len(listing.splitlines()) == 1


def test_a_revoked_key_cannot_be_revoked_again(tickguard: Tickguard) -> None:
    made = json.loads(
        tickguard("keys", "create", "--name", "n", "--scope", "trade", "--json").stdout
    )
    first = tickguard("keys", "revoke", made["id"])
    assert (first.exit_code, first.stdout) == (0, f"revoked {made['id']}\n")
    again = tickguard("keys", "revoke", made["id"], "--json")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "no live key has the id" in again.stderr
    [row] = json.loads(tickguard("keys", "list", "--json").stdout)["items"]
    assert row["revoked_at"] is not None


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("revoke", "some-id"), ("create", "--name", "n", "--scope", "read")],
)
def test_a_folder_that_cannot_be_used_is_an_error_with_its_name(
    tickguard: Tickguard, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "data").write_text("a file")
    result = tickguard("keys", *arguments)
    assert result.exit_code == 1
    assert "error: the database's directory data cannot be made" in result.stderr
    assert "Traceback" not in result.output


def test_settings_that_are_wrong_are_told(tickguard: Tickguard, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_PORT=many\nSTOP_LOSS_PERCENT=-1\n")
    result = tickguard("keys", "list")
    assert result.exit_code == 1
    found = {line.split("=")[0] for line in result.stderr.splitlines()}
    assert found == {"error: API_PORT", "error: STOP_LOSS_PERCENT"}
