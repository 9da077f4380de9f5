"""Settings of a pool's server, read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plimsoll_serving import memory
from plimsoll_serving.pool.document import Files
from plimsoll_serving.settings import Environment, Identity, Settings, cpu_quota

# Of the memory limit; the rest is for requests, answers and what a run takes besides.
MODELS_SHARE = 0.5
WITHOUT_LIMIT_BYTES = 1 << 30
LARGEST_BYTES = 1 << 44
_NO_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """``common`` is what every model's settings are made from; sizes in bytes."""

    pool: str
    common: Settings
    documents: Path
    folder: Path
    memory_bytes: int

    @classmethod
    def from_environment(cls, values: Mapping[str, str]) -> "PoolSettings":
        """Read the settings. Raises SettingsError naming the first variable at fault."""
        env = Environment(values)
        pool = env.text("PLIMSOLL_POOL", "pool")
        limit = memory.memory_limit()
        # Older cgroups write a number that no machine has where there is no limit.
        default = int(limit * MODELS_SHARE) if limit and limit < LARGEST_BYTES else WITHOUT_LIMIT_BYTES
        return cls(
            pool=pool,
            common=_common(values, pool),
            documents=Path(env.text("PLIMSOLL_POOL_DOCUMENTS", "/plimsoll/models")),
            folder=Path(env.text("PLIMSOLL_POOL_DIR", "/plimsoll/pool")),
            memory_bytes=env.integer("PLIMSOLL_POOL_MEMORY_BYTES", default, 1 << 20, LARGEST_BYTES),
        )


def _common(values: Mapping[str, str], pool: str) -> Settings:
    """One thread an inference, for each of hundreds of models would have threads of its own; a quarter of the workers
    each.

    So a service that keeps all its shares busy, the stable version's and the candidate's, leaves half to the others.
    """
    env = Environment(values)
    workers = env.integer("PLIMSOLL_WORKERS", max(4, 2 * cpu_quota()), 2, 256)
    threads = env.integer("PLIMSOLL_INTRA_OP_THREADS", 1, 1, 1024)
    of_no_model = {
        "PLIMSOLL_MODEL_NAME": pool, "PLIMSOLL_MODEL_VERSION": "0", "PLIMSOLL_ARTIFACT_SHA256": _NO_DIGEST,
        "PLIMSOLL_PROFILE_SHA256": "", "PLIMSOLL_WORKERS": str(workers), "PLIMSOLL_INTRA_OP_THREADS": str(threads),
    }  # fmt: skip
    settings = Settings.from_environment({**values, **of_no_model})
    return replace(settings, bounds=replace(settings.bounds, workers=max(1, workers // 4)))


def of_revision(settings: PoolSettings, identity: Identity, files: Files) -> Settings:
    """The settings of one model: the pod's, but for what its service says itself."""
    common = settings.common
    bounds = replace(
        common.bounds,
        rows=common.bounds.rows if files.max_batch_size is None else files.max_batch_size,
        window=common.bounds.window if files.max_delay is None else files.max_delay,
    )
    return replace(
        common,
        identity=identity,
        sha256=files.artifact.sha256,
        profile_sha256=files.profile.sha256 if files.profile else None,
        model_dir=settings.folder / identity.revision,
        bounds=bounds,
        payload_log=files.payload_log or common.payload_log,
    )
