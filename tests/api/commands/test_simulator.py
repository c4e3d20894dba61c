import json
import signal
import socket
from pathlib import Path

import httpx
import pytest

from api.commands.simulator import _serve
from engine.clock import SystemClock
from engine.simulator.server import SimulatorServer
from tests.api.commands.conftest import Tickguard
from tests.scenarios.processes import command, until


def test_it_announces_itself_in_one_line_and_ends_by_sigterm(tmp_path: Path) -> None:
    sent = tmp_path / "deep" / "sent.jsonl"
    arguments = ("--prices", "seeded", "--sent-log", str(sent), "--json")
    with command("simulator", *arguments, cwd=tmp_path) as ran:
        facts = ran.announced()
        assert facts.keys() == {"urls", "control", "keys"}
        assert all(
            url.startswith(("http://127.0.0.1:", "ws://127.")) for url in facts["urls"].values()
        )
        assert facts["keys"]["bybit"].keys() == {"key", "secret"}
        assert httpx.get(f"{facts['control']}/state", trust_env=False).status_code == 200
        ran.signal(signal.SIGTERM)
        assert ran.wait() == 0
        assert len(ran.lines) == 1
    assert sent.exists()


def test_in_words_it_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    """Without a word about prices: seeded ones, where no recordings are at hand."""
    env = {"TICKGUARD_RECORDED": "nowhere"}
    with command("simulator", cwd=tmp_path, env=env) as ran:
        until(lambda: "control: http://" in ran.log.read_text(), "the announcement")
        ran.signal(signal.SIGINT)
        assert ran.wait() == 0
        names = [line.split("=", 1)[0] for line in ran.lines]
    assert "BYBIT_WS_PUBLIC_URL" in names
    assert all(name.isupper() for name in names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prices", "nowhere.csv"), "nowhere.csv cannot be read"),
        (("--prices", "seeded", "--speed", "0"), "give a number above 0"),
    ],
)
def test_what_cannot_be_played_is_told(
    tickguard: Tickguard, arguments: tuple[str, ...], said: str
) -> None:
    result = tickguard("simulator", "--json", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_a_port_that_is_taken_is_told(tickguard: Tickguard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = tickguard("simulator", "--prices", "seeded", "--port", port)
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1 is not free" in result.stderr


async def test_a_part_that_fails_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = SimulatorServer(SystemClock())

    async def crash() -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(server._binance.spot, "run", crash)
    with pytest.raises(ExceptionGroup, match="TaskGroup"):
        await _serve(server, json=True)
    assert json.loads(capsys.readouterr().out)["urls"]
