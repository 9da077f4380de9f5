"""The program itself: its help, its completions, what it imports, what it makes of kubectl's words."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import click
import pytest
from plimsoll import cli
from plimsoll.cli import kubectl
from plimsoll.cli.app import COMMANDS, app
from plimsoll.cli.completion import for_kubectl
from plimsoll.cli.times import lasted
from plimsoll.cli.trouble import Conflict, NotFound, Trouble

from plugins.krew import build
from tests.unit.cli.conftest import Terminal
from tests.unit.docs.pages import ROOT


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_subcommand_shows_examples_that_it_takes(terminal: Terminal, name: str) -> None:
    done = terminal.run(name, "--help")
    assert done.exit_code == 0
    shown = [line.strip() for line in done.output.partition("Examples:")[2].splitlines() if line.strip()]
    assert shown and all(f"kubectl plimsoll {name}" in line for line in shown)


def test_the_program_starts_without_what_is_slow_or_the_operators() -> None:
    code = "import sys; from plimsoll.cli import app, status, orders, wait, diff; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "operator", capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"kopf", "kubernetes", "aiohttp", "numpy", "scipy", "pydantic", "asyncio"} == set()


def test_a_replay_needs_only_numpy_and_scipy_beside_the_program() -> None:
    code = "import sys; from plimsoll.cli import replay; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "operator", capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"kopf", "kubernetes", "aiohttp", "pydantic"} == set()


def test_simulate_needs_only_numpy_scipy_and_pydantic_beside_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "kubectl-plimsoll"
    archive.write_bytes(build.program())
    example = ROOT / "examples" / "strategies" / "blue-green.yaml"
    asked = ["simulate", "-f", str(example), "--requests-per-second=50", "--error-rate=1%", "--runs=2", "--effect=1"]
    bare = subprocess.run([sys.executable, "-I", "-S", archive, *asked], capture_output=True, text=True, check=False)
    assert bare.returncode == 1 and "Traceback" not in bare.stderr
    assert (
        "simulate needs numpy, scipy and pydantic" in bare.stderr and "pip install numpy scipy pydantic" in bare.stderr
    )
    libraries, site = tmp_path / "site", Path(sysconfig.get_path("purelib"))
    libraries.mkdir()
    for name in ("numpy", "numpy.libs", "scipy", "scipy.libs", "pydantic", "pydantic_core", "annotated_types",
                 "typing_inspection", "typing_extensions.py"):  # fmt: skip
        (libraries / name).symlink_to(site / name)
    done = subprocess.run(
        [sys.executable, "-S", archive, *asked], env={"PYTHONPATH": str(libraries)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "PROMOTED" in done.stdout, done.stderr


def test_the_programs_version_is_the_projects() -> None:
    assert cli.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


# --- completions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_asks_this_program(terminal: Terminal, shell: str) -> None:
    done = terminal.run("completion", shell)
    assert done.exit_code == 0
    assert f"_KUBECTL_PLIMSOLL_COMPLETE={shell}_complete" in done.output


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["pro"], ["promote"]),
        (["status", ""], ["digits"]),
        (["status", "-n", "shop", "d"], ["digits"]),
        (["status", "x"], []),
        (["diff", ""], ["digits-v1"]),
        (["wait", "digits", "--for", "ro"], ["rolled-back"]),
        (["status", "digits", "--wat"], ["--watch"]),
    ],
)
def test_kubectl_is_answered_as_it_asks_plugins(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], words: list[str], answers: list[str]
) -> None:
    assert for_kubectl(app, words) == 0
    *found, directive = capsys.readouterr().out.splitlines()
    assert [line.partition("\t")[0] for line in found] == answers
    assert directive == ":4"


def test_completions_are_silent_when_the_cluster_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert for_kubectl(app, ["status", ""]) == 0
    assert capsys.readouterr().out == ":4\n"


def test_without_kubectl_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Trouble, match="kubectl is not on PATH: install it"):
        kubectl.Kubectl.found([])


# --- kubectl's words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ('Error from server (NotFound): x "a" not found\n', NotFound, 'x "a" not found'),
        ("Error from server (Conflict): Operation cannot be fulfilled", Conflict, "Operation cannot be fulfilled"),
        (
            "Error from server (Forbidden): x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied "
            "request: ann may not abort here",
            Trouble,
            "ann may not abort here",
        ),
        (
            'E1127 03:50:20.1 1 memcache.go:265] "Unhandled Error"\nThe connection to the server x was refused',
            Trouble,
            "The connection to the server x was refused",
        ),
        ("", Trouble, "kubectl failed and did not say why"),
    ],
)
def test_what_kubectl_says_becomes_a_sentence(said: str, kind: type[Trouble], message: str) -> None:
    found = kubectl._trouble(said)
    assert (type(found), found.message) == (kind, message)


def test_a_cluster_without_our_kinds_is_told_with_the_remedy() -> None:
    found = kubectl._trouble('error: the server doesn\'t have a resource type "inferenceservices"\n')
    assert found.message.endswith("install Plimsoll in this cluster, or choose another by --context")


def test_documents_are_read_as_kubectl_writes_them_one_after_the_other() -> None:
    given = [{"type": "ADDED", "object": {"a": "}\n}"}}, {"type": "MODIFIED", "object": {"b": [1, {"c": 2}]}}]
    text = "".join(json.dumps(one, indent=4) + "\n" for one in given)
    assert list(kubectl.documents(io.StringIO(text))) == given
    events = "".join(json.dumps(one) + "\n" for one in given)
    assert list(kubectl.documents(io.StringIO(events))) == given, "as events of a watch are"


def test_the_group_is_a_click_group_whose_commands_bear_their_names() -> None:
    context = click.Context(app)
    assert [app.get_command(context, name).name for name in COMMANDS] == list(COMMANDS)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5s"), (119, "119s"), (200, "3m20s"), (1800, "30m"), (5 * 3600 + 600, "5h10m"), (86400 * 3, "3d"), (-4, "0s")],
)
def test_ages_are_written_as_kubectl_writes_them(seconds: float, text: str) -> None:
    assert lasted(seconds) == text
