"""What feedback came to, by version and by the age of the label."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from plimsoll_serving.families import CounterFamily, Family

#: Upper ends in seconds of the ages: labels that came equally late are compared with each other.
AGE_EDGES = (60, 600, 3600, 86400, 604800)
AGES = ("1m", "10m", "1h", "1d", "7d", "older")
OUTCOMES = ("correct", "incorrect", "measured", "not_finite")
REFUSALS = ("malformed", "signature", "expired", "model", "label", "repeated")
#: Versions beyond these are counted together.
MAX_VERSIONS = 32
OTHER_VERSIONS = "other"


def age_of(seconds: float) -> str:
    """The bucket of an age."""
    return AGES[bisect_left(AGE_EDGES, seconds)]


@dataclass(slots=True)
class Cohort:
    """Feedback about one version at one age. Errors are predicted minus true; ``over`` and ``under`` their sizes."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    over: float = 0.0
    under: float = 0.0
    squared: float = 0.0


class FeedbackCounts:
    """Counters; those of the own version exist from the start."""

    def __init__(self, model: str, version: str) -> None:
        self._model = model
        self._cohorts: dict[str, dict[str, Cohort]] = {}
        self._refused = dict.fromkeys(REFUSALS, 0)
        self.cohort(version, AGES[0])

    def cohort(self, version: str, age: str) -> Cohort:
        """Where feedback about a version is counted."""
        if version not in self._cohorts:
            if len(self._cohorts) >= MAX_VERSIONS:
                version = OTHER_VERSIONS
            self._cohorts.setdefault(version, {age: Cohort() for age in AGES})
        return self._cohorts[version][age]

    def refused(self, reason: str) -> None:
        self._refused[reason] += 1

    def collect(self) -> Iterator[Family]:
        labels = ("model", "version", "outcome", "age")
        outcomes = CounterFamily("plimsoll_feedback", "Rows of feedback by what they said.", labels=labels)
        errors = CounterFamily(
            "plimsoll_feedback_error",
            "Sum of the sizes of errors of predicted numbers, too high (over) and too low (under).",
            labels=("model", "version", "direction", "age"),
        )
        squared = CounterFamily(
            "plimsoll_feedback_squared_error",
            "Sum of the squares of errors of predicted numbers.",
            labels=("model", "version", "age"),
        )
        for version, ages in self._cohorts.items():
            for age, cohort in ages.items():
                for outcome, count in cohort.outcomes.items():
                    outcomes.add((self._model, version, outcome, age), count)
                errors.add((self._model, version, "over", age), cohort.over)
                errors.add((self._model, version, "under", age), cohort.under)
                squared.add((self._model, version, age), cohort.squared)
        refused = CounterFamily(
            "plimsoll_feedback_refused", "Feedback that was not counted.", labels=("model", "reason")
        )
        for reason, count in self._refused.items():
            refused.add((self._model, reason), count)
        yield from (outcomes, errors, squared, refused)
