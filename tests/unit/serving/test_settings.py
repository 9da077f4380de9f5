"""The environment of the contract, and what is said when it is wrong."""

from pathlib import Path

import pytest
from plimsoll_serving import memory, settings
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.logs import trace_id
from plimsoll_serving.settings import Settings

REQUIRED = {"PLIMSOLL_MODEL_NAME": "digits", "PLIMSOLL_MODEL_VERSION": "7", "PLIMSOLL_ARTIFACT_SHA256": "ab" * 32}


def test_the_defaults_are_those_of_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP_V2_LIMIT", tmp_path / "none")
    monkeypatch.setattr(memory, "CGROUP_V1_LIMIT", tmp_path / "none")
    read = Settings.from_environment(REQUIRED)
    assert (read.public_port, read.direct_port, read.metrics_port) == (8080, 8083, 8082)
    assert (read.grpc_port, read.grpc_direct_port) == (8081, 8084)
    assert (read.model_dir, read.route_path) == (Path("/plimsoll/model"), Path("/plimsoll/route/route.json"))
    assert (read.limits.body_bytes, read.drain_seconds, read.log_level) == (33554432, 10.0, "info")
    assert (read.connection_seconds, read.limits.read_seconds) == (60.0, 30.0)
    assert (read.mirror.queue, read.mirror.concurrency, read.mirror.buffered_bytes) == (256, 32, 33554432)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PLIMSOLL_MODEL_NAME", "", "PLIMSOLL_MODEL_NAME is not set; see --help for what it means"),
        ("PLIMSOLL_ARTIFACT_SHA256", "abc", "PLIMSOLL_ARTIFACT_SHA256 is 'abc', not a SHA-256 in 64 hex digits"),
        ("PLIMSOLL_PUBLIC_PORT", "http", "PLIMSOLL_PUBLIC_PORT is 'http', not a number"),
        ("PLIMSOLL_PUBLIC_PORT", "70000", "PLIMSOLL_PUBLIC_PORT is 70000, outside 0 to 65535"),
        ("PLIMSOLL_DRAIN_SECONDS", "nan", "PLIMSOLL_DRAIN_SECONDS is nan, outside 0.0 to 86400.0"),
        ("PLIMSOLL_LOG_LEVEL", "loud", "PLIMSOLL_LOG_LEVEL is 'loud', not one of debug, info, warning, error"),
        ("PLIMSOLL_ACCESS_LOG", "yes", "PLIMSOLL_ACCESS_LOG is 'yes', not a share of requests from 0 to 1"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({**REQUIRED, name: value})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("content", "cpus"), [("150000 100000", 1), ("max 100000", None), ("10000 100000", 1)])
def test_threads_follow_the_quota_of_the_cgroup(
    content: str, cpus: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(content + "\n")
    monkeypatch.setattr(settings, "CGROUP_V2_QUOTA", quota)
    monkeypatch.setattr(settings, "CGROUP_V1_QUOTA", tmp_path / "none")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    assert settings.cpu_quota() == (6 if cpus is None else cpus)


@pytest.mark.parametrize(
    ("content", "size"),
    [("536870912", 8 << 20), ("max", 32 << 20), ("9223372036854771712", 32 << 20), ("134217728", 2 << 20)],
)
def test_the_largest_body_is_a_share_of_the_memory(
    content: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(content + "\n")
    monkeypatch.setattr(memory, "CGROUP_V2_LIMIT", limit)
    assert Settings.from_environment(REQUIRED).limits.body_bytes == size


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
        (b"00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        (b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
        (b"rubbish", None),
        (None, None),
    ],
)
def test_only_a_valid_trace_context_gives_a_trace_id(header: bytes | None, trace: str | None) -> None:
    assert trace_id(header) == trace
