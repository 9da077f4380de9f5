"""Which scenes there are, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from plimsoll.core.simulation import Traffic
from plimsoll.core.statistics.policy import Policy
from scipy.special import ndtr

from bench.release.engines import DEFAULTS

Array = NDArray[np.float64]
Kind = Literal["scores", "labels", "latency"]
End = Literal["promoted", "held", "rolled back"]
#: Errors and their noise are the same in every scene.
ERROR_RATE, NOISE_CV = 0.005, 0.2
#: Labels take the longest to judge: of them only the usual rate.
RATES, LABEL_RATES = (5.0, 50.0), (50.0,)

# --- answers ---
#: Seconds; answer times are lognormal, so that their p99 is about 0.19 s.
MEDIAN, SIGMA = 0.06, 0.5
P99 = MEDIAN * float(np.exp(2.3263 * SIGMA))
SLOW = 1.0

# --- scores ---
BINS = 10
INPUTS_SHIFT_AFTER = 300.0

# --- labels ---
#: Parts of all requests that get a label, at ages of up to a minute, ten and sixty; uniform in between.
AGES = ("1m", "10m", "1h")
AGE_SECONDS = ((0.0, 60.0), (60.0, 600.0), (600.0, 3600.0))
LABELLED = (0.12, 0.12, 0.06)
#: Wrong answers of the stable version among them: labels that come late are of the harder cases.
WRONG = (0.05, 0.10, 0.20)


@dataclass(frozen=True, slots=True)
class Scene:
    """A candidate, what is different about it, and how its release should end.

    `shift`: population stability index of its scores against the stable version's; `inputs_shift`: by how much the
    scores of both move after five minutes. `wrong`: its share of wrong answers by the age of the label. `slower`: its
    answers take so many times as long, and `tail` of them a second. `first_step`: least seconds of the first step,
    where they are not the default's.
    """

    kind: Kind
    candidate: str
    right: End
    shift: float = 0.0
    inputs_shift: float = 0.0
    wrong: tuple[float, float, float] = WRONG
    slower: float = 1.0
    tail: float = 0.0
    first_step: float = 0.0
    requests_per_second: float = 50.0

    @property
    def traffic(self) -> Traffic:
        """Requests and errors; neither arm is worse in them."""
        return Traffic(self.requests_per_second, ERROR_RATE, NOISE_CV)

    @property
    def policy(self) -> Policy:
        """The defaults of an InferenceService, with labels where they are what the scene is about."""
        if self.kind == "labels":
            return replace(DEFAULTS, shift_psi=0.25, accuracy_drop=0.05, error_rise=0.1)
        return replace(DEFAULTS, shift_psi=0.25)

    @property
    def horizon(self) -> float:
        """Seconds after which a release is undecided: labels take their time."""
        return 3600.0 if self.kind == "labels" else 1800.0

    @property
    def seed(self) -> int:
        """The same for each candidate of a kind: they live through the same hours."""
        return 7_000_000 + ("scores", "labels", "latency").index(self.kind) * 1_000 + int(self.requests_per_second)


SCENES = (
    Scene("scores", "as good", "promoted"),
    Scene("scores", "inputs of both shift, PSI 0.5", "promoted", inputs_shift=0.5),
    Scene("scores", "scores shift, PSI 0.1", "promoted", shift=0.1),
    Scene("scores", "scores shift, PSI 0.5", "held", shift=0.5),
    Scene("labels", "as good", "promoted"),
    Scene("labels", "10 points less often right", "rolled back", wrong=(0.15, 0.20, 0.30)),
    Scene("labels", "10 points, told after ten minutes", "rolled back", wrong=(0.05, 0.10, 0.70)),
    Scene(
        "labels",
        "the same, the first step takes half an hour",
        "rolled back",
        wrong=(0.05, 0.10, 0.70),
        first_step=1800.0,
    ),
    Scene("latency", "as good", "promoted"),
    Scene("latency", "1.25 times as slow", "promoted", slower=1.25),
    Scene("latency", "twice as slow", "rolled back", slower=2.0),
    Scene("latency", "four times as slow", "rolled back", slower=4.0),
    Scene("latency", "a tenth take a second", "rolled back", tail=0.1),
)


def scenes() -> Iterator[Scene]:
    """Each at its rates of requests."""
    for scene in SCENES:
        for rate in LABEL_RATES if scene.kind == "labels" else RATES:
            yield replace(scene, requests_per_second=rate)


def slower_than(seconds: Array | float, pace: Array | float, tail: float) -> Array:
    """Share of answers that take longer than `seconds`, where they take `pace` times as long as usual."""
    ahead = np.log(np.asarray(seconds) / (MEDIAN * np.asarray(pace)))
    late = np.log(np.asarray(seconds) / SLOW)
    share: Array = (1 - tail) * ndtr(-ahead / SIGMA) + tail * ndtr(-late / (SIGMA / 10))
    return share


@cache
def tilted(psi: float) -> Array:
    """Factors on the shares of the bins, (BINS,), under which scores in equal bins have moved upwards by `psi`."""
    places = np.linspace(-1.0, 1.0, BINS)

    def moved(tilt: float) -> Array:
        weights = np.exp(tilt * places)
        shares: Array = weights / weights.sum()
        return shares

    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        shares = moved(middle)
        index = float(((shares - 1 / BINS) * np.log(shares * BINS)).sum())
        low, high = (middle, high) if index < psi else (low, middle)
    return moved(low) * BINS
