"""Good specs, drawn at random: both the models and the API server must accept every one."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st
from plimsoll.api.gates import ERRORS, SHARES, ClassificationMetric, RegressionMetric
from plimsoll.api.trainingdata import BUNDLED
from plimsoll.api.trainingjob import Classifier, Regressor

Manifest = dict[str, Any]

names = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
words = st.from_regex(r"[A-Za-z0-9_.]{1,20}", fullmatch=True)
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
seeds = st.integers(0, 2**32 - 1)
env = st.lists(
    st.fixed_dictionaries(
        {"name": st.from_regex(r"[B-OQ-Z][A-Z0-9_]{0,10}", fullmatch=True)}, optional={"value": words}
    ),
    max_size=5,
    unique_by=lambda variable: variable["name"],
)


def durations(least: int, most: int) -> st.SearchStrategy[str]:
    """Durations between two numbers of seconds, in all spellings."""
    return st.integers(least, most).flatmap(lambda n: st.sampled_from(_spellings(n)))


def _spellings(seconds: int) -> list[str]:
    minutes, rest = divmod(seconds, 60)
    hours, left = divmod(minutes, 60)
    whole = "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (left, "m"), (rest, "s")) if count)
    return [f"{seconds}s", whole or "0s", f"{minutes}m{rest}s" if minutes and rest else f"{seconds}s"]


@st.composite
def resources(draw: st.DrawFn) -> Manifest:
    cpu = draw(st.integers(10, 4000))
    limit = draw(st.none() | st.integers(cpu, 8000))
    memory = draw(st.sampled_from(["32Mi", "512Mi", "1.5Gi", "64M", "2G", 536870912, "1Ti"]))
    out: Manifest = {"cpu": draw(st.sampled_from([f"{cpu}m", f"{cpu / 1000:.3f}"])), "memory": memory}
    return out | ({"cpuLimit": f"{limit}m"} if limit else {})


@st.composite
def sources(draw: st.DrawFn) -> Manifest:
    uri = draw(st.sampled_from(["s3://lake/{}.csv", "s3://lake/{}.csv.gz", "https://data.example/{}.csv?v=1"]))
    return {"uri": uri.format(draw(words))} | draw(st.fixed_dictionaries({}, optional={"sha256": digests}))


@st.composite
def gates(draw: st.DrawFn, metrics: tuple[str, ...]) -> Manifest:
    metric = draw(st.sampled_from(metrics))
    least, most = (0.0 if metric in SHARES + ERRORS else -5.0), (1.0 if metric in (*SHARES, "r2") else 1e6)
    low, high = sorted(draw(st.tuples(st.floats(least, most), st.floats(least, most))))
    bound = draw(
        st.sampled_from(
            [{"min": low}, {"max": high}, {"min": low, "max": high}, {"comparedTo": {"inferenceService": "s"}}]
        )
    )
    if "comparedTo" in bound:
        bound |= draw(st.fixed_dictionaries({}, optional={"tolerance": st.floats(0, 1)}))
    slices = st.fixed_dictionaries({"column": words, "value": words})
    return {"metric": metric} | bound | draw(st.fixed_dictionaries({}, optional={"slice": slices}))


@st.composite
def training_data(draw: st.DrawFn, task: str) -> Manifest:
    bundled = draw(st.booleans())
    training = {"uri": f"sklearn://{draw(st.sampled_from(BUNDLED[task]))}"} if bundled else draw(sources())
    random = st.fixed_dictionaries(
        {}, optional={"by": st.just("Random"), "seed": seeds, "fraction": st.floats(0.01, 0.9)}
    )
    by_column = st.fixed_dictionaries({"by": st.sampled_from(["Time", "Hash"]), "column": words.map("c_{}".format)})
    if draw(st.booleans()):
        return {"training": training, "split": draw(random | by_column)}
    return {"training": training, "evaluation": {"uri": "s3://holdout/rows.csv"}}


@st.composite
def training_jobs(draw: st.DrawFn) -> Manifest:
    task, estimators, metrics = draw(
        st.sampled_from(
            [("Classification", Classifier, ClassificationMetric), ("Regression", Regressor, RegressionMetric)]
        )
    )
    sklearn = st.fixed_dictionaries(
        {"estimator": st.sampled_from(get_args(estimators))},
        optional={"parameters": st.dictionaries(words, st.integers() | st.booleans() | words, max_size=4)},
    )
    container = st.fixed_dictionaries(
        {"image": words.map("i{}".format)}, optional={"env": env, "args": st.lists(words, max_size=3)}
    )
    spec = {
        "model": draw(names),
        "task": task,
        "data": draw(training_data(task)),
        "trainer": draw(st.fixed_dictionaries({"sklearn": sklearn}) | st.fixed_dictionaries({"container": container})),
    }
    spec |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "gates": st.lists(gates(get_args(metrics)), max_size=4),
                "seed": seeds,
                "resources": resources(),
                "backoffLimit": st.integers(0, 10),
                "suspend": st.booleans(),
                "approval": st.sampled_from(["Automatic", "Manual"]),
                "rerunToken": words,
            },
        )
    )
    return _manifest("TrainingJob", draw(names), spec)


@st.composite
def releases(draw: st.DrawFn) -> Manifest:
    common = {"probation": durations(1, 3600), "progressDeadline": durations(3601, 9000), "retryToken": words}
    compared = {"margin": st.floats(1.01, 100)}
    absolute = {"errorRate": st.fixed_dictionaries({}, optional=compared | {"max": st.floats(0.001, 0.999)})}
    latency = st.fixed_dictionaries({}, optional=compared | {"maxP99": st.sampled_from(["1ms", "250ms", "10s"])})
    analysis = st.fixed_dictionaries(
        {}, optional=absolute | {"latency": latency, "alpha": st.floats(0.001, 0.2), "window": durations(1, 3600)}
    )
    release = draw(st.fixed_dictionaries({}, optional=common | {"analysis": analysis})) | {"progressDeadline": "3h"}
    strategy = draw(st.sampled_from(["Canary", "Recreate", "BlueGreen", "Shadow", "ABTest"]))
    if strategy != "Canary":
        return release | {"strategy": strategy} | draw(_OTHERS[strategy])
    weights = draw(st.lists(st.integers(1, 99), min_size=1, max_size=20, unique=True).map(sorted))
    extra = st.fixed_dictionaries(
        {}, optional={"minDuration": durations(1, 7200), "minRequests": st.integers(0, 10**9)}
    )
    if max(weights) <= 50 and draw(st.booleans()):
        release["analysis"] = release.get("analysis", {}) | {"baseline": "Fresh"}
    elif draw(st.booleans()):
        release["analysis"] = release.get("analysis", {}) | {"prePeriod": draw(durations(0, 3600))}
    return release | {
        "steps": [{"weight": weight} | draw(extra) for weight in weights[:19]] + draw(pauses),
        "holdback": draw(st.integers(0, 50)),
    }


pauses = st.lists(
    st.fixed_dictionaries({"pause": st.fixed_dictionaries({}, optional={"duration": durations(1, 604800)})}), max_size=1
)
_minimums = {"minDuration": durations(1, 604800), "minRequests": st.integers(0, 10**9)}
_copies = st.fixed_dictionaries({}, optional=_minimums | {"percent": st.integers(1, 100)})
_kept = {"holdback": st.integers(0, 50)}
_then = st.sampled_from(["Promote", "Hold", "Keep"])
_OTHERS: dict[str, st.SearchStrategy[Manifest]] = {
    "Recreate": st.just({}),
    "BlueGreen": st.fixed_dictionaries(
        {}, optional=_kept | {"shadowFirst": _copies, "onPass": st.sampled_from(["Promote", "Hold"])}
    ),
    "Shadow": st.fixed_dictionaries({}, optional=_kept | {"shadow": _copies, "onPass": _then}),
    "ABTest": st.fixed_dictionaries(
        {},
        optional=_kept
        | {
            "test": st.fixed_dictionaries({}, optional=_minimums | {"weight": st.integers(1, 99)}),
            "onPass": _then,
        },
    ),
}


payload_logs = st.fixed_dictionaries(
    {
        "samplePercent": st.floats(0.001, 100) | st.integers(1, 100),
        "sink": st.sampled_from(["http://broker/x", "https://broker.example:8443", "file:///tmp/payload.jsonl"]),
    },
    optional={"mask": st.lists(words, max_size=5)},
)


@st.composite
def inference_services(draw: st.DrawFn) -> Manifest:
    release = draw(releases())
    header = {"stickyHeader": st.from_regex(r"x-[A-Za-z0-9-]{1,20}", fullmatch=True)}
    strategy = release.get("strategy")
    mirrors = strategy == "Shadow" or "shadowFirst" in release
    fresh = "baseline" in release.get("analysis", {})
    own = st.fixed_dictionaries(
        {},
        optional={
            "replicas": st.integers(1, 100),
            "resources": resources(),
            "env": env,
            "intraOpThreads": st.integers(1, 64),
            "payloadLog": payload_logs,
        },
    )
    pooled = st.fixed_dictionaries({"pool": st.fixed_dictionaries({"name": names})})
    version = st.just("auto") | st.integers(1, 99999999) | st.integers(1, 99999999).map(str)
    spec = {
        "model": draw(st.fixed_dictionaries({"name": names}, optional={"version": version})),
        "release": release,
        "runtime": draw(own if mirrors or fresh else own | pooled),
        "traffic": draw(
            st.fixed_dictionaries(
                header if strategy == "ABTest" else {},
                optional={} if strategy in ("Recreate", "ABTest") or fresh else header,
            )
        ),
    }
    return _manifest("InferenceService", draw(names), spec)


@st.composite
def model_versions(draw: st.DrawFn) -> Manifest:
    model = draw(names)
    tensors = st.lists(
        st.fixed_dictionaries(
            {
                "name": words,
                "datatype": st.sampled_from(["FP32", "INT64", "BYTES"]),
                "shape": st.lists(st.just(-1) | st.integers(1, 512), max_size=8),
            }
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda tensor: tensor["name"],
    )
    location = {"uri": words.map("s3://models/{}.onnx".format), "sha256": digests}
    spec = {"model": model} | draw(
        st.fixed_dictionaries(
            {"artifact": st.fixed_dictionaries(location | {"sizeBytes": st.integers(1, 2**40)})},
            optional={
                "signature": st.fixed_dictionaries({"inputs": tensors, "outputs": tensors}),
                "metrics": st.dictionaries(words, st.floats(-1e9, 1e9), max_size=8),
                "profile": st.fixed_dictionaries(location),
                "lineage": st.fixed_dictionaries(
                    {}, optional={"seed": seeds, "trainingJob": names, "parameters": st.dictionaries(words, words)}
                ),
                "approval": st.fixed_dictionaries({"decision": st.sampled_from(["Approved", "Rejected"]), "by": words}),
                "requireApproval": st.booleans(),
            },
        )
    )
    return _manifest("ModelVersion", f"{model}-v{draw(st.integers(1, 99999999))}", spec)


def _manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "plimsoll.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@st.composite
def serving_pools(draw: st.DrawFn) -> Manifest:
    spec = st.fixed_dictionaries(
        {},
        optional={
            "replicas": st.integers(1, 100),
            "resources": resources(),
            "storage": st.integers(1, 512).map("{}Gi".format),
            "env": env,
            "intraOpThreads": st.integers(1, 64),
            "terminationGracePeriodSeconds": st.integers(15, 600),
        },
    )
    return _manifest("ServingPool", draw(names), draw(spec))


manifests = st.one_of(training_jobs(), inference_services(), model_versions(), serving_pools())
