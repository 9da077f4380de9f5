"""Command line of the server."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from plimsoll_serving import __version__, logs
from plimsoll_serving.errors import ArtifactError, FetchError, SettingsError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

DONE = 0
FAILED = 1
REFUSED = 2
VERBS = ("serve", "fetch")
LAST_PORT = 65535
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
OPTIONS = ("name", "profile", "port", "grpc_port", "host", "model_version")

DESCRIPTION = (
    "Serves an ONNX model over the Open Inference Protocol V2, and in the forms of KServe V1, SageMaker and MLflow: "
    "a file on this machine, or in a pod what the environment says, following a route document for canary traffic."
)
EPILOG = """\
examples:
  plimsoll-serve iris.onnx                       then open http://127.0.0.1:8080/docs
  plimsoll-serve iris.onnx --name flowers --port 9000 --grpc-port 9001 --profile profile.json

in a pod:
  serve   (default without a file) serve the model in PLIMSOLL_MODEL_DIR until SIGTERM
  fetch   download the artifact into PLIMSOLL_MODEL_DIR and verify its digest
  serve --pool, fetch --pool: the models of every document in a directory, until SIGTERM

required environment of a pod:
  PLIMSOLL_MODEL_NAME, PLIMSOLL_MODEL_VERSION    e.g. digits, 7 (serve)
  PLIMSOLL_ARTIFACT_SHA256                       digest of the model
  PLIMSOLL_ARTIFACT_URI                          s3://, gs://, az://, https:// or file:// (fetch)

optional environment (default):
  PLIMSOLL_MODEL_DIR (/plimsoll/model)           PLIMSOLL_ROUTE_PATH (/plimsoll/route/route.json)
  PLIMSOLL_PROFILE_URI, PLIMSOLL_PROFILE_SHA256  its sample warms the model, answers are counted by its bins
  PLIMSOLL_REVISION, PLIMSOLL_SERVICE, PLIMSOLL_NAMESPACE, PLIMSOLL_POD
  PLIMSOLL_HOST (0.0.0.0)                        PLIMSOLL_PUBLIC_PORT (8080)
  PLIMSOLL_DIRECT_PORT (8083)                    PLIMSOLL_METRICS_PORT (8082); port 0 takes a free one
  PLIMSOLL_GRPC_PORT (8081)                      PLIMSOLL_GRPC_DIRECT_PORT (8084)
  PLIMSOLL_INTRA_OP_THREADS (CPU quota)          PLIMSOLL_WORKERS (max(2, threads)) concurrent inferences
  PLIMSOLL_MAX_BATCH_ROWS (1024) share a run     PLIMSOLL_BATCH_WINDOW_SECONDS (0) waited for more rows
  PLIMSOLL_MAX_QUEUE (1024) requests waiting     PLIMSOLL_MAX_QUEUE_SECONDS (1) of work waiting; 503 beyond
  PLIMSOLL_EXECUTION_PROVIDERS (CPUExecutionProvider), by comma
  PLIMSOLL_MAX_BODY_BYTES (1/64 of the memory limit, at most 33554432), once decompressed
  PLIMSOLL_MAX_BUFFERED_BYTES (4 bodies), a quarter of it for bodies of at most 64 KiB
  PLIMSOLL_MAX_HEADER_BYTES (32768)              PLIMSOLL_MAX_CONNECTIONS (4096) for each port
  PLIMSOLL_READ_TIMEOUT_SECONDS (30)             PLIMSOLL_IDLE_TIMEOUT_SECONDS (60)
  PLIMSOLL_CONNECTION_SECONDS (60) ±20 %         PLIMSOLL_DRAIN_SECONDS (10)
  PLIMSOLL_MIRROR_QUEUE (256) copies for shadow arms that wait, PLIMSOLL_MIRROR_CONCURRENCY (32) under way,
  PLIMSOLL_MIRROR_BYTES (one body) held by all of them
  PLIMSOLL_CORS_ORIGINS (none), by comma, or *   PLIMSOLL_MODEL_CONTROL (none) explicit: load and unload
  PLIMSOLL_LOG_LEVEL (info)                      PLIMSOLL_ACCESS_LOG (0) share of requests that are logged
  PLIMSOLL_COUNTED_FEATURES (50)                 PLIMSOLL_COUNTED_ROWS_PER_SECOND (10000) whose bins are counted
  PLIMSOLL_FEEDBACK_KEY_FILE (a random key)      PLIMSOLL_FEEDBACK_MAX_AGE_SECONDS (2592000) of a prediction id
  PLIMSOLL_PAYLOAD_LOG (0) share of answers      PLIMSOLL_PAYLOAD_LOG_SINK file:///, http(s):// or s3://
  PLIMSOLL_PAYLOAD_LOG_MASK names, by commas     PLIMSOLL_PAYLOAD_LOG_FILE_BYTES (67108864), twice that on disk
  PLIMSOLL_PAYLOAD_LOG_HTTP_BATCH (1) events a request, PLIMSOLL_PAYLOAD_LOG_CA (PEM) of a store, with AWS_…

