"""Alerts and dashboard of the chart: read by Prometheus' own tool, and about metrics that are exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.runtime import Runtime
from plimsoll.core.revision import baseline_name
from plimsoll.core.revision import render as revision_of
from plimsoll.core.serving_pod import Serving
from plimsoll.facts import Settings

from tests.builders import prometheus
from tests.builders.release import version
from tests.integration.chart.rendering import CHART, Manifest, named, of_kind, render
from tests.unit.docs import source
from tests.unit.docs.pages import ROOT, Page

RULES = CHART / "monitoring" / "rules.yaml"
DASHBOARD: dict[str, Any] = json.loads((CHART / "monitoring" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TESTS = Path(__file__).parent / "rules_test.yaml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
#: What Grafana puts in the places of its variables.
GRAFANA = {"$namespace": ".+", "$inferenceservice": ".+", "$__rate_interval": "5m", "$__range": "6h"}


def promtool(*arguments: str | Path, folder: Path = ROOT) -> None:
    command = [str(prometheus.program("promtool")), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def queries() -> list[str]:
    """Every PromQL of the dashboard, with Grafana's variables filled in."""
    found = [target["expr"] for panel in PANELS for target in panel["targets"]]
    found += [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    for variable, value in GRAFANA.items():
        found = [query.replace(variable, value) for query in found]
    return found


def exported() -> frozenset[str]:
    """Names of series of operator and servers; those of histograms have endings of their own."""
    names = source.operator_metrics() | source.server_metrics()
    return names | {f"{name}_{part}" for name in names for part in ("bucket", "sum", "count")}


def test_the_alerts_are_rules_of_prometheus() -> None:
    promtool("check", "rules", RULES)


def test_every_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    for file in (RULES, TESTS):
        shutil.copy(file, tmp_path)
    promtool("test", "rules", TESTS.name, folder=tmp_path)
    cases = yaml.safe_load(TESTS.read_text())["tests"]
    fired = {one["alertname"] for case in cases for one in case["alert_rule_test"] if one.get("exp_alerts")}
    assert fired == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_every_alert_has_a_severity_and_its_section_of_the_runbook(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert anchor == alert["alert"].lower()
    assert anchor in Page(ROOT / page).anchors
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description"} <= alert["annotations"].keys()


def test_the_runbook_explains_no_alert_that_is_not_there() -> None:
    headings = re.findall(r"^## (Plimsoll\w+)$", Page(ROOT / "docs/alerts.md").text, re.MULTILINE)
    assert sorted(headings) == sorted(alert["alert"] for alert in ALERTS)


@pytest.mark.parametrize("text", [*(alert["expr"] for alert in ALERTS), *queries()])
def test_alerts_and_dashboard_ask_for_metrics_that_are_exported(text: str) -> None:
    named_metrics = set(re.findall(r"\bplimsoll_\w+", text))
    assert named_metrics
    assert named_metrics - exported() == set()


def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    assert not any("$" in rule["expr"] for rule in rules), "a variable of Grafana that this test does not know"
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_every_panel_has_a_title_a_description_and_a_place_of_its_own() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells


def test_the_dashboard_asks_the_data_source_that_its_reader_chooses() -> None:
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "namespace", "inferenceservice"}
    asked = [panel["datasource"] for panel in PANELS]
    asked += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    assert {one["uid"] for one in asked} == {"${datasource}"}


def test_a_panel_shows_the_revisions_of_the_chosen_service_and_of_none_whose_name_begins_alike() -> None:
    texts = {target["expr"] for panel in PANELS for target in panel["targets"]}
    (asked,) = {found for text in texts for found in re.findall(r'revision=~"([^"]+)"', text)}
    pattern = asked.replace("$inferenceservice", "digits")
    stable, other = revision("digits"), revision("digits-eu")
    assert all(re.fullmatch(pattern, one) for one in (stable, baseline_name(stable, 7)))
    assert not re.fullmatch(pattern, other) and not re.fullmatch(pattern, baseline_name(other, 7))


def revision(service: str) -> str:
    """The name of a revision of this service."""
    model = ModelVersionSpec.model_validate(version(7)["spec"])
    serving = Serving(service, "demo", "7", model, Runtime())
    return revision_of(serving, Settings(serving_image="any"), None, 1).name


# --- in the chart ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chart() -> list[Manifest]:
    return render("metrics.podMonitor=true", "metrics.prometheusRule=true", "metrics.dashboard=true")


def test_the_rule_of_the_chart_is_the_rule_file(chart: list[Manifest]) -> None:
    assert named(chart, "PrometheusRule", "plimsoll")["spec"] == yaml.safe_load(RULES.read_text())


def test_the_dashboard_of_the_chart_is_found_by_the_sidecar_of_grafana(chart: list[Manifest]) -> None:
    config_map = named(chart, "ConfigMap", "plimsoll-dashboard")
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config_map["data"]["plimsoll-releases.json"]) == DASHBOARD


def test_the_pod_monitor_finds_the_port_of_servers_in_the_watched_namespaces(chart: list[Manifest]) -> None:
    spec = named(chart, "PodMonitor", "plimsoll-servers")["spec"]
    assert spec["namespaceSelector"] == {"any": True}
    assert spec["podMetricsEndpoints"] == [{"port": "metrics", "path": "/metrics"}]
    some = render("metrics.podMonitor=true", "watchNamespaces={one,two}")
    assert named(some, "PodMonitor", "plimsoll-servers")["spec"]["namespaceSelector"] == {"matchNames": ["one", "two"]}


def test_nothing_of_the_prometheus_operator_is_installed_unasked() -> None:
    assert of_kind(render(), "ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap") == []
