"""Execution providers: what ONNX Runtime runs a model's operators on, and whether it truly does.

ONNX Runtime leaves out, without an error, a provider that it cannot start (no device, no driver), and gives the CPU
what a provider does not take. Here neither is silent.
"""

import importlib
import json
from collections.abc import Sequence

import onnxruntime

from plimsoll_serving.errors import ArtifactError, SettingsError

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
FIELD = "spec.runtime.executionProvider (PLIMSOLL_EXECUTION_PROVIDERS)"
# Providers that are libraries of their own, and the packages that bring them.
_PLUGINS = {OPENVINO: "onnxruntime_ep_openvino"}
# Those that want NVIDIA's libraries, which may be Python packages that no linker finds.
_OF_NVIDIA = {"CUDAExecutionProvider", "TensorrtExecutionProvider"}


def open_session(
    data: bytes, options: onnxruntime.SessionOptions, names: Sequence[str], threads: int
) -> onnxruntime.InferenceSession:
    """A session whose operators run on the providers of these names, in the order of preference, else on the CPU.

    Raises:
        SettingsError: a provider is not in this image, or ONNX Runtime could not start it.
        ArtifactError: none of the model's operators runs on them.
        Exception: ONNX Runtime refuses the model, in an exception of its own.
    """
    wanted = [name for name in names if name != CPU]
    if not wanted:
        return _session(data, options, [CPU])
    _find(wanted)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if plugin := next((name for name in wanted if name in _PLUGINS), None):
        if len(wanted) > 1:
            raise SettingsError(f"{FIELD}: {plugin} goes with no other but {CPU}; name one of {', '.join(wanted)}")
        # A plugin that is given by its name is left out without an error: it wants its devices.
        options.add_provider_for_devices(_devices(plugin), _openvino(threads))
        session = _session(data, options, None)
    else:
        session = _session(data, options, [*wanted, CPU])
    if out := [name for name in wanted if name not in session.get_providers()]:
        raise SettingsError(_not_started(out[0]))
    if not set(wanted) & set(in_use(session)):
        raise ArtifactError(f"{' and '.join(wanted)} can run no operator of this model; leave {FIELD} out, for the CPU")
    return session


def in_use(session: onnxruntime.InferenceSession) -> list[str]:
    """The providers that have operators of the model, in the order of preference."""
    names: list[str] = session.get_providers()
    if names == [CPU]:
        return names
    taken = {part.ep_name for part in session.get_provider_graph_assignment_info()}
    return [name for name in names if name in taken]


def _session(data: bytes, options: onnxruntime.SessionOptions, names: list[str] | None) -> onnxruntime.InferenceSession:
    # What ONNX Runtime's Python falls back to by itself, at the start or in a run, it says to nobody but stdout.
    return onnxruntime.InferenceSession(data, options, providers=names, enable_fallback=0)


def _find(wanted: Sequence[str]) -> None:
    """Raises SettingsError when the image has not all of them."""
    for name in wanted:
        if name in _PLUGINS and name not in onnxruntime.get_available_providers():
            _register(name)
    if _OF_NVIDIA & set(wanted) & set(onnxruntime.get_available_providers()):
        onnxruntime.preload_dlls()
    there = onnxruntime.get_available_providers()
    if missing := [name for name in wanted if name not in there]:
        raise SettingsError(
            f"{FIELD} is {missing[0]}, which this image does not have: give the chart one that has it "
            f"(image.servingOpenvino, image.servingCuda), or leave the field out; here are {', '.join(there)}"
        )


def _register(name: str) -> None:
    try:
        package = importlib.import_module(_PLUGINS[name])
    except ModuleNotFoundError:
        return
    onnxruntime.register_execution_provider_library(name, package.get_library_path())


def _devices(plugin: str) -> list[onnxruntime.OrtEpDevice]:
    """The processor, as the plugin sees it. Source: `ov_device` in the README of onnxruntime-ep-openvino."""
    found = [
        device
        for device in onnxruntime.get_ep_devices()
        if device.ep_name == plugin and device.ep_metadata.get("ov_device") == "CPU"
    ]
    if not found:
        raise SettingsError(_not_started(plugin))
    return found[:1]


def _openvino(threads: int) -> dict[str, str]:
    """Full precision: by itself OpenVINO takes BF16 where the processor has it, and answers differ in the third digit.

    Source: `inference_precision` and `inference_num_threads` in OpenVINO's page on its CPU device.
    """
    return {
        "load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(threads)}})
    }


def _not_started(name: str) -> str:
    return (
        f"{FIELD} is {name}, which ONNX Runtime could not start here: the pod has no such device, or its driver is "
        "missing; ask for one in spec.runtime.resources.extended, or leave the field out for the CPU"
    )
