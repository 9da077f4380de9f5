"""Values: each is described, typed and checked; what is wrong is refused with a sentence that names it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.integration.chart.rendering import CHART, helm, refusal

VALUES = (CHART / "values.yaml").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
#: What these hold is Kubernetes' to describe.
WHOLE = {"resources", "store.resources", "nodeSelector", "tolerations"}
WRONG = [
    ("foo=1", "at '': additional properties 'foo' not allowed"),
    ("image.serving.foo=1", "at '/image/serving': additional properties 'foo' not allowed"),
    ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"),
    ("replicas=9", "at '/replicas': maximum: got 9, want 5"),
    ("logLevel=loud", "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
    (
        "watchNamespaces={Demo_A}",
        "at '/watchNamespaces/0': 'Demo_A' does not match pattern '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'",
    ),
    ("watchNamespaces={one,one}", "at '/watchNamespaces': items at 0 and 1 are equal"),
    ("resources.limits=null", "at '/resources': missing property 'limits'"),
    ("crds.install=1", "at '/crds/install': got number, want boolean"),
    ("rbac.userRoles=maybe", "at '/rbac/userRoles': got string, want boolean"),
    ("admissionPolicies.foo=1", "at '/admissionPolicies': additional properties 'foo' not allowed"),
    ("store.size=ten", "at '/store/size': 'ten' does not match pattern '^[0-9]+(Mi|Gi|Ti)$'"),
    (
        "store.external.endpoint=s3.example.org",
        "at '/store/external/endpoint': 's3.example.org' does not match pattern '^(https?://.+)?$'",
    ),
    ("metrics.serviceMonitor=1", "at '/metrics/serviceMonitor': got number, want boolean"),
]


def leaves(values: dict[str, Any], at: str = "") -> Iterator[str]:
    """Paths of the values that a user sets."""
    for key, value in values.items():
        path = f"{at}.{key}".lstrip(".")
        if isinstance(value, dict) and value and path not in WHOLE:
            yield from leaves(value, path)
        else:
            yield path


def schema_of(path: str) -> dict[str, Any]:
    """The schema at a path. Raises KeyError when there is none."""
    schema: dict[str, Any] = SCHEMA
    for key in path.split("."):
        schema = schema["properties"][key]
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


@pytest.mark.parametrize("path", list(leaves(yaml.safe_load(VALUES))))
def test_every_value_has_a_type_in_the_schema(path: str) -> None:
    assert {"type", "enum"} & set(schema_of(path))


def test_every_value_is_described_by_a_comment() -> None:
    lines = VALUES.splitlines()
    settings = [(number, line) for number, line in enumerate(lines) if re.match(r"\s*\w+: *\S", line)]
    undescribed = [line for number, line in settings if not lines[number - 1].lstrip().startswith("#")]
    assert settings
    assert undescribed == []


def test_the_schema_knows_no_value_that_is_not_in_the_values() -> None:
    def known(schema: dict[str, Any], values: Any, at: str) -> None:
        for key, part in schema.get("properties", {}).items():
            assert key in values, f"{at}.{key}"
            if isinstance(values[key], dict) and "properties" in part:
                known(part, values[key], f"{at}.{key}")

    # Helm itself hands `global` to every chart.
    known(SCHEMA, yaml.safe_load(VALUES) | {"global": {}}, "")


@pytest.mark.parametrize(("value", "sentence"), WRONG, ids=[value for value, _ in WRONG])
def test_a_wrong_value_is_refused(value: str, sentence: str) -> None:
    assert sentence in refusal(value)


def test_an_external_store_needs_its_endpoint() -> None:
    sentence = "store.external.endpoint: give the URL of your S3 service, or set store.install to true"
    assert sentence in refusal("store.install=false", "store.existingSecret=mine")


def test_an_external_store_needs_a_secret() -> None:
    sentence = "store.existingSecret: name a Secret with accessKeyId and secretAccessKey for store.external.endpoint"
    assert sentence in refusal("store.install=false", "store.external.endpoint=https://s3.example.org")


def test_helm_finds_nothing_to_complain_about() -> None:
    done = subprocess.run([helm(), "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
