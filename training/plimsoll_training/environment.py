"""Where a container finds its run, inputs and outputs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    run: Path
    inputs: Path
    output: Path
    termination: Path

    @property
    def training_csv(self) -> Path:
        return self.inputs / "training.csv"

    @property
    def handed_run(self) -> Path:
        return self.inputs / "run.json"

    @property
    def model(self) -> Path:
        return self.output / "model.onnx"


def places(environment: Mapping[str, str] | None = None) -> Places:
    given = os.environ if environment is None else environment
    return Places(
        run=Path(given.get("PLIMSOLL_RUN", "/plimsoll/run/run.json")),
        inputs=Path(given.get("PLIMSOLL_INPUTS", "/plimsoll/inputs")),
        output=Path(given.get("PLIMSOLL_OUTPUT", "/plimsoll/output")),
        termination=Path(given.get("PLIMSOLL_TERMINATION_LOG", "/dev/termination-log")),
    )
