"""The traffic of demonstrations and of the soak, against a server here: it counts what it should and tells failures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx

from tests.integration.serving.harness import HOST, ROOT, Server, eventually
from tests.ports import free_port


def test_rows_come_in_both_forms_and_each_answer_is_counted_for_its_row(server: Server, tmp_path: Path) -> None:
    rows = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, -1.0, 2.0], [9.0, 9.0, 9.0, 9.0]]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    port = free_port()
    where = ["--url", server.url(), "--rows", str(tmp_path / "rows.json"), "--port", str(port)]
    command = [sys.executable, str(ROOT / "demo" / "traffic.py"), *where, "--rate", "100", "--mixed"]
    expected = server.infer({"inputs": [{"name": "input", "datatype": "FP32", "shape": [3, 4], "data": rows}]}).json()
    labels = [str(label) for label in expected["outputs"][0]["data"]]
    with subprocess.Popen(command) as traffic:
        report = eventually(lambda: _enough(port), "60 answers")
        traffic.terminate()
    assert report["failures"] == {}
    assert {row: list(counts) for row, counts in report["answers"]["1"].items()} == {
        str(row): [label] for row, label in enumerate(labels)
    }


def _enough(port: int) -> dict[str, dict[str, dict[str, dict[str, int]]]] | None:
    try:
        report = httpx.get(f"http://{HOST}:{port}/report").json()
    except httpx.TransportError:
        return None
    return report if sum(report["requests"].values()) >= 60 else None