of a pool (default):
  PLIMSOLL_POOL (pool)                           PLIMSOLL_POOL_DOCUMENTS (/plimsoll/models) {service}.json
  PLIMSOLL_POOL_DIR (/plimsoll/pool)             PLIMSOLL_POOL_MEMORY_BYTES (half of the memory limit)
  PLIMSOLL_POOL_STORAGE_BYTES (5368709120)       PLIMSOLL_INTRA_OP_THREADS (1)

exit codes: 0 done, 2 the settings, the file or the artifact are refused, 1 anything else
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a verb or serve a file; returns the exit code."""
    if not (sys.argv[1:] if arguments is None else arguments) and _is_person():
        _parser().error("name the model's file, as in `plimsoll-serve iris.onnx`; --help tells the rest")
    if (sys.argv[1:] if arguments is None else arguments) in ([], ["serve"]):
        return _run("serve", False)  # as pods are started: they do without a parser
    parser = _parser()
    given = parser.parse_args(arguments)
    verb = given.what[0] if given.what and given.what[0] in VERBS else "serve"
    files = given.what[given.what[:1] == [verb] :]
    if verb == "fetch" and files:
        parser.error("fetch takes no file: the environment says what to fetch")
    if len(files) > 1:
        parser.error(f"one model: {len(files)} files were given; start one server for each, with its own --port")
    if files and given.pool:
        parser.error("a pool takes no file: its documents say what to serve")
    if files:
        return _serve_file(given, Path(files[0]))
    if any(getattr(given, option) is not None for option in OPTIONS):
        parser.error("the options belong to a file; without one the environment says everything")
    return _run(verb, given.pool)


def _parser() -> "ArgumentParser":
    import argparse

    parser = argparse.ArgumentParser(
        prog="plimsoll-serve",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", metavar="FILE.onnx | serve | fetch")
    parser.add_argument("--name", help="name of the model (the file's)")
    parser.add_argument("--model-version", help="its version (1)")
    parser.add_argument("--profile", type=Path, help="its profile.json: names of columns and a real row")
    parser.add_argument("--host", help=f"address to listen on ({DEFAULT_HOST})")
    parser.add_argument("--port", type=_port, help=f"port of HTTP ({DEFAULT_PORT}); 0 takes a free one")
    parser.add_argument("--grpc-port", type=_port, help="port of gRPC (a free one, told on the first screen)")
    parser.add_argument("--pool", action="store_true", help="many models: those named in PLIMSOLL_POOL_DOCUMENTS")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _port(text: str) -> int:
    from argparse import ArgumentTypeError

    if not (text.isascii() and text.isdigit() and int(text) <= LAST_PORT):
        raise ArgumentTypeError(f"{text!r} is not a port: 0 to {LAST_PORT}")
    return int(text)


def _is_person() -> bool:
    """Whether somebody at a terminal asks, and not a pod, whose environment names the model."""
    return sys.stderr.isatty() and not os.environ.get("PLIMSOLL_MODEL_NAME")


def _serve_file(given: "Namespace", path: Path) -> int:
    """Serve a file for a person: what is wrong is one sentence."""
    from plimsoll_serving.standalone import Options, serve

    version, host = given.model_version or "1", given.host or DEFAULT_HOST
    port = DEFAULT_PORT if given.port is None else given.port
    try:
        options = Options(path, given.name, version, given.profile, host, port, given.grpc_port)
        serve(options, os.environ, sys.stderr.isatty())
    except (SettingsError, ArtifactError) as error:
        print(f"plimsoll-serve: {error}", file=sys.stderr)  # noqa: T201
        return REFUSED
    return DONE


def _run(verb: str, pool: bool) -> int:
    logs.configure("info")
    try:
        _VERBS[verb, pool]()
    except (SettingsError, ArtifactError) as error:
        logs.LOGGER.error("%s", error)
        return REFUSED
    except FetchError as error:
        logs.LOGGER.error("%s", error)
        return FAILED
    except Exception as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        logs.LOGGER.exception("%s failed: %s", verb, told[:300])
        return FAILED
    return DONE


def _serve() -> None:
    # The model's library takes its time: a mistake in the settings is told before.
    from plimsoll_serving.settings import Settings

    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level, settings.identity)
    from plimsoll_serving import build
    from plimsoll_serving.lifecycle import run

    build.tell()
    run(settings)


def _fetch() -> None:
    # The store's client is loaded only where credentials are.
    from plimsoll_serving.fetch import fetch

    fetch(os.environ)


def _serve_pool() -> None:
    from plimsoll_serving.pool.settings import PoolSettings

    settings = PoolSettings.from_environment(os.environ)
    logs.configure(settings.common.log_level)
    from plimsoll_serving import build
    from plimsoll_serving.pool.server import run

    build.tell()
    run(settings)


def _fetch_pool() -> None:
    from plimsoll_serving.pool.fetcher import run

    run(os.environ)


_VERBS = {
    ("serve", False): _serve,
    ("serve", True): _serve_pool,
    ("fetch", False): _fetch,
    ("fetch", True): _fetch_pool,
}
