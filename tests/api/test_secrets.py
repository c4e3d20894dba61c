"""The first start: what is made, where it is written, and when it is refused."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.secrets import MAKE_KEY, MAKE_SECRET, _replace, ensure_secrets, with_secret, write_secret
from engine.model.errors import Misconfigured
from engine.settings import Settings, example
from engine.settings_file import parse_env

SECRET = "s" * 32


class Keys:
    """Stands for the table of keys."""

    def __init__(self, made: int = 0):
        self.made = made

    def exist(self) -> bool:
        return self.made > 0

    def create(self) -> str:
        self.made += 1
        return f"key-{self.made}"


def start(folder: Path, keys: Keys, **environ: str):
    settings = Settings.load(environ, folder)
    return ensure_secrets(
        settings, has_keys=keys.exist, create_admin_key=keys.create, directory=folder
    )


def values(text: str) -> dict[str, str | None]:
    return {each.key: each.value for each in parse_env(text) if each.key is not None}


def test_the_first_start_on_paper_makes_a_secret_and_an_admin_key(tmp_path):
    first = start(tmp_path, Keys())
    assert re.fullmatch("[0-9a-f]{64}", first.webhook_secret)
    assert first.admin_key == "key-1"
    assert first.settings.webhook_secret.get_secret_value() == first.webhook_secret


def test_the_secret_is_kept_for_the_next_start(tmp_path):
    keys = Keys()
    first, second = start(tmp_path, keys), start(tmp_path, keys)
    assert second.settings.webhook_secret == first.settings.webhook_secret
    assert (second.webhook_secret, second.admin_key) == (None, None)
    assert keys.made == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_two_installations_have_different_secrets(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    made = {start(tmp_path / name, Keys()).webhook_secret for name in "ab"}
    assert len(made) == 2


def test_a_secret_in_the_environment_is_enough(tmp_path):
    first = start(tmp_path, Keys(1), WEBHOOK_SECRET=SECRET)
    assert (first.webhook_secret, first.admin_key) == (None, None)
    assert not (tmp_path / ".env").exists()


def test_a_key_alone_is_made_when_only_it_is_missing(tmp_path):
    first = start(tmp_path, Keys(), WEBHOOK_SECRET=SECRET)
    assert (first.webhook_secret, first.admin_key) == (None, "key-1")


def test_the_file_is_for_its_owner_only(tmp_path):
    old = os.umask(0)
    try:
        start(tmp_path, Keys())
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_a_readable_file_becomes_private_with_the_secret(tmp_path):
    path = tmp_path / ".env"
    path.write_text("LEVERAGE=2\n")
    path.chmod(0o644)
    start(tmp_path, Keys())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_copied_example_is_filled_in_place(tmp_path):
    path = tmp_path / ".env"
    path.write_text(example())
    made = start(tmp_path, Keys()).webhook_secret
    assert path.read_text() == example().replace("WEBHOOK_SECRET=\n", f"WEBHOOK_SECRET={made}\n")


def test_a_linked_file_stays_linked(tmp_path):
    real = tmp_path / "real"
    real.write_text("LEVERAGE=2\n")
    (tmp_path / ".env").symlink_to(real)
    start(tmp_path, Keys())
    assert (tmp_path / ".env").is_symlink()
    assert "WEBHOOK_SECRET=" in real.read_text()


def test_the_working_directory_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = Keys(1)
    made = ensure_secrets(Settings(), has_keys=keys.exist, create_admin_key=keys.create)
    assert f"WEBHOOK_SECRET={made.webhook_secret}\n" in (tmp_path / ".env").read_text()


@pytest.mark.parametrize("mode", ["demo", "testnet", "live"])
def test_outside_paper_nothing_is_made_and_the_remedy_is_told(tmp_path, mode):
    keys = Keys()
    with pytest.raises(Misconfigured) as caught:
        ensure_secrets(
            Settings(trading_mode=mode),
            has_keys=keys.exist,
            create_admin_key=keys.create,
            directory=tmp_path,
        )
    assert MAKE_SECRET in str(caught.value)
    assert MAKE_KEY in str(caught.value)
    assert keys.made == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("secret", "keys", "remedy"), [(None, 1, MAKE_SECRET), (SECRET, 0, MAKE_KEY)]
)
def test_outside_paper_only_what_is_missing_is_named(secret, keys, remedy):
    settings = Settings(trading_mode="live", webhook_secret=secret)
    table = Keys(keys)
    with pytest.raises(Misconfigured) as caught:
        ensure_secrets(settings, has_keys=table.exist, create_admin_key=table.create)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_outside_paper_with_both_in_place_the_start_goes_on():
    settings = Settings(trading_mode="live", webhook_secret=SECRET)
    keys = Keys(1)
    first = ensure_secrets(settings, has_keys=keys.exist, create_admin_key=keys.create)
    assert first.settings is settings
    assert keys.made == 1


def test_the_told_command_writes_a_line_that_loads(tmp_path):
    command = MAKE_SECRET.replace("python3", sys.executable, 1)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    assert Settings.load({}, tmp_path).webhook_secret is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "# signals are taken by this secret\nWEBHOOK_SECRET=V\n"),
        ("A=1", "A=1\n# signals are taken by this secret\nWEBHOOK_SECRET=V\n"),
        ("A=1\r\n", "A=1\r\n# signals are taken by this secret\r\nWEBHOOK_SECRET=V\r\n"),
        ("# a\n\nWEBHOOK_SECRET=\nB=2\n", "# a\n\nWEBHOOK_SECRET=V\nB=2\n"),
        ("WEBHOOK_SECRET=  \r\nB=2", "WEBHOOK_SECRET=V\r\nB=2"),
        ("export WEBHOOK_SECRET=''\n", "export WEBHOOK_SECRET=V\n"),
        ('WEBHOOK_SECRET = "" # why\n', "WEBHOOK_SECRET =V  # why\n"),
        ("WEBHOOK_SECRET= # why\n", "WEBHOOK_SECRET=V  # why\n"),
        ("WEBHOOK_SECRET=\nWEBHOOK_SECRET=\n", "WEBHOOK_SECRET=\nWEBHOOK_SECRET=V\n"),
        (
            "# WEBHOOK_SECRET=\n",
            "# WEBHOOK_SECRET=\n# signals are taken by this secret\nWEBHOOK_SECRET=V\n",
        ),
        (
            'WEBHOOK_SECRET=\nWEBHOOK_SECRET=" "\n',
            'WEBHOOK_SECRET=\nWEBHOOK_SECRET=" "\n'
            "# signals are taken by this secret\nWEBHOOK_SECRET=V\n",
        ),
    ],
)
def test_all_else_in_the_file_is_kept(before, after):
    assert with_secret(before, "V") == after


LINES = st.sampled_from(
    [
        "A=1",
        "# c",
        "",
        "WEBHOOK_SECRET=",
        "WEBHOOK_SECRET=''",
        "B='x\nWEBHOOK_SECRET=\n'",
        "export C=3",
    ]
)


@given(st.lists(LINES, max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_afterwards_the_secret_is_read_and_nothing_else_changed(lines, newline, ends):
    before = newline.join(lines) + (newline if ends else "")
    after = with_secret(before, SECRET)
    assert values(after)["WEBHOOK_SECRET"] == SECRET
    rest = {name: value for name, value in values(after).items() if name != "WEBHOOK_SECRET"}
    old = {name: value for name, value in values(before).items() if name != "WEBHOOK_SECRET"}
    assert rest == old


def test_a_file_that_cannot_be_written_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(Misconfigured) as caught:
        write_secret(tmp_path / "no-folder" / ".env", SECRET)
    assert MAKE_SECRET in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    (tmp_path / ".env").mkdir()  # neither read as a file nor replaced by one
    with pytest.raises(Misconfigured):
        write_secret(tmp_path / ".env", SECRET)
    with pytest.raises(OSError, match=r"\.env"):
        _replace(tmp_path / ".env", SECRET)
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_file_that_is_not_text_is_left_alone(tmp_path):
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(Misconfigured):
        write_secret(tmp_path / ".env", SECRET)
    assert (tmp_path / ".env").read_bytes() == b"A=\xff\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_of_the_file_stays_its_owner(tmp_path):
    path = tmp_path / ".env"
    path.touch()
    os.chown(path, 12345, 12345)
    write_secret(path, SECRET)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)
