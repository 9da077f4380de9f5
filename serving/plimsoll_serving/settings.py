"""Settings of the server, read once from the environment."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plimsoll_serving import memory
from plimsoll_serving.artifact import MODEL_FILE, PROFILE_FILE
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.http.limits import LONGEST_WINDOW_SECONDS, MOST_BATCH_ROWS, Bounds, Limits
from plimsoll_serving.payload.options import PayloadOptions
from plimsoll_serving.shadow.limits import MirrorLimits

CGROUP_V2_QUOTA = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
CGROUP_V1_PERIOD = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
LOG_LEVELS = ("debug", "info", "warning", "error")


class Environment:
    """Typed access to variables; every error names the variable and what it takes."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def required(self, name: str) -> str:
        value = self._values.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set; see --help for what it means")
        return value

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name) or default

    def integer(self, name: str, default: int, low: int = 0, high: int = 2**40) -> int:
        return int(self._number(name, default, low, high, int))

    def seconds(self, name: str, default: float, low: float = 0.0, high: float = 86400.0) -> float:
        return self._number(name, default, low, high, float)

    def share(self, name: str) -> float:
        """A share of requests, 0 by default."""
        raw = self.text(name, "0")
        try:
            share = float(raw)
        except ValueError:
            share = -1.0
        if not 0.0 <= share <= 1.0:
            raise SettingsError(f"{name} is {raw!r}, not a share of requests from 0 to 1")
        return share

    def port(self, name: str, default: int) -> int:
        return self.integer(name, default, 0, 65535)

    def digest(self, name: str) -> str:
        value = self.required(name).lower().removeprefix("sha256:")
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise SettingsError(f"{name} is {value!r}, not a SHA-256 in 64 hex digits")
        return value

    def _number(self, name: str, default: float, low: float, high: float, kind: type) -> float:
        raw = self._values.get(name, "")
        try:
            value = kind(raw) if raw else default
        except ValueError:
            raise SettingsError(f"{name} is {raw!r}, not a number") from None
        if not low <= value <= high:
            raise SettingsError(f"{name} is {raw}, outside {low} to {high}")
        return float(value)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose model this process serves: the values of labels, headers and log lines."""

    model: str
    version: str
    revision: str
    service: str
    namespace: str
    pod: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the server is told; durations in seconds, sizes in bytes."""

    identity: Identity
    sha256: str
    profile_sha256: str | None
    model_dir: Path
    model_file: str
    profile_file: str
    route_path: Path
    host: str
    public_port: int
    direct_port: int
    metrics_port: int
    grpc_port: int
    grpc_direct_port: int
    limits: Limits
    mirror: MirrorLimits
    connection_seconds: float
    intra_op_threads: int
    workers: int
    execution_providers: tuple[str, ...]
    bounds: Bounds
    drain_seconds: float
    log_level: str
    access_log: float
    cors_origins: tuple[str, ...]
    model_control: bool
    counted_features: int
    counted_rows_per_second: int
    feedback_key_file: Path | None
    feedback_max_age: int
    payload_log: PayloadOptions

    @classmethod
    def from_environment(cls, values: Mapping[str, str]) -> "Settings":
        """Read the settings. Raises SettingsError naming the first variable at fault."""
        env = Environment(values)
        profiled = env.text("PLIMSOLL_PROFILE_SHA256")
        limits = _limits(env)
        threads = env.integer("PLIMSOLL_INTRA_OP_THREADS", cpu_quota(), 1, 1024)
        key_file = env.text("PLIMSOLL_FEEDBACK_KEY_FILE")
        workers = env.integer("PLIMSOLL_WORKERS", max(2, threads), 1, 256)
        return cls(
            identity=_identity(env),
            sha256=env.digest("PLIMSOLL_ARTIFACT_SHA256"),
            profile_sha256=env.digest("PLIMSOLL_PROFILE_SHA256") if profiled else None,
            model_dir=Path(env.text("PLIMSOLL_MODEL_DIR", "/plimsoll/model")),
            model_file=env.text("PLIMSOLL_MODEL_FILE", MODEL_FILE),
            profile_file=env.text("PLIMSOLL_PROFILE_FILE", PROFILE_FILE),
            route_path=Path(env.text("PLIMSOLL_ROUTE_PATH", "/plimsoll/route/route.json")),
            host=env.text("PLIMSOLL_HOST", "0.0.0.0"),  # noqa: S104 - a pod listens on its own address
            public_port=env.port("PLIMSOLL_PUBLIC_PORT", 8080),
            direct_port=env.port("PLIMSOLL_DIRECT_PORT", 8083),
            metrics_port=env.port("PLIMSOLL_METRICS_PORT", 8082),
            limits=limits,
            mirror=_mirror(env, limits.body_bytes),
            grpc_port=env.port("PLIMSOLL_GRPC_PORT", 8081),
            grpc_direct_port=env.port("PLIMSOLL_GRPC_DIRECT_PORT", 8084),
            connection_seconds=env.seconds("PLIMSOLL_CONNECTION_SECONDS", 60.0, 0.1),
            intra_op_threads=threads,
            workers=workers,
            execution_providers=_providers(env),
            bounds=_bounds(env, workers),
            drain_seconds=env.seconds("PLIMSOLL_DRAIN_SECONDS", 10.0),
            log_level=_log_level(env),
            access_log=env.share("PLIMSOLL_ACCESS_LOG"),
            counted_features=env.integer("PLIMSOLL_COUNTED_FEATURES", 50, 0, 10000),
            counted_rows_per_second=env.integer("PLIMSOLL_COUNTED_ROWS_PER_SECOND", 10000, 4),
            feedback_key_file=Path(key_file) if key_file else None,
            feedback_max_age=env.integer("PLIMSOLL_FEEDBACK_MAX_AGE_SECONDS", 30 * 86400, 1, 3650 * 86400),
            payload_log=PayloadOptions.read(env),
            cors_origins=_cors_origins(env),
            model_control=_model_control(env),
        )


