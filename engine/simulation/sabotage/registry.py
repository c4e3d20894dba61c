"""All deliberate defects by name."""

from collections.abc import Mapping
from difflib import get_close_matches

from engine.simulation.sabotage.backstops import BACKSTOP_DEFECTS
from engine.simulation.sabotage.closes import CLOSE_DEFECTS
from engine.simulation.sabotage.defect import Sabotage
from engine.simulation.sabotage.orders import ORDER_DEFECTS
from engine.simulation.sabotage.prices import PRICE_DEFECTS
from engine.simulation.sabotage.starts import START_DEFECTS

ALL = (*ORDER_DEFECTS, *CLOSE_DEFECTS, *START_DEFECTS, *PRICE_DEFECTS, *BACKSTOP_DEFECTS)
SABOTAGES: Mapping[str, Sabotage] = {each.name: each for each in ALL}


def near_names(name: str) -> list[str]:
    """Return the names of defects that ``name`` may have been meant for."""
    return get_close_matches(name, SABOTAGES, n=3, cutoff=0.4)
