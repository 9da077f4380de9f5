"""A service behind a Gateway: what its HTTPRoute says, what holds a release, and what counts as evidence."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core.gateway import counted
from plimsoll.core.http_route import arms
from plimsoll.core.release.analysis import policy
from plimsoll.core.release.observed import Observed
from plimsoll.facts import PodCounters, Sample, Settings

from tests.builders.gateway import REF, ROUTE, GatewayLife, behind
from tests.builders.release import service, version

NOT_ALLOWED = ("Accepted", "NotAllowedByListeners", "no listener of the Gateway takes routes from demo")


SESSION = {"type": "Header", "name": "x-session"}
STEP: dict[str, Any] = {"weight": 10, "minDuration": "2s", "minRequests": 20}


def started(*steps: dict[str, Any], **more: Any) -> GatewayLife:
    """Version 1 serves, and the last pass had nothing to do."""
    life = GatewayLife(version(1), behind(**{"steps": list(steps or [STEP]), "probation": "2s"} | more))
    life.until("Idle")
    life.run(3)
    return life


def rules(life: GatewayLife) -> list[dict[str, Any]]:
    assert life.http_route is not None
    found: list[dict[str, Any]] = life.http_route["spec"]["rules"]
    return found


# --- the route --------------------------------------------------------------------------------------------------------


def test_the_route_attaches_to_the_gateway_and_leads_to_the_direct_ports_of_the_stable_version() -> None:
    life = started()
    revision = life.status["stable"]["revision"]
    assert life.http_route is not None
    assert life.http_route["spec"]["parentRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "infra"}
    ]
    assert rules(life) == [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/v2/models/digits"}}],
            "filters": [
                {
                    "type": "RequestHeaderModifier",
                    "requestHeaderModifier": {"remove": ["plimsoll-delegated", "plimsoll-mirrored"]},
                }
            ],
            "backendRefs": [{"group": "", "kind": "Service", "name": revision, "port": 8083, "weight": 100}],
        }
    ]


def test_hosts_listener_and_path_are_what_the_user_asks_for() -> None:
    life = started(gateway={"sectionName": "web", "hostnames": ["a.example.com"], "pathPrefix": "/"})
    assert life.http_route is not None
    assert life.http_route["spec"]["hostnames"] == ["a.example.com"]
    assert life.http_route["spec"]["parentRefs"][0]["sectionName"] == "web"
    assert rules(life)[0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


def test_what_the_user_takes_away_again_is_gone() -> None:
    life = started(gateway={"hostnames": ["a.example.com"], "sectionName": "web", "session": SESSION})
    life.edit(lambda body: body["spec"]["traffic"].update(gatewayRef=REF))
    life.run(5)
    assert life.http_route is not None and life.http_route["spec"]["hostnames"] == []
    assert "sectionName" not in life.http_route["spec"]["parentRefs"][0]
    assert "sessionPersistence" not in rules(life)[0]


def test_at_rest_nothing_is_written() -> None:
    life = started()
    before = len(life.effects)
    life.ring()
    life.run(30)
    assert life.effects[before:] == []


def test_the_route_is_the_services_and_goes_with_it() -> None:
    life = started()
    assert life.http_route is not None
    (owner,) = life.http_route["metadata"]["ownerReferences"]
    assert owner["name"] == "digits" and owner["controller"]


def test_the_first_route_comes_after_the_services_that_it_leads_to() -> None:
    made = [one.target for one in started().effects if one.verb == "create"]
    route = made.index("HTTPRoute digits")
    assert any(target.startswith("Service digits-") for target in made[:route])


def test_with_another_provider_no_route_is_left_behind() -> None:
    life = started()
    life.edit(lambda body: body["spec"].update(traffic={"provider": "Builtin"}))
    life.run(5)
    assert life.http_route is None
    assert life.condition("RouteAccepted") == {}


def test_the_route_of_somebody_else_is_left_alone() -> None:
    life = GatewayLife(version(1), behind())
    foreign = {"apiVersion": ROUTE.api_version, "kind": ROUTE.kind, "spec": {"rules": []}}
    life.silent = True
    life.cluster.add(foreign | {"metadata": {"name": ROUTE.name, "namespace": ROUTE.namespace}})
    life.run(30)
    assert life.cluster.read(ROUTE)["spec"] == {"rules": []}
    assert life.condition("Accepted")["reason"] == "NameConflict"


def test_a_route_that_somebody_changes_is_put_right() -> None:
    life = started()
    life.cluster.edit(ROUTE, lambda body: body["spec"]["rules"][0]["backendRefs"][0].update(weight=1))
    life.ring()
    life.run(5)
    assert rules(life)[0]["backendRefs"][0]["weight"] == 100


def test_a_version_that_gets_copies_only_has_no_share_of_the_gateways_requests() -> None:
    one, two = ({"revision": f"r{number}", "version": str(number)} for number in (1, 2))
    fields = {"phase": "Shadowing", "primary": "r1", "stable": one, "candidate": two, "weight": 0, "mirror": 100}
    assert [(arm.revision, arm.weight) for arm in arms(InferenceServiceStatus.model_validate(fields))] == [("r1", 100)]


# --- a release --------------------------------------------------------------------------------------------------------


def test_a_sound_version_goes_through_the_gateways_weights_to_full_traffic() -> None:
    life = started(STEP, STEP | {"weight": 50})
    life.add(version(2))
    assert life.run(400, stop=lambda: life.serves(2))
    life.run(2)
    assert life.splits == [{"1": 100}, {"1": 90, "2": 10}, {"1": 50, "2": 50}, {"1": 5, "2": 95}, {"2": 100}]
    assert life.unanswered == 0


def test_a_version_that_fails_loses_its_share_in_one_write_and_the_time_is_measured() -> None:
    life = started()
    life.character(2).failing = 0.3
    life.add(version(2))
    life.until("Analyzing")
    assert life.run(60, stop=lambda: life.status["phase"] == "RollingBack")
    weights = [one["weight"] for one in rules(life)[0]["backendRefs"]]
    assert weights == [100, 0]
    life.until("RolledBack")
    assert life.split == {"1": 100}
    assert 0 < life.status["rollbackSeconds"] < 5


def test_nothing_counts_before_the_gateway_has_taken_the_weights() -> None:
    life = started()
    life.silent = True
    life.add(version(2))
    life.until("Analyzing")
    life.run(4)
    assert "stepSince" not in life.status and not life.status["windows"]
    assert "Gateway takes the weights" in life.status["message"]
    life.silent = False
    assert life.run(10, stop=lambda: "stepSince" in life.status)


def test_what_the_gateway_said_of_an_earlier_route_does_not_count() -> None:
    life = started()
    life.silent = True  # what it said of generation 1 stays in the route's status
    life.add(version(2))
    life.until("Analyzing")
    assert life.condition("RouteAccepted")["status"] == "Unknown"


def test_a_gateway_that_is_silent_holds_the_release_and_the_message_names_it() -> None:
    life = started()
    life.silent = True
    life.add(version(2))
    life.until("Held", 90)
    assert life.status["heldReason"] == "RouteNotAccepted"
    assert "Gateway infra/public" in life.status["message"]
    life.silent = False
    life.until("Analyzing", 10)


@pytest.mark.parametrize("no", [NOT_ALLOWED, ("ResolvedRefs", "BackendNotFound", "Service x is not there")])
def test_a_gateway_that_says_no_holds_the_release_with_its_own_words(no: tuple[str, str, str]) -> None:
    life = started()
    life.no = no
    life.run(5)
    assert (life.condition("Ready")["status"], life.condition("Ready")["reason"]) == ("False", "RouteNotAccepted")
    life.add(version(2))
    life.until("Held")
    assert life.status["heldPhase"] == "Warming" and life.status["weight"] == 0
    assert f"{no[1]}: {no[2]}" in life.status["message"]
    life.no = None
    life.until("Analyzing", 10)
    assert life.condition("Ready")["status"] == "True"


def test_a_gateway_that_says_that_it_is_not_programmed_has_not_taken_the_weights() -> None:
    life = started()
    life.no = ("Programmed", "Invalid", "the proxies do not take it")
    life.run(5)
    assert life.condition("RouteAccepted")["status"] == "False"


def test_another_gateways_word_does_not_count() -> None:
    life = GatewayLife(version(1), behind())
    life.silent = True
    life.run(5)
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": 1}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parent = {"parentRef": {"name": "other", "namespace": "infra"}, "controllerName": "x", "conditions": conditions}
    life.cluster.edit(ROUTE, lambda body: body.update(status={"parents": [parent]}), spec=False)
    life.ring()
    life.run(5)
    assert life.condition("RouteAccepted")["status"] == "Unknown"


def test_a_candidate_that_fails_while_the_gateway_says_no_is_taken_back() -> None:
    life = started()
    life.add(version(2))
    life.until("Analyzing")
    life.no = NOT_ALLOWED
    life.until("Held")
    life.character(2).crashes = True
    assert life.run(60, stop=lambda: life.status["phase"] in ("RollingBack", "RolledBack"))


# --- no Gateway API ---------------------------------------------------------------------------------------------------


def test_without_httproutes_the_service_says_what_to_install_and_serves_inside_the_cluster() -> None:
    life = GatewayLife(version(1), behind())
    life.cluster.absent["HTTPRoute"] = "the cluster does not serve httproutes: install them"
    life.until("Held")
    assert life.status["heldReason"] == "GatewayAPIMissing"
    assert life.condition("RouteAccepted")["message"] == "the cluster does not serve httproutes: install them"
    assert life.http_route is None
    assert life.cluster.objects[ROUTE.__class__("v1", "Service", "demo", "digits")]["spec"]["selector"]
    life.cluster.absent.clear()
    assert life.run(60, stop=lambda: life.serves(1))
    life.run(5)
    assert life.condition("RouteAccepted")["status"] == "True"


def test_a_builtin_service_does_not_care_whether_there_are_httproutes() -> None:
    life = GatewayLife(version(1), service(), rate=200)
    life.cluster.absent["HTTPRoute"] = "not served"
    life.until("Idle")
    assert life.http_route is None and life.condition("RouteAccepted") == {}


# --- chosen requests --------------------------------------------------------------------------------------------------


def test_a_header_sends_requests_to_one_version_while_two_take_requests() -> None:
    life = started(gateway={"armHeader": "x-arm"})
    life.add(version(2))
    life.until("Analyzing")
    life.run(1)
    stable, candidate = (life.status[one]["revision"] for one in ("stable", "candidate"))
    headers = [rule["matches"][0]["headers"][0] for rule in rules(life)[1:]]
    assert headers == [
        {"type": "Exact", "name": "x-arm", "value": "stable"},
        {"type": "Exact", "name": "x-arm", "value": "candidate"},
    ]
    assert [[one["name"] for one in rule["backendRefs"]] for rule in rules(life)[1:]] == [[stable], [candidate]]
    assert [one["weight"] for one in rules(life)[0]["backendRefs"]] == [90, 10]


def test_rules_keep_their_places_through_a_release_and_the_header_means_nothing_when_one_version_answers() -> None:
    """A gateway may name upstreams after places: one that came and went would cost requests under way."""
    life = started(gateway={"armHeader": "x-arm"})
    seen: list[Any] = []

    def ended() -> bool:
        seen.append([rule["matches"] for rule in rules(life)])
        return life.serves(2)

    life.add(version(2))
    assert life.run(400, stop=ended)
    assert len(seen[0]) == 3 and all(one == seen[0] for one in seen)
    life.run(2)
    everybody, *chosen = [rule["backendRefs"] for rule in rules(life)]
    assert chosen == [everybody, everybody]


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_is_the_gateways_to_keep_and_only_among_those_who_have_a_share() -> None:
    life = started(gateway={"session": SESSION, "armHeader": "x-arm"})
    kept = {"type": "Header", "sessionName": "x-session"}
    life.character(2).failing = 0.3
    life.add(version(2))
    life.until("Analyzing")
    life.run(1)
    everybody, *chosen = rules(life)
    assert everybody["sessionPersistence"] == kept
    assert [one["weight"] for one in everybody["backendRefs"]] == [90, 10]
    assert all("sessionPersistence" not in rule for rule in chosen)
    assert life.run(60, stop=lambda: life.status["phase"] == "RollingBack")
    # A weight of 0 would leave the users of its sessions with the version that failed.
    assert [one["name"] for one in rules(life)[0]["backendRefs"]] == [life.status["stable"]["revision"]]
    assert rules(life)[0]["sessionPersistence"] == kept


def test_users_who_stay_with_a_version_do_not_make_the_split_a_mistake() -> None:
    for gateway, tolerance in (({}, 0.1), ({"session": SESSION}, None), ({"armHeader": "x-arm"}, None)):
        spec = InferenceServiceSpec.model_validate(behind(gateway)["spec"])
        assert policy(Observed({}, spec, InferenceServiceStatus(), Settings(), 0.0)).split_tolerance == tolerance


def test_httproutes_that_keep_no_sessions_hold_a_release_until_they_do() -> None:
    life = started(gateway={"session": SESSION})
    life.cluster.absent["HTTPRoute.sessionPersistence"] = "no sessions: install the experimental channel"
    life.add(version(2))
    life.until("Held")
    assert (life.status["heldReason"], life.status["weight"]) == ("SessionPersistenceMissing", 0)
    assert "install the experimental channel" in life.status["message"]
    assert "sessionPersistence" not in rules(life)[0], "an API server would refuse to write it"
    before = len(life.effects)
    life.ring()
    life.run(5)
    assert [one.target for one in life.effects[before:] if "HTTPRoute" in one.target] == []
    life.cluster.absent.clear()
    life.until("Analyzing", 60)
    assert rules(life)[0]["sessionPersistence"]["sessionName"] == "x-session"


def test_without_sessions_nobody_asks_whether_httproutes_keep_them() -> None:
    life = GatewayLife(version(1), behind())
    life.cluster.absent["HTTPRoute.sessionPersistence"] = "no sessions"
    life.until("Idle")
    assert life.condition("RouteAccepted")["status"] == "True"


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_behind_a_gateway_each_pod_counts_what_it_answered_for_its_own_revision() -> None:
    buckets = (0,) * (len(names.LATENCY_EDGES) + 1)
    chosen = {("r1", "ok"): 7, ("r2", "timeout"): 3}
    pod = PodCounters("pod", "r1", 1.0, 4, chosen, buckets, served={"ok": 90, "server_error": 2})
    (read,) = counted(Sample(5.0, (pod,))).pods
    assert read.arm_requests == {("r1", "ok"): 90, ("r1", "server_error"): 2}
    assert (read.epoch, read.latency, read.started) == (4, buckets, 1.0)


def test_users_inside_the_cluster_and_users_of_the_gateway_are_evidence_alike() -> None:
    life = GatewayLife(version(1), behind(), rate=100, through=100)
    life.until("Idle")
    life.add(version(2))
    life.until("Analyzing")
    assert life.run(60, stop=lambda: bool(life.status["windows"]))
    (first, *_) = life.status["windows"]
    assert int(first["candidate"].split("/")[1]) > 20  # 10 % of 200 a second for a window of two
