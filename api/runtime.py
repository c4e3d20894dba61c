"""What request handlers may use of the running service; ``api.main`` builds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from engine.flow import Flow
from engine.ports import Clock
from engine.settings import Settings
from engine.venues.catalog import Catalog


@dataclass(frozen=True)
class Runtime:
    """The parts that the HTTP layer talks to.

    Attributes:
        flow: the only way to change anything (``await flow.handle_durably(event)`` returns after
            the commit of that step; ``Retryable`` when storage would not take it).
        engine: the ledger's database, for the read side (``storage.queries``, ``storage.keys``).
        random_id: a fresh random id, 26 characters of base32.
        dropped: how many ticks the feeds did not pass on, by venue and reason.
    """

    settings: Settings
    flow: Flow
    engine: Engine
    catalog: Catalog
    clock: Clock
    random_id: Callable[[], str]
    dropped: Callable[[], Mapping[str, int]] = dict
