"""How the guardian's commands reach the adapters."""

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from engine.model.effects import (
    CancelOrder,
    CheckPrices,
    Command,
    Continue,
    FetchMissed,
    LookUpOrder,
    ReadAccount,
    RefreshInstrument,
    SubmitOrder,
    Unwatch,
    Watch,
)
from engine.model.instrument import Instrument
from engine.ports import Broker, Feed


class Commands:
    """Carries commands out, each at once.

    Args:
        instruments: tells what we hold or watch at a venue.
        go_on: hands ``Continued`` in, soon.
    """

    def __init__(
        self,
        brokers: Mapping[str, Broker],
        feeds: Mapping[str, Feed],
        instruments: Callable[[str], Sequence[Instrument]],
        go_on: Callable[[], None],
    ) -> None:
        self._brokers = brokers
        self._feeds = feeds
        self._instruments = instruments
        self._go_on = go_on

    def act(self, command: Command) -> None:
        """Carry out one command."""
        match command:
            case SubmitOrder(order=order):
                self._brokers[order.instrument.id.venue].submit(order)
            case CancelOrder(order=order):
                self._brokers[order.instrument.id.venue].cancel(order)
            case LookUpOrder(order=order):
                self._brokers[order.instrument.id.venue].look_up(order)
            case ReadAccount(venue=venue):
                self._brokers[venue].read_account(self._instruments(venue))
            case RefreshInstrument(instrument=instrument):
                self._brokers[instrument.id.venue].refresh(instrument)
            case FetchMissed(instrument=instrument, source=source, since_ms=since_ms):
                self._feeds[instrument.id.venue].fetch_missed(instrument, source, since_ms)
            case CheckPrices(instrument=instrument):
                self._feeds[instrument.id.venue].check(instrument)
            case Continue():
                self._go_on()
            case Watch(instrument=instrument):
                self._feeds[instrument.id.venue].watch(instrument)
            case Unwatch(instrument=instrument_id):
                self._feeds[instrument_id.venue].unwatch(instrument_id)
            case _:
                assert_never(command)
