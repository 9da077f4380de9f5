"""How a release policy would do on a traffic, before anything is deployed: chances and times by simulation.

Pure: numpy and the statistics that judge real releases, no I/O, no clock; randomness comes from the seed that is given.
"""

from __future__ import annotations

from plimsoll.core.simulation.forecast import Forecast, simulate
from plimsoll.core.simulation.releases import PROMOTED, ROLLED_BACK, UNDECIDED, Releases, Step, Trial, run
from plimsoll.core.simulation.world import RATE_WITHOUT_BASE, Traffic

__all__ = [
    "PROMOTED",
    "RATE_WITHOUT_BASE",
    "ROLLED_BACK",
    "UNDECIDED",
    "Forecast",
    "Releases",
    "Step",
    "Traffic",
    "Trial",
    "run",
    "simulate",
]
