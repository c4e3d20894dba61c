"""``make peers`` and its locks; the Python here only pretends to build environments."""

import re
from pathlib import Path

import pytest

from tests.requirements import ROOT
from tests.test_makefile import FAKE, Checkout

LOCKS = ("requirements.lock", "cryptofeed.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    found = Checkout(tmp_path)
    python = found.bin / "python3.12"
    # The second pip installs cryptofeed, which may fail.
    fails = FAKE.replace(".venv", ".venv-peers").replace(
        'exit "${PIP:-0}"', 'case "$*" in *"${PIP:-nothing}"*) exit 1;; *) exit 0;; esac'
    )
    python.write_text(fails, encoding="utf-8")
    (tmp_path / "bench" / "peers").mkdir(parents=True)
    for name in LOCKS:
        (tmp_path / "bench" / "peers" / name).touch()
    found.stamp = tmp_path / ".venv-peers" / ".bootstrapped"
    return found


def test_it_builds_an_environment_beside_ours_once(checkout: Checkout) -> None:
    assert checkout.make("peers", PYTHON="python3.12").returncode == 0
    assert checkout.calls() == ["venv", "pip", "pip"]
    assert checkout.stamp.exists()
    assert not (checkout.directory / ".venv").exists()
    checkout.make("peers", PYTHON="python3.12")
    assert checkout.calls() == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_changed_lock_installs_again(checkout: Checkout, name: str) -> None:
    checkout.make("peers", PYTHON="python3.12")
    checkout.calls()
    checkout.change(f"bench/peers/{name}")
    checkout.make("peers", PYTHON="python3.12")
    assert checkout.calls() == ["pip", "pip"]


def test_only_cryptofeed_may_be_missing(checkout: Checkout) -> None:
    done = checkout.make("peers", PYTHON="python3.12", PIP="cryptofeed.lock")
    assert done.returncode == 0
    assert "cryptofeed was not built" in done.stderr
    assert checkout.stamp.exists()


def test_any_other_failure_leaves_no_stamp(checkout: Checkout) -> None:
    done = checkout.make("peers", PYTHON="python3.12", PIP="requirements.lock")
    assert done.returncode != 0
    assert not checkout.stamp.exists()


def test_the_benches_do_without(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    assert checkout.make("bench", PYTHON="python3.12").returncode == 0
    assert not (tmp_path / ".venv-peers").exists()


@pytest.mark.parametrize("name", LOCKS)
def test_the_locks_pin_and_hash_everything_and_record_no_address(name: str) -> None:
    text = (ROOT / "bench" / "peers" / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    wanted = (ROOT / "bench" / "peers" / name.replace(".lock", ".in")).read_text(encoding="utf-8")
    pinned = {entry.split(" \\")[0].split(" ;")[0].replace("_", "-") for entry in entries}
    for line in wanted.splitlines():
        if not line.startswith("#"):
            assert line.split(" ;")[0].replace("_", "-") in pinned
