"""What the CRDs allow of batching and payload logs is what the server reads: in pods of their own, and in a pool."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll.api.runtime import Batching, Runtime
from plimsoll.core import serving_env
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.http.limits import Bounds
from plimsoll_serving.pool.document import Files, parse
from plimsoll_serving.route import RouteError
from plimsoll_serving.settings import Settings

from tests.builders.pool import CONFIG_MAP, PoolLife, member, model, pool

REQUIRED = {"PLIMSOLL_MODEL_NAME": "digits", "PLIMSOLL_MODEL_VERSION": "7", "PLIMSOLL_ARTIFACT_SHA256": "ab" * 32}
LEAST, MOST = {"maxBatchSize": 1, "maxDelayMilliseconds": 0}, {"maxBatchSize": 65536, "maxDelayMilliseconds": 1000}


def bounds(asked: dict[str, Any]) -> Bounds:
    """Of a server whose pod was rendered for such a runtime."""
    runtime = Runtime.model_validate({"batching": asked})
    return Settings.from_environment({**REQUIRED, **serving_env.batching(runtime.batching)}).bounds


def in_a_pool(**asked: Any) -> Files:
    """What a pool's server reads of the document that the operator writes for such a service."""
    service = member("a")
    service["spec"]["runtime"] |= asked
    life = PoolLife(pool(), model("a", 1), service)
    life.until("a", "Idle")
    (files,) = parse(life.cluster.read(CONFIG_MAP)["data"]["a.json"].encode()).revisions.values()
    return files


def test_the_servers_own_defaults_hold_where_nothing_is_said() -> None:
    default = Settings.from_environment(REQUIRED).bounds
    assert bounds({}) == default
    assert (default.rows, default.window) == (1024, 0.0), "as the description of the fields says"
    files = in_a_pool()
    assert (files.max_batch_size, files.max_delay, files.payload_log) == (None, None, None)


@pytest.mark.parametrize("asked", [LEAST, MOST, {"maxBatchSize": 48}, {"maxDelayMilliseconds": 5}], ids=str)
def test_what_is_said_is_what_the_server_does(asked: dict[str, Any]) -> None:
    read, files = bounds(asked), in_a_pool(batching=asked)
    assert read.rows == asked.get("maxBatchSize", 1024)
    assert read.window == asked.get("maxDelayMilliseconds", 0) / 1000
    assert (files.max_batch_size, files.max_delay) == (
        asked.get("maxBatchSize"),
        asked["maxDelayMilliseconds"] / 1000 if "maxDelayMilliseconds" in asked else None,
    )


@pytest.mark.parametrize("field", ["maxBatchSize", "maxDelayMilliseconds"])
@pytest.mark.parametrize(("end", "step"), [(LEAST, -1), (MOST, 1)], ids=["below", "above"])
def test_the_server_refuses_the_next_value_beyond_the_crds_bounds(field: str, end: dict[str, int], step: int) -> None:
    beyond = end[field] + step
    with pytest.raises(ValueError, match=field):
        Batching.model_validate({field: beyond})
    names = {"maxBatchSize": "PLIMSOLL_MAX_BATCH_ROWS", "maxDelayMilliseconds": "PLIMSOLL_BATCH_WINDOW_SECONDS"}
    value = str(beyond) if field == "maxBatchSize" else str(beyond / 1000)
    with pytest.raises(SettingsError, match=names[field]):
        Settings.from_environment({**REQUIRED, names[field]: value})
    text = f'{{"epoch": 1, "revisions": {{"a": {{"version": "1", "batching": {{"{field}": {beyond}}}}}}}}}'
    with pytest.raises(RouteError, match=f"batching.{field} is {beyond}"):
        parse(text.encode())


def test_a_payload_log_reads_the_same_in_both_modes() -> None:
    asked = {"samplePercent": 2.5, "sink": "https://broker.demo.svc:8080/events?a=b", "mask": ["income", "age"]}
    env = serving_env.payload_log(Runtime.model_validate({"payloadLog": asked}).payload_log)
    alone, pooled = Settings.from_environment({**REQUIRED, **env}).payload_log, in_a_pool(payloadLog=asked).payload_log
    assert alone == pooled
    assert alone.share == 0.025
