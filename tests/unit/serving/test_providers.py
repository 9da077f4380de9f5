"""Execution providers that ONNX Runtime leaves out without an error, and the images that have them."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime
import pytest
from plimsoll_serving import providers
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.model import Model

from tests.builders import onnx_models

REQUIREMENTS = Path(__file__).parents[3] / "requirements"
MODEL = onnx_models.linear_regressor([1.0, 2.0], 3.0)
CUDA = "CUDAExecutionProvider"


class OnTheCpu:
    """What ONNX Runtime makes of a session on a GPU where there is none: one on the CPU."""

    def __init__(self, data: bytes, options: onnxruntime.SessionOptions, **asked: object) -> None:
        assert asked == {"providers": [CUDA, providers.CPU], "enable_fallback": 0}

    def get_providers(self) -> list[str]:
        return [providers.CPU]


def test_a_pod_without_the_device_does_not_run_on_the_cpu_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, providers.CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnTheCpu)
    with pytest.raises(
        SettingsError, match=r"is CUDAExecutionProvider, which .* could not start here: .*runtime\.resources\.extended"
    ):
        Model(MODEL, 1, (CUDA,))


def test_a_plugin_beside_another_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.OPENVINO, "Other", providers.CPU])
    with pytest.raises(SettingsError, match="OpenVINOExecutionProvider goes with no other"):
        Model(MODEL, 1, (providers.OPENVINO, "Other"))


@pytest.mark.parametrize("asked", [(), (providers.CPU,)], ids=str)
def test_the_cpu_is_what_is_used_where_nothing_else_is_asked_for(asked: tuple[str, ...]) -> None:
    assert Model(MODEL, 1, asked).providers == [providers.CPU]


def pinned(name: str) -> dict[str, str]:
    """Requirement → version and marker, of an image's list."""
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    return {
        f"{one}{marker}": version for one, version, marker in re.findall(r"^(\S+)==(\S+)(.*?) \\$", text, re.MULTILINE)
    }


@pytest.mark.parametrize(
    ("image", "more"), [("serving-openvino", {"onnxruntime-ep-openvino"}), ("serving-cuda", {"onnxruntime-gpu"})]
)
def test_every_image_of_the_server_has_the_same_versions(image: str, more: set[str]) -> None:
    """Or `make lock` found another ONNX Runtime for one of them: narrow the ranges in pyproject.toml."""
    usual, special = pinned("serving"), pinned(image)
    assert more < special.keys()
    if "onnxruntime-gpu" in special:
        special["onnxruntime"] = special.pop("onnxruntime-gpu")
    assert usual.items() <= special.items()
    assert all(name.startswith("nvidia-") or name in more for name in special.keys() - usual.keys())