def _identity(env: Environment) -> Identity:
    model = env.required("PLIMSOLL_MODEL_NAME")
    return Identity(
        model=model,
        version=env.required("PLIMSOLL_MODEL_VERSION"),
        revision=env.text("PLIMSOLL_REVISION", model),
        service=env.text("PLIMSOLL_SERVICE", model),
        namespace=env.text("PLIMSOLL_NAMESPACE", "default"),
        pod=env.text("PLIMSOLL_POD", os.uname().nodename),
    )


def _providers(env: Environment) -> tuple[str, ...]:
    names = [name.strip() for name in env.text("PLIMSOLL_EXECUTION_PROVIDERS", "CPUExecutionProvider").split(",")]
    return tuple(name for name in names if name)


def _bounds(env: Environment, workers: int) -> Bounds:
    return Bounds(
        rows=env.integer("PLIMSOLL_MAX_BATCH_ROWS", 1024, 1, MOST_BATCH_ROWS),
        window=env.seconds("PLIMSOLL_BATCH_WINDOW_SECONDS", 0.0, high=LONGEST_WINDOW_SECONDS),
        queue=env.integer("PLIMSOLL_MAX_QUEUE", 1024, 1),
        queue_seconds=env.seconds("PLIMSOLL_MAX_QUEUE_SECONDS", 1.0),
        workers=workers,
    )


def _limits(env: Environment) -> Limits:
    body = env.integer("PLIMSOLL_MAX_BODY_BYTES", memory.body_bytes(), 1)
    return Limits(
        header_bytes=env.integer("PLIMSOLL_MAX_HEADER_BYTES", 32 * 1024, 256),
        body_bytes=body,
        buffered_bytes=env.integer("PLIMSOLL_MAX_BUFFERED_BYTES", 4 * body, 1),
        connections=env.integer("PLIMSOLL_MAX_CONNECTIONS", 4096, 1),
        read_seconds=env.seconds("PLIMSOLL_READ_TIMEOUT_SECONDS", 30.0, 0.1),
        idle_seconds=env.seconds("PLIMSOLL_IDLE_TIMEOUT_SECONDS", 60.0, 0.1),
    )


def _mirror(env: Environment, body_bytes: int) -> MirrorLimits:
    return MirrorLimits(
        queue=env.integer("PLIMSOLL_MIRROR_QUEUE", 256, 0),
        buffered_bytes=env.integer("PLIMSOLL_MIRROR_BYTES", body_bytes, 0),
        concurrency=env.integer("PLIMSOLL_MIRROR_CONCURRENCY", 32, 1, 1024),
    )


def _log_level(env: Environment) -> str:
    level = env.text("PLIMSOLL_LOG_LEVEL", "info").lower()
    if level not in LOG_LEVELS:
        raise SettingsError(f"PLIMSOLL_LOG_LEVEL is {level!r}, not one of {', '.join(LOG_LEVELS)}")
    return level


def _cors_origins(env: Environment) -> tuple[str, ...]:
    origins = [origin.strip().rstrip("/") for origin in env.text("PLIMSOLL_CORS_ORIGINS").split(",")]
    for origin in origins:
        if origin not in ("", "*") and not ORIGIN.fullmatch(origin):
            raise SettingsError(f"PLIMSOLL_CORS_ORIGINS has {origin!r}, not * or an origin such as https://app.example")
    return tuple(origin for origin in origins if origin)


def _model_control(env: Environment) -> bool:
    mode = env.text("PLIMSOLL_MODEL_CONTROL", "none")
    if mode not in ("none", "explicit"):
        raise SettingsError(f"PLIMSOLL_MODEL_CONTROL is {mode!r}, not none or explicit")
    return mode == "explicit"


def cpu_quota() -> int:
    """CPUs this container may use: the cgroup's quota, else the CPUs of the affinity mask; at least 1."""
    quota = _quota_v2() or _quota_v1()
    available = len(os.sched_getaffinity(0))
    return max(1, min(available, math.floor(quota)) if quota else available)


def _quota_v2() -> float | None:
    if not CGROUP_V2_QUOTA.is_file():
        return None
    quota, period = CGROUP_V2_QUOTA.read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1() -> float | None:
    if not (CGROUP_V1_QUOTA.is_file() and CGROUP_V1_PERIOD.is_file()):
        return None
    quota = int(CGROUP_V1_QUOTA.read_text())
    return None if quota <= 0 else quota / int(CGROUP_V1_PERIOD.read_text())
