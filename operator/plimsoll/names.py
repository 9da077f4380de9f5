"""Names that users, other programs and the cluster see: see docs/contracts.md. Nothing here does anything."""

from __future__ import annotations

from typing import Final

GROUP: Final = "plimsoll.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
GATEWAY_API_VERSION: Final = f"{GATEWAY_GROUP}/v1"
#: Of an HTTPRoute's rule; only in the experimental channel of the Gateway API.
SESSION_FIELD: Final = "sessionPersistence"
FIELD_MANAGER: Final = "plimsoll"

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_MODEL: Final = f"{GROUP}/model"
LABEL_VERSION: Final = f"{GROUP}/version"
LABEL_REVISION: Final = f"{GROUP}/revision"
LABEL_INFERENCE_SERVICE: Final = f"{GROUP}/inferenceservice"
LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_TRAINING_JOB: Final = f"{GROUP}/trainingjob"
MANAGED_SELECTOR: Final = f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"

ANNOTATION_COMMAND: Final = f"{GROUP}/command"
ANNOTATION_ROUTE_EPOCH: Final = f"{GROUP}/route-epoch"
#: Followed by a service's name: which epoch a pod of a pool was told of for it.
ANNOTATION_POOL_EPOCH: Final = f"route-epoch.{GROUP}/"
LABEL_ALLOW: Final = f"{GROUP}/allow"

STORE_SECRET: Final = "plimsoll-store"  # noqa: S105 (a name)
#: What a namespace's payload logs in a store are written with: the server's container has it, where one asks for it.
PAYLOAD_LOG_SECRET: Final = "plimsoll-payload-log"  # noqa: S105 (a name)
FEEDBACK_SECRET: Final = "plimsoll-feedback-key"  # noqa: S105 (a name)
FEEDBACK_KEY: Final = "key"
SERVICE_ACCOUNTS: Final = {
    "train": "plimsoll-train",
    "publish": "plimsoll-publish",
    "serve": "plimsoll-serve",
    "judge": "plimsoll-judge",
}

PORT_PUBLIC: Final = 8080
PORT_GRPC: Final = 8081
PORT_METRICS: Final = 8082
PORT_DIRECT: Final = 8083
PORT_GRPC_DIRECT: Final = 8084

RUN_PATH: Final = "/plimsoll/run"
INPUTS_PATH: Final = "/plimsoll/inputs"
OUTPUT_PATH: Final = "/plimsoll/output"
MODEL_PATH: Final = "/plimsoll/model"
ROUTE_PATH: Final = "/plimsoll/route"
POOL_PATH: Final = "/plimsoll/pool"
FEEDBACK_PATH: Final = "/plimsoll/feedback"
ROUTE_KEY: Final = "route.json"
LEDGER_KEY: Final = "ledger.json"
RUN_KEY: Final = "run.json"

METRIC_ARM_REQUESTS: Final = "plimsoll_arm_requests_total"
METRIC_DURATION: Final = "plimsoll_request_duration_seconds"
METRIC_ROUTE_EPOCH: Final = "plimsoll_route_epoch"
METRIC_FEATURE_BINS: Final = "plimsoll_feature_bin_total"
METRIC_FEATURE_PROFILE: Final = "plimsoll_feature_profile_rows"
METRIC_REQUESTS: Final = "plimsoll_requests_total"
POOL_METRIC_STATE: Final = "plimsoll_model_state"
METRIC_SHADOW_PAIRS: Final = "plimsoll_shadow_pairs_total"
METRIC_SHADOW_DIFFERENCE_ROWS: Final = "plimsoll_shadow_difference_rows_total"
METRIC_SHADOW_DIFFERENCE_REQUESTS: Final = "plimsoll_shadow_difference_requests_total"
METRIC_SHADOW_DIFFERENCE: Final = "plimsoll_shadow_difference_total"
METRIC_MIRRORED_REQUESTS: Final = "plimsoll_mirrored_requests_total"
METRIC_MIRRORED_DURATION: Final = "plimsoll_mirrored_request_duration_seconds"
METRIC_START_TIME: Final = "process_start_time_seconds"
METRIC_FALLBACKS: Final = "plimsoll_fallback_requests_total"
METRIC_PREDICTION_BINS: Final = "plimsoll_prediction_bin_total"
METRIC_FEEDBACK: Final = "plimsoll_feedback_total"
METRIC_FEEDBACK_ERROR: Final = "plimsoll_feedback_error_total"
METRIC_FEEDBACK_SQUARED: Final = "plimsoll_feedback_squared_error_total"
#: Upper edges of the latency histogram in seconds; +Inf follows.
LATENCY_EDGES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: How failures of an arm are named in `plimsoll_arm_requests_total{outcome=…}`.
FAILURE_OUTCOMES: Final = ("server_error", "unreachable", "timeout")
#: Of `plimsoll_shadow_pairs_total{outcome=…}`: the user had an answer, and the candidate gave none.
PAIR_FAILURES: Final = ("candidate_error", "unreachable", "timeout")
#: How old a label was when it came, `plimsoll_feedback_total{age=…}`, the youngest first.
LABEL_AGES: Final = ("1m", "10m", "1h", "1d", "7d", "older")


def bucket(namespace: str) -> str:
    """The store's bucket of a namespace."""
    return f"plimsoll-{namespace}"


def labels(component: str, **more: str) -> dict[str, str]:
    """Labels of a child object; `more` takes model, version, revision, inferenceservice, trainingjob, pool, judge."""
    base = {
        LABEL_NAME: "plimsoll",
        LABEL_COMPONENT: component,
        LABEL_PART_OF: "plimsoll",
        LABEL_MANAGED_BY: FIELD_MANAGER,
    }
    return base | {f"{GROUP}/{key}": value for key, value in more.items()}
