"""What the chart gives the operator of where evidence may come from."""

from __future__ import annotations

from typing import Any

from tests.integration.chart.rendering import refusal, render


def operator(*values: str) -> dict[str, Any]:
    """The pod spec of the operator."""
    (found,) = [
        one["spec"]["template"]["spec"]
        for one in render(*values)
        if one["kind"] == "Deployment" and one["metadata"]["name"].endswith("-operator")
    ]
    return found


def variables(pod: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in pod["containers"][0]["env"]}


def test_by_itself_the_operator_asks_nobody_and_runs_no_queries_of_users() -> None:
    found = variables(operator())
    assert found["PLIMSOLL_PROMETHEUS_URL"] == found["PLIMSOLL_ALLOWED_HOSTS"] == ""
    assert found["PLIMSOLL_ALLOW_CUSTOM_QUERIES"] == "false"


def test_the_token_of_the_installs_prometheus_is_mounted_and_never_a_variable() -> None:
    pod = operator(
        "prometheus.url=https://p", "prometheus.tokenSecret=reader", "evidence.allowedHosts={*.example.org,judge}"
    )
    found = variables(pod)
    (volume,) = [one for one in pod["volumes"] if one["name"] == "prometheus-token"]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "prometheus-token"]
    assert volume["secret"]["secretName"] == "reader"
    assert found["PLIMSOLL_PROMETHEUS_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    assert found["PLIMSOLL_ALLOWED_HOSTS"] == "*.example.org,judge"


def test_queries_of_users_need_a_proxy_that_enforces_their_namespace() -> None:
    wanted = ("prometheus.url=http://p", "prometheus.allowCustomQueries=true")
    assert "prometheus.namespaceParameter" in refusal(*wanted)
    assert variables(operator(*wanted, "prometheus.namespaceParameter=namespace"))["PLIMSOLL_ALLOW_CUSTOM_QUERIES"]
