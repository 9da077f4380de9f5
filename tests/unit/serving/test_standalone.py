"""Settings of a server of one file, and where its start goes."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.settings import Settings
from plimsoll_serving.standalone import NO_ROUTE, Options, name_of, settings_of
from plimsoll_serving.startup import Laps, process_seconds

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("path", "name"),
    [("iris.onnx", "iris"), ("/a/My Iris (2).onnx", "My-Iris-2"), ("a.v2.onnx", "a.v2"), ("é.onnx", "model")],
)
def test_a_models_name_comes_from_its_file(path: str, name: str) -> None:
    assert name_of(Path(path)) == name


def options(path: Path, profile: Path | None = None) -> Options:
    return Options(path, None, "1", profile, "127.0.0.1", 8080)


def test_a_file_is_all_the_settings_that_are_needed(tmp_path: Path) -> None:
    model = tmp_path / "iris.onnx"
    model.touch()
    profile = tmp_path / "elsewhere.json"
    profile.touch()
    read: Settings = settings_of(options(model, profile), {"PLIMSOLL_MAX_BODY_BYTES": "7", "PLIMSOLL_HOST": "::"})
    assert (read.identity.model, read.identity.version, read.sha256) == ("iris", "1", SHA256)
    assert read.model_dir / read.model_file == model
    assert (read.model_dir / read.profile_file, read.profile_sha256) == (profile, SHA256)
    assert (read.host, read.public_port, read.metrics_port) == ("127.0.0.1", 8080, 0)
    assert (read.limits.body_bytes, read.drain_seconds, str(read.route_path)) == (7, 0, NO_ROUTE)
    assert settings_of(options(model), {"PLIMSOLL_PROFILE_SHA256": "ab"}).profile_sha256 is None


def test_the_port_of_grpc_is_the_options_then_the_environments_then_a_free_one(tmp_path: Path) -> None:
    model = tmp_path / "iris.onnx"
    model.touch()
    environment = {"PLIMSOLL_GRPC_PORT": "8081"}
    asked = dataclasses.replace(options(model), grpc_port=9001)
    assert settings_of(asked, environment).grpc_port == 9001
    assert settings_of(options(model), environment).grpc_port == 8081
    assert settings_of(options(model), {}).grpc_port == 0


def test_a_file_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"iris\.onnx does not exist$"):
        settings_of(options(tmp_path / "iris.onnx"), {})
    with pytest.raises(SettingsError, match=r"cannot be read: Is a directory$"):
        settings_of(options(tmp_path), {})


def test_the_parts_of_the_start_add_up() -> None:
    before = process_seconds()
    laps = Laps()
    time.sleep(0.03)
    laps.lap("verify")
    laps.lap("load")
    assert list(laps.seconds) == ["verify", "load"]
    assert laps.seconds["verify"] >= 0.03
    assert process_seconds() - before >= laps.seconds["verify"] - 0.02
