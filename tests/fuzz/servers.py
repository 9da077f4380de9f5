"""The servers that are attacked, by the name that targets have for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plimsoll_serving.feedback.token import Signer

from tests.builders import echo_models
from tests.fuzz.corpus_types import CLASSES, TYPES
from tests.fuzz.pool import hosting
from tests.integration.serving.harness import MODEL, RIGHT, Server

#: So that the same case is the same bytes each time.
KEY = b"a key for the fuzzer alone"
SIGNED_AT = 1_790_000_000
LONGEST_AGE = str(3650 * 86400)


def attacked(folder: Path) -> dict[str, Server]:
    """A classifier, models of every datatype, one that answers dictionaries, and a pool of them all."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "key"
    key.write_bytes(KEY)
    env = {
        "PLIMSOLL_READ_TIMEOUT_SECONDS": "2",
        "PLIMSOLL_FEEDBACK_KEY_FILE": str(key),
        "PLIMSOLL_FEEDBACK_MAX_AGE_SECONDS": LONGEST_AGE,
    }
    models = {
        "classifier": RIGHT,
        "types": echo_models.of_every_type(TYPES),
        "bf16": echo_models.of_bf16(),
        "classes": echo_models.of_classes(CLASSES),
    }
    servers = {name: Server(folder / name, model, f"fuzzed-{name}", **env) for name, model in models.items()}
    return servers | {"pool": hosting(folder / "pool", **env, PLIMSOLL_MODEL_CONTROL="explicit")}


def prediction_id() -> str:
    """Of an answer of one row of the classifier."""
    signer = Signer([KEY], f"default/{MODEL}", (MODEL, "1", "fuzzed-classifier"), start=1)
    return signer.sign(np.array([1]), SIGNED_AT).decode()
