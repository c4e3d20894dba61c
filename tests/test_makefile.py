"""The Makefile's promises, kept with a Python that only pretends to build environments."""

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.requirements import ROOT

# Stands for the interpreter, for .venv/bin/python and, by its name, for .venv/bin/tickguard.
FAKE = """#!/bin/sh
case "$(basename "$0") $*" in
    "tickguard "*) echo "{\\"args\\": \\"$*\\"}"; exit "${CODE:-0}";;
    *" -c import pip") exit 0;;
    *" -c "*) exit "${OLD:-0}";;
    *" -m venv "*)
        echo "venv" | tee -a calls
        mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/tickguard;;
    *" -m pip "*) echo "pip" | tee -a calls; exit "${PIP:-0}";;
    *" -m pytest "*) shift 2; echo "pytest $*"; exit "${CODE:-0}";;
esac
"""
BOOTSTRAP = ["pip", "pip"]


class Checkout:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stamp = directory / ".venv" / ".bootstrapped"
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.python("python3.12")
        shutil.copy(ROOT / "Makefile", directory)
        for name in ("requirements.lock", "pyproject.toml"):
            (directory / name).touch()

    def python(self, name: str) -> None:
        path = self.bin / name
        path.write_text(FAKE, encoding="utf-8")
        path.chmod(0o755)

    def make(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "-s", *args],
            cwd=self.directory,
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def bare_make(self, *args: str) -> subprocess.CompletedProcess[str]:
        """With no Python of the machine in reach."""
        for name in (
            "rm",
            "touch",
            "mv",
            "ln",
            "readlink",
            "sleep",
            "mkdir",
            "cp",
            "tee",
            "basename",
            "sh",
        ):
            (self.bin / name).symlink_to(shutil.which(name) or name)
        make = shutil.which("make") or "make"
        return subprocess.run(
            [make, "-s", *args],
            cwd=self.directory,
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What the bootstrap did since the last call."""
        path = self.directory / "calls"
        lines = path.read_text(encoding="utf-8").split() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def change(self, name: str) -> None:
        """As an edit would, a while after the bootstrap."""
        later = time.time() + 10
        os.utime(self.directory / name, (later, later))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_stdout_holds_the_command_alone(checkout: Checkout) -> None:
    done = checkout.make("demo", "ARGS=--json", PYTHON="python3.12")
    assert json.loads(done.stdout) == {"args": "demo --json"}
    assert "pip" in done.stderr
    assert checkout.calls() == ["venv", *BOOTSTRAP]


@pytest.mark.parametrize("target", ["demo", "run", "bench", "simulate"])
def test_a_command_gets_its_arguments(checkout: Checkout, target: str) -> None:
    done = checkout.make(target, "ARGS=--one 'two three'", PYTHON="python3.12")
    assert json.loads(done.stdout) == {"args": f"{target} --one two three"}


@pytest.mark.parametrize("target", ["demo", "test", "prove"])
def test_a_failing_command_fails_the_target(checkout: Checkout, target: str) -> None:
    assert checkout.make(target, CODE="3", PYTHON="python3.12").returncode != 0


def test_a_built_environment_is_kept(checkout: Checkout) -> None:
    checkout.make("demo", PYTHON="python3.12")
    checkout.calls()
    checkout.make("demo", PYTHON="python3.12")
    assert checkout.calls() == []


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_change_bootstraps_again(checkout: Checkout, name: str) -> None:
    checkout.make("demo", PYTHON="python3.12")
    checkout.calls()
    checkout.change(name)
    checkout.make("demo", PYTHON="python3.12")
    assert checkout.calls() == BOOTSTRAP


def test_an_interrupted_bootstrap_leaves_no_stamp(checkout: Checkout) -> None:
    done = checkout.make("demo", PYTHON="python3.12", PIP="1")
    assert done.returncode != 0
    assert done.stdout == ""
    assert not checkout.stamp.exists()
    checkout.calls()
    assert checkout.make("demo", PYTHON="python3.12").returncode == 0
    assert checkout.calls() == BOOTSTRAP
    checkout.change("requirements.lock")
    checkout.make("demo", PYTHON="python3.12", PIP="1")
    assert not checkout.stamp.exists()


def test_a_killed_bootstrap_leaves_no_stamp(checkout: Checkout) -> None:
    path = checkout.bin / "python3.12"
    path.write_text(FAKE.replace('exit "${PIP:-0}"', "kill -9 $PPID"), encoding="utf-8")
    done = checkout.make("demo", PYTHON="python3.12")
    assert done.returncode != 0
    assert not checkout.stamp.exists()


def test_of_two_makes_one_builds_and_the_other_waits(checkout: Checkout) -> None:
    path = checkout.bin / "python3.12"
    path.write_text(FAKE.replace('echo "venv"', 'sleep 0.5; echo "venv"'), encoding="utf-8")
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(checkout.make, "demo", PYTHON="python3.12") for _ in range(2)]
    assert [run.result().returncode for run in runs] == [0, 0]
    assert checkout.calls() == ["venv", *BOOTSTRAP]
    assert not (checkout.directory / ".venv.lock").is_symlink()


def test_the_lock_of_a_dead_builder_is_taken_over(checkout: Checkout) -> None:
    builder = subprocess.Popen(["true"])
    builder.wait()
    (checkout.directory / ".venv.lock").symlink_to(str(builder.pid))
    assert checkout.make("demo", PYTHON="python3.12").returncode == 0
    assert checkout.calls() == ["venv", *BOOTSTRAP]


def test_the_first_python_that_is_new_enough_is_taken(checkout: Checkout) -> None:
    (checkout.bin / "python3.11").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (checkout.bin / "python3.11").chmod(0o755)
    done = checkout.bare_make("demo")
    assert "Building .venv with python3.12" in done.stderr
    assert done.returncode == 0


def test_without_python_the_error_says_what_to_install(checkout: Checkout) -> None:
    (checkout.bin / "python3.12").unlink()
    done = checkout.bare_make("demo")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Tickguard needs Python 3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_test_without_arguments_is_the_whole_suite_with_the_gate(checkout: Checkout) -> None:
    whole = checkout.make("test", PYTHON="python3.12").stdout
    assert whole == ("pytest -n auto -m not prove --cov --cov-report= --coverage-gate\n")
    part = checkout.make("test", "ARGS=tests/test_tidy.py -x", PYTHON="python3.12").stdout
    assert part == "pytest tests/test_tidy.py -x\n"


def test_prove_is_content_with_no_proof_unless_one_was_named(checkout: Checkout) -> None:
    assert checkout.make("prove", CODE="5", PYTHON="python3.12").returncode == 0
    named = checkout.make("prove", "ARGS=-k typo", CODE="5", PYTHON="python3.12")
    assert named.returncode != 0


def test_a_command_does_not_inherit_our_arguments(checkout: Checkout) -> None:
    path = checkout.bin / "python3.12"
    path.write_text(
        FAKE.replace('echo "{', 'echo "[${ARGS-}${MAKEFLAGS-}${MFLAGS-}]"; echo "{'),
        encoding="utf-8",
    )
    assert checkout.make("demo", "ARGS=--json", PYTHON="python3.12").stdout.startswith("[]\n")
