from __future__ import annotations

from plimsoll import names
from plimsoll.edge.resources import ADD_ONS, WATCHED, path_of
from plimsoll.facts import Ref
from plimsoll.handlers import PASSES, kopf_settings


def test_every_kind_of_ours_has_a_pass() -> None:
    assert set(PASSES) == {resource.kind for resource in WATCHED if resource.ours}


def test_kopf_writes_nothing_and_asks_for_nothing_outside_its_namespaces() -> None:
    settings = kopf_settings()

    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True


def test_builtin_kinds_are_watched_by_our_label_and_ours_without_one() -> None:
    selectors = {selector.any_name: value for selector, value in kopf_settings().watching.label_selectors.items()}

    assert selectors == {r.plural: names.MANAGED_SELECTOR for r in (*WATCHED, *ADD_ONS) if not r.ours}
    assert {"pods", "jobs", "deployments", "services", "configmaps"} <= set(selectors)


def test_paths_are_those_of_the_api() -> None:
    job, pod = Ref("batch/v1", "Job", "demo", "train"), Ref("v1", "Pod", "demo", "p")

    assert path_of(job) == "/apis/batch/v1/namespaces/demo/jobs/train"
    assert path_of(pod) == "/api/v1/namespaces/demo/pods/p"
    assert path_of(Ref(names.API_VERSION, "ModelVersion", "demo", "m-v1"), "status") == (
        "/apis/plimsoll.dev/v1alpha1/namespaces/demo/modelversions/m-v1/status"
    )
