"""What one pair of answers says. Pure."""

from dataclasses import dataclass

from plimsoll_serving.http.message import Response
from plimsoll_serving.shadow.answers import UnreadableError, read_answer
from plimsoll_serving.shadow.compare import Difference, Tolerance, compare
from plimsoll_serving.shadow.counters import Outcome

DETAIL = 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a pair, and its outputs when they were compared one by one."""

    outcome: Outcome
    outputs: dict[str, Difference]
    detail: str = ""


def judge(stable: Response, candidate: Response, tolerance: Tolerance) -> Verdict:
    """Compare the candidate's answer with the one that the user got.

    Answers in a form that is not known are compared as bytes.
    """
    ours, theirs = stable.status < 400, candidate.status < 400
    if not (ours and theirs):
        outcome = Outcome.CANDIDATE_ERROR if ours else Outcome.STABLE_ERROR if theirs else Outcome.BOTH_ERROR
        told = f"{candidate.status} {candidate.body[:DETAIL].decode('utf-8', 'replace')}"
        return Verdict(outcome, {}, told if not theirs else "")
    try:
        comparison = compare(read_answer(stable), read_answer(candidate), tolerance)
    except (UnreadableError, OverflowError) as error:  # numbers beyond their datatype
        return Verdict(_same(stable.body == candidate.body), {}, str(error))
    return Verdict(_same(comparison.match), comparison.outputs)


def _same(equal: bool) -> Outcome:
    return Outcome.MATCH if equal else Outcome.MISMATCH
