"""Command line of the server."""

import argparse
import os

import uvloop

from plimsoll_serving import __version__, logs
from plimsoll_serving.errors import ArtifactError, FetchError, SettingsError
from plimsoll_serving.settings import Settings

DONE = 0
FAILED = 1
REFUSED = 2

DESCRIPTION = (
    "Serves one ONNX model over the Open Inference Protocol V2, following a route document for canary traffic."
)
EPILOG = """\
verbs:
  serve   (default) serve the model in PLIMSOLL_MODEL_DIR until SIGTERM
  fetch   download the artifact into PLIMSOLL_MODEL_DIR and verify its digest

required environment:
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
  PLIMSOLL_MAX_BODY_BYTES (1/64 of the memory limit, at most 33554432)
  PLIMSOLL_MAX_BUFFERED_BYTES (4 bodies), a quarter of it for bodies of at most 64 KiB
  PLIMSOLL_MAX_HEADER_BYTES (32768)              PLIMSOLL_MAX_CONNECTIONS (4096) for each port
  PLIMSOLL_READ_TIMEOUT_SECONDS (30)             PLIMSOLL_IDLE_TIMEOUT_SECONDS (60)
  PLIMSOLL_CONNECTION_SECONDS (60) ±20 %         PLIMSOLL_DRAIN_SECONDS (10)
  PLIMSOLL_LOG_LEVEL (info)                      PLIMSOLL_ACCESS_LOG (0) share of requests that are logged
  PLIMSOLL_COUNTED_FEATURES (50)                 PLIMSOLL_COUNTED_ROWS_PER_SECOND (10000) whose bins are counted
  PLIMSOLL_FEEDBACK_KEY_FILE (a random key)      PLIMSOLL_FEEDBACK_MAX_AGE_SECONDS (2592000) of a prediction id
  PLIMSOLL_PAYLOAD_LOG (0) share of answers      PLIMSOLL_PAYLOAD_LOG_SINK file:///, http(s):// or s3://
  PLIMSOLL_PAYLOAD_LOG_MASK names, by commas     PLIMSOLL_PAYLOAD_LOG_FILE_BYTES (67108864), twice that on disk
  PLIMSOLL_PAYLOAD_LOG_HTTP_BATCH (1) events a request

exit codes: 0 done, 2 the settings or the artifact are refused, 1 anything else

example:
  export PLIMSOLL_MODEL_NAME=digits PLIMSOLL_MODEL_VERSION=1 PLIMSOLL_MODEL_DIR=/tmp/digits
  export PLIMSOLL_ARTIFACT_URI=file:///data/digits.onnx
  export PLIMSOLL_ARTIFACT_SHA256=$(sha256sum /data/digits.onnx | cut -d' ' -f1)
  mkdir -p /tmp/digits && python -m plimsoll_serving fetch && python -m plimsoll_serving
  curl localhost:8080/v2/models/digits
  curl localhost:8080/v2/models/digits/infer -d \\
    '{"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}'
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m plimsoll_serving",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", nargs="?", choices=("serve", "fetch"), default="serve")
    parser.add_argument("--version", action="version", version=__version__)
    verb = parser.parse_args(arguments).verb
    logs.configure("info")
    try:
        _serve() if verb == "serve" else _fetch()
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
    from plimsoll_serving.lifecycle import Server

    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level, settings.identity)

    async def run() -> None:
        await Server(settings).run()

    uvloop.run(run())


def _fetch() -> None:
    # The store's client is loaded only where credentials are.
    from plimsoll_serving.fetch import fetch

    fetch(os.environ)
