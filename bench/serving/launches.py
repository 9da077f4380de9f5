"""How each server is started: its command, its environment, and the files that it reads, written into its folder."""

import json
import os
import sys
from pathlib import Path

from bench.serving import environments
from bench.serving.models import NAME, ModelFile
from bench.serving.process import Launch, free_port

PEERS = Path(__file__).parent / "peers"
HOST = "127.0.0.1"


def environment_of(python: str, path: Path | None = None) -> dict[str, str]:
    """A small environment: nothing of the caller's settings reaches a server. No telemetry leaves."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    bin_folder = str(Path(python).parent)
    return {
        **kept,
        "PATH": f"{bin_folder}:{kept.get('PATH', '')}",
        "PYTHONPATH": str(path or PEERS),
        "ORT_DISABLE_TELEMETRY": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "LITSERVE_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _peer(name: str, model: ModelFile, build: Path, port: int) -> tuple[str, dict[str, str]]:
    python = str(environments.python_of(name, build))
    told = {"BENCH_MODEL": str(model.path.absolute()), "BENCH_MODEL_NAME": NAME, "BENCH_PORT": str(port)}
    return python, environment_of(python) | told


def sources() -> Path:
    """The source root that this server runs from: ``PLIMSOLL_SERVING``, below the checkout, is the compiled one."""
    return Path(__file__).parents[2] / os.environ.get("PLIMSOLL_SERVING", "serving")


def plimsoll(model: ModelFile, build: Path, folder: Path) -> Launch:
    """As in production: the model's profile beside it, so that bins are counted; logs as they are by default."""
    return plimsoll_process(model, folder, "bench-1", {})


def plimsoll_process(model: ModelFile, folder: Path, revision: str, extra: dict[str, str]) -> Launch:
    """One process of this server; ``extra`` are further settings."""
    public, direct, metrics, grpc, grpc_direct = (free_port() for _ in range(5))
    env = environment_of(sys.executable, sources()) | {
        "PYTHONDONTWRITEBYTECODE": "",
        # As in the image (serving/Containerfile).
        "PYTHONOPTIMIZE": "2",
        "PLIMSOLL_HOST": HOST,
        "PLIMSOLL_MODEL_NAME": NAME,
        "PLIMSOLL_MODEL_VERSION": "1",
        "PLIMSOLL_REVISION": revision,
        "PLIMSOLL_MODEL_DIR": str(model.folder.absolute()),
        "PLIMSOLL_ROUTE_PATH": str(folder.absolute() / "route.json"),
        "PLIMSOLL_ARTIFACT_SHA256": model.digest("model.onnx"),
        "PLIMSOLL_PROFILE_SHA256": model.digest("profile.json"),
        "PLIMSOLL_DRAIN_SECONDS": "0",
        "PLIMSOLL_PUBLIC_PORT": str(public),
        "PLIMSOLL_DIRECT_PORT": str(direct),
        "PLIMSOLL_METRICS_PORT": str(metrics),
        "PLIMSOLL_GRPC_PORT": str(grpc),
        "PLIMSOLL_GRPC_DIRECT_PORT": str(grpc_direct),
        **extra,
    }
    del env["OMP_NUM_THREADS"], env["OPENBLAS_NUM_THREADS"]
    base = f"http://{HOST}:{public}"
    ready = f"http://{HOST}:{metrics}/readyz"
    return Launch([sys.executable, "-m", "plimsoll_serving"], env, folder, base, ready, f"{HOST}:{grpc}")


def mlserver(model: ModelFile, build: Path, folder: Path) -> Launch:
    port, grpc, metrics = free_port(), free_port(), free_port()
    python, env = _peer("mlserver", model, build, port)
    settings = {
        "debug": False,
        "parallel_workers": 0,
        "gzip_enabled": False,
        "host": HOST,
        "http_port": port,
        "grpc_port": grpc,
        "metrics_port": metrics,
    }
    described = {
        "name": NAME,
        "implementation": "mlserver_runtime.Onnx",
        "parameters": {"uri": str(model.path.absolute())},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(described))
    base = f"http://{HOST}:{port}"
    command = [str(Path(python).parent / "mlserver"), "start", "."]
    return Launch(command, env, folder, base, f"{base}/v2/models/{NAME}/ready", f"{HOST}:{grpc}")


def kserve(model: ModelFile, build: Path, folder: Path) -> Launch:
    port, grpc = free_port(), free_port()
    python, env = _peer("kserve", model, build, port)
    quiet = {"version": 1, "disable_existing_loggers": False, "loggers": {"uvicorn.access": {"level": "WARNING"}}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "logging.json").write_text(json.dumps(quiet))
    arguments = [f"--http_port={port}", f"--grpc_port={grpc}", "--workers=1", "--enable_latency_logging=false"]
    command = [python, str(PEERS / "kserve_model.py"), *arguments, "--event-loop=uvloop"]
    base = f"http://{HOST}:{port}"
    logs = f"--log_config_file={folder / 'logging.json'}"
    return Launch([*command, logs], env, folder, base, f"{base}/v2/models/{NAME}/ready", f"{HOST}:{grpc}")


def bentoml(model: ModelFile, build: Path, folder: Path) -> Launch:
    port = free_port()
    python, env = _peer("bentoml", model, build, port)
    env["BENTOML_HOME"] = str(folder.absolute() / "home")
    command = [str(Path(python).parent / "bentoml"), "serve", "bentoml_service:Bench", "--port", str(port)]
    base = f"http://{HOST}:{port}"
    return Launch([*command, "--working-dir", str(PEERS)], env, folder, base, f"{base}/readyz")


def litserve(model: ModelFile, build: Path, folder: Path) -> Launch:
    port = free_port()
    python, env = _peer("litserve", model, build, port)
    base = f"http://{HOST}:{port}"
    return Launch([python, str(PEERS / "litserve_app.py")], env, folder, base, f"{base}/ready")


def fastapi(model: ModelFile, build: Path, folder: Path) -> Launch:
    port = free_port()
    python, env = _peer("fastapi", model, build, port)
    base = f"http://{HOST}:{port}"
    return Launch([python, str(PEERS / "fastapi_app.py")], env, folder, base, f"{base}/ready")
