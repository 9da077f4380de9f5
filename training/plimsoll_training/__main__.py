"""The command line: `python -m plimsoll_training <verb>`."""

import argparse
import importlib
import sys
import traceback
import warnings

from plimsoll_training.environment import Places, places
from plimsoll_training.errors import StoreError, UserError
from plimsoll_training.results import error_message, write_termination
from plimsoll_training.steps import say

VERBS = {
    "fetch": "hand the training rows to the trainer",
    "train": "fit the estimator and write model.onnx",
    "upload": "hand model.onnx over to staging",
    "publish": "judge the staged model and store it under its digest",
    "verify": "check the artifact of a ModelVersion",
}
EXAMPLE = """\
example:
  PLIMSOLL_INPUTS=/tmp/inputs PLIMSOLL_OUTPUT=/tmp/output python -m plimsoll_training train

environment: PLIMSOLL_RUN (run.json), PLIMSOLL_INPUTS, PLIMSOLL_OUTPUT, PLIMSOLL_TERMINATION_LOG, and for every verb
but train PLIMSOLL_BUCKET with AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
exit codes: 0 done (a verdict says whether gates passed), 2 a mistake in the run, 1 anything else (worth repeating).
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m plimsoll_training",
        description="What runs inside the Jobs of a TrainingJob or a ModelVersion.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, summary in VERBS.items():
        verbs.add_parser(name, help=summary, description=summary)
    # What scikit-learn is going to remove is ours to mend, not the user's to read.
    warnings.filterwarnings("ignore", category=FutureWarning, module="sklearn")
    return run_verb(parser.parse_args(arguments).verb, places())


def run_verb(verb: str, where: Places) -> int:
    """The exit code, after the termination message is written."""
    try:
        # Only the verb's own module is loaded: `upload` needs no scikit-learn session, `train` no store.
        message = getattr(importlib.import_module(f"plimsoll_training.{verb}"), verb)(where)
    except UserError as error:
        write_termination(where.termination, error_message(error.reason, str(error)))
        return 2
    except StoreError as error:
        write_termination(where.termination, error_message("StoreUnavailable", str(error)))
        return 1
    except Exception as error:
        traceback.print_exc()
        write_termination(where.termination, error_message("InternalError", f"{type(error).__name__}: {error}"))
        return 1
    if message is not None:
        write_termination(where.termination, message)
    say(f"{verb}: done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
