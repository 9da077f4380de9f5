"""The servers: what each speaks, and the settings that its documentation calls best on one core."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plimsoll_serving import __version__

from bench.serving import launches
from bench.serving.environments import pinned
from bench.serving.models import ModelFile
from bench.serving.process import Launch
from bench.serving.works import Protocol

OURS = "plimsoll"
LIMIT = "raw-onnxruntime"


@dataclass(frozen=True, slots=True)
class Server:
    """``launch(model, build, folder)`` writes what the server needs into the folder and says how it is started."""

    name: str
    version: str
    protocols: frozenset[Protocol]
    settings: str
    launch: Callable[[ModelFile, Path, Path], Launch]


SETTINGS = {
    OURS: "as in production: metrics and bins counted, log level info, one thread, `PYTHONOPTIMIZE=2` as in the image "
    "(3 MB less); no setting changed for speed",
    "mlserver": "custom runtime (it has none for ONNX), `parallel_workers: 0` (one core), `debug: false`, gzip off, no "
    "adaptive batching (neither that nor a parallel worker was faster here), uvloop",
    "kserve": "custom model of its Python server, one worker, uvloop, latency and access logs off, orjson",
    "bentoml": "async method on the V2 path, `workers=1`, access log off, uvloop and httptools",
    "litserve": "one worker and one API server on the V2 path, `fast_queue`, `max_batch_size=64`, "
    "`batch_timeout=0.005`, the best of those tried; uvloop and httptools",
    "fastapi": "raw body and orjson, inference on the event loop, uvicorn with uvloop and httptools, access log off",
}
FORMS = {
    "compiled": "hot modules compiled by mypyc, as the image ships it",
    "plain": "**not compiled**, where the image is",
}
_SPOKEN = {
    OURS: frozenset(Protocol),
    "mlserver": frozenset({Protocol.JSON, Protocol.GRPC}),
    "kserve": frozenset(Protocol),
}
_LAUNCH = {
    OURS: launches.plimsoll,
    "mlserver": launches.mlserver,
    "kserve": launches.kserve,
    "bentoml": launches.bentoml,
    "litserve": launches.litserve,
    "fastapi": launches.fastapi,
}


def servers() -> list[Server]:
    """All that are measured, ours first."""
    json_only = frozenset({Protocol.JSON})
    return [
        Server(name, _version(name), _SPOKEN.get(name, json_only), _settings(name), launch)
        for name, launch in _LAUNCH.items()
    ]


def _settings(name: str) -> str:
    return f"{SETTINGS[name]}; {FORMS[form_of(launches.sources())]}" if name == OURS else SETTINGS[name]


@cache
def form_of(sources: Path) -> str:
    """What a server that runs from there says of itself: ``compiled`` or ``plain``."""
    command = [sys.executable, "-c", "from plimsoll_serving import build; print(build.code())"]
    environment = launches.environment_of(sys.executable, sources)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def _version(name: str) -> str:
    return __version__ if name == OURS else pinned(name, name)
