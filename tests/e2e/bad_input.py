"""Reading the table of bad input, and bringing its rows about in a cluster."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core.run import run_hash

from demo import store
from demo.shell import Kubernetes
from tests.builders import onnx_models
from tests.integration.api.apiserver import varied

TABLE = yaml.safe_load((Path(__file__).parent / "bad_input.yaml").read_text())
ROWS: list[dict[str, Any]] = TABLE["rows"]
PATIENCE = 400.0
SETTLED = 60.0
#: What is random or of this moment in a sentence.
SOFTENED = [
    (r"\b0/\d+ nodes are available: .*?(?=[;.] (?:ask|Ask) for less)", "{scheduler}"),
    (r"-(train|publish|verify)-[a-z0-9]{5}\b", r"-\1-{pod}"),
    # The hash of a pod template is a number of one to ten figures.
    (r"\{revision\}-[a-z0-9]{1,10}-[a-z0-9]{5}\b", "{pod}"),
    (r"\d+(?= (?:restarts|tries))", "{n}"),
]


def files() -> dict[str, bytes]:
    """What lies in the bucket of the namespace."""
    weights = {columns: onnx_models.weights(columns, 3) for columns in (4, 5)}
    good = onnx_models.linear_classifier(*weights[4])
    return {
        "rows.csv": b"x,y,target\n" + b"".join(b"%d,%d,%d\n" % (n, n * n, n % 2) for n in range(40)),
        "good.onnx": good,
        "gone.onnx": onnx_models.linear_classifier(weights[4][0], weights[4][1] + 1),
        "wider.onnx": onnx_models.linear_classifier(*weights[5]),
        "text.onnx": b"no model",
        "external.onnx": _with_external_weights(good),
    }


def _with_external_weights(model: bytes) -> bytes:
    loaded = onnx.load_model_from_string(model)
    for tensor in loaded.graph.initializer:
        if tensor.name == "coefficients":
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="/etc/passwd")
    return bytes(loaded.SerializeToString())


@dataclass(frozen=True)
class Place:
    """Where the rows happen. `words` fill the table's braces."""

    kubernetes: Kubernetes
    namespace: str
    words: Mapping[str, Any]

    # --- bringing about -----------------------------------------------------------------------------------------------

    def apply(self, manifests: list[dict[str, Any]]) -> None:
        """As a user does, all in one go."""
        items = [self.manifest(one) for one in manifests]
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.kubernetes.kubectl("apply", "--server-side", "-f", "-", stdin=listed)

    def manifest(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """A manifest as it is, or a variation of the base of its kind."""
        if "apiVersion" in written:
            found: dict[str, Any] = self.filled(written)
            return found
        name, changes = written["name"], dict(written.get("set", {}))
        model = re.sub(r"-v\d+$", "", name)
        own = {"TrainingJob": {"spec.model": model}, "ModelVersion": {"spec.model": model}}
        changes = own.get(written["kind"], {"spec.model.name": model}) | {"metadata.name": name} | changes
        if file := written.get("file"):
            artifact = {"uri": f"s3://plimsoll-{{namespace}}/{file}", "sha256": f"{{{file}}}"}
            changes["spec.artifact"] = artifact | {"sizeBytes": f"{{{file} size}}"}
        made: dict[str, Any] = self.filled(varied(TABLE["bases"][written["kind"]], {"set": changes}))
        return made

    def filled(self, value: Any) -> Any:
        """With the words in their places; a text that is one word only becomes that word, whatever its type."""
        if isinstance(value, Mapping):
            return {key: self.filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.filled(one) for one in value]
        if not isinstance(value, str):
            return value
        if value[1:-1] in self.words and value == f"{{{value[1:-1]}}}":
            return self.words[value[1:-1]]
        for word, meaning in self.words.items():
            value = value.replace(f"{{{word}}}", str(meaning))
        return value

    def step(self, step: Mapping[str, Any]) -> None:
        """One of: await a condition, apply, delete a file, give a command."""
        if "await" in step:
            self.told(step["await"], step["await"]["told"])
        elif "apply" in step:
            self.apply(step["apply"])
        elif "delete" in step:
            with store.bucket(self.kubernetes, self.namespace) as bucket:
                bucket.delete(step["delete"])
        else:
            command = {"id": str(time.time_ns()), "verb": step["command"]["verb"], "by": self.words["user"]}
            annotation = f"plimsoll.dev/command={json.dumps(command)}"
            self.kubernetes.kubectl(
                "-n", self.namespace, "annotate", "--overwrite", "inf", step["command"]["name"], annotation
            )

    # --- what is said -------------------------------------------------------------------------------------------------

    def told(self, of: Mapping[str, Any], condition: list[str], says: str | None = None) -> str:
        """The message of the condition once it has this status and reason. Fails with what it has instead.

        Another sentence than ``says`` may stand there for SETTLED seconds: the next pass may know more.
        """
        first: float | None = None
        deadline, namespace = time.monotonic() + PATIENCE, self.filled(of.get("namespace", self.namespace))
        while True:
            found = self.kubernetes.get(of["kind"], of["name"], namespace)
            # Of the manifest as it is now; some have no generation yet.
            now = found.get("metadata", {}).get("generation")
            said = [
                one
                for one in found.get("status", {}).get("conditions", [])
                if one.get("observedGeneration", now) == now
            ]
            for one in said:
                if [one["type"], one["status"], one["reason"]] == condition:
                    message = self.softened(found, one["message"])
                    first = first or time.monotonic()
                    if says in (None, message) or time.monotonic() > first + SETTLED:
                        return message
            if time.monotonic() > deadline:
                has = "\n".join(f"{one['type']}={one['status']} {one['reason']}: {one['message']}" for one in said)
                pytest.fail(f"{of['kind']} {of['name']}: not {' '.join(condition)} after {PATIENCE:g} s, but\n{has}")
            time.sleep(0.5)

    def softened(self, found: Mapping[str, Any], message: str) -> str:
        """The message with what is random in braces."""
        status = found["status"]
        revisions = [one for one in (status.get("candidate"), *status.get("quarantine", ())) if one]
        for revision in revisions:
            message = message.replace(revision["revision"], "{revision}")
        if run := status.get("run"):
            message = message.replace(f"{found['metadata']['name']}-{run[:8]}", f"{found['metadata']['name']}-{{run}}")
        for pattern, word in SOFTENED:
            message = re.sub(pattern, word, message)
        return message


def words(kubernetes: Kubernetes, namespace: str, elsewhere: str, image: str) -> dict[str, Any]:
    """What fills the table's braces."""
    content = files()
    asked = varied(TABLE["bases"]["TrainingJob"], {"set": {"spec.model": "taken"}})["spec"]
    told = json.loads(kubernetes.kubectl("auth", "whoami", "-o", "json"))
    return {
        "namespace": namespace,
        "elsewhere": elsewhere,
        "image": image,
        "user": told["status"]["userInfo"]["username"],
        "run of taken": run_hash(TrainingJobSpec.model_validate(asked))[:8],
        **{name: hashlib.sha256(body).hexdigest() for name, body in content.items()},
        **{f"{name} size": len(body) for name, body in content.items()},
    }
