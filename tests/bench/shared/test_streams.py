"""Peers' own streams, a few frames each, where they are installed."""

from pathlib import Path

import pytest

from bench.shared import peers
from bench.shared.streams import PEERS, Passage, Peer, present, sources, stream

FRAMES = 200


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
async def test_a_peers_stream_hands_on_the_prices_of_its_venue(peer: Peer) -> None:
    if not peers.installed(peer.package):
        pytest.skip(f"{peer.name} is not installed: make peers")
    with sources([peer], FRAMES, FRAMES) as running:
        passage = await stream(peer, running[peer], FRAMES)
    assert passage.frames == FRAMES
    assert 0 <= passage.lost < FRAMES
    assert 0 < passage.seconds < 30
    assert 0 < passage.cpu_s < 30
    assert peer.label == f"{peer.name} {peers.version(peer.package)}"


def test_without_the_environment_no_peer_is_present(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "bin" / "python")
    assert present() == []


def test_every_program_is_there() -> None:
    assert all((peers.PROGRAMS / peer.program).is_file() for peer in PEERS)
    assert len({peer.key for peer in PEERS}) == len(PEERS)


def test_rates_are_of_the_frames_that_passed() -> None:
    passage = Passage(seconds=2.0, cpu_s=1.0, frames=100, lost=7)
    assert (passage.per_s, passage.cpu_us) == (50.0, 10_000.0)
