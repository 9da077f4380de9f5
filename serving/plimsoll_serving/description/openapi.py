"""The server's API with each model's own types, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1)."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from plimsoll_serving import __version__
from plimsoll_serving.description.example import Described, frame_request, instances_request, v2_request
from plimsoll_serving.feedback.endpoint import MAX_ITEMS
from plimsoll_serving.v2.signature import Tensor

Json = dict[str, Any]
OPENAPI = "3.1.1"
VALUES: dict[str, Json] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": ["number", "null", "string"]},
    "bytes": {"type": "string"},
    "raw": {},
}
ERROR = {"$ref": "#/components/responses/Error"}
MISSING = {"404": ERROR}
FAILURES = {"400": ERROR, "413": ERROR, "500": ERROR, "503": ERROR}


def document(models: Sequence[Described], sagemaker: bool) -> Json:
    """The whole document.

    Args:
        sagemaker: whether ``/invocations`` is served: only where there is one model.
    """
    paths = _server_paths()
    for model in models:
        paths |= _model_paths(model)
    if sagemaker and models:
        paths |= _sagemaker_paths(models[0])
    return {
        "openapi": OPENAPI,
        "info": {
            "title": " and ".join(model.name for model in models[:3]) or "Plimsoll",
            "version": models[0].version if len(models) == 1 else __version__,
            "summary": "ONNX models over the Open Inference Protocol V2",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"responses": {"Error": _error()}},
    }


def _error() -> Json:
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return {"description": "What was wrong, in a sentence", "content": _json(schema)}


def _json(schema: Json, examples: dict[str, Any] | None = None) -> Json:
    media: Json = {"schema": schema}
    if examples:
        media["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"application/json": media}


def _get(summary: str, schema: Json | None = None, failures: Json | None = None, media: str = "") -> Json:
    content = {media: {"schema": {"type": "string"}}} if media else _json(schema or {"type": "object"})
    return {
        "get": {
            "summary": summary,
            "responses": {"200": {"description": summary, "content": content}, **(failures or {})},
        }
    }


def _post(summary: str, request: Json, response: Json, failures: Json | None = None) -> Json:
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": request},
            "responses": {
                "200": {"description": "The answer", "content": response},
                **(FAILURES if failures is None else failures),
            },
        }
    }


def _flag(name: str) -> Json:
    return {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}


def _server_paths() -> Json:
    names = {"type": "object", "properties": {"models": {"type": "array", "items": {"type": "string"}}}}
    index = {"type": "array", "items": {"type": "object", "required": ["name", "state"]}}
    asked = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    return {
        "/v2": _get("The server and its extensions"),
        "/v2/health/live": _get("Whether the process answers", _flag("live")),
        "/v2/health/ready": _get("Whether it takes inferences", _flag("ready"), {"503": ERROR}),
        "/v2/models": _get("Names of the models", names),
        "/v1/models": _get("Names of the models", names),
        "/v2/repository/index": _post(
            "Models and their state", _json(asked, {"all": {}}), _json(index), {"400": ERROR}
        ),
        "/docs": _get("A page for people", failures={"503": ERROR}, media="text/html"),
        "/openapi.json": _get("This document", failures={"503": ERROR}),
    }


def _model_paths(model: Described) -> Json:
    name = quote(model.name)
    signature = model.signature
    request = _tensors("inputs", list(signature.inputs.values()))
    request["properties"]["id"] = {"type": "string"}
    request["properties"]["outputs"] = {"type": "array", "items": {"type": "object", "required": ["name"]}}
    response = _tensors("outputs", list(signature.outputs.values()))
    response["properties"] |= {"model_name": {"const": model.name}, "model_version": {"type": "string"}}
    row = instances_request(model)
    instances = _json(_instances(model), {"row": row} if row else None)
    ready = _get("Whether the model takes inferences", _flag("ready"), {"503": ERROR})
    v2 = {
        "": _get("Inputs and outputs of the model", None, {"503": ERROR}),
        "/ready": ready,
        "/infer": _post("An inference", _json(request, {"row": v2_request(model)}), _json(response)),
        "/feedback": _feedback(),
    }
    v1 = {"": ready, ":predict": _post("An inference, as KServe V1", instances, _json(_predictions()))}
    changed = _json({"type": "object"}, {"whole": {}}), _json({"type": "object"}), {"400": ERROR, "403": ERROR}
    return {
        **_versions(f"/v2/models/{name}", model.version, v2),
        **_versions(f"/v1/models/{name}", model.version, v1),
        f"/v2/repository/models/{name}/load": _post("Load the model, where that is allowed", *changed),
        f"/v2/repository/models/{name}/unload": _post("Unload the model, where that is allowed", *changed),
        model.example_path: _get("A row that the model takes, as the body of an inference", request, {"503": ERROR}),
    }


def _versions(path: str, version: str, operations: Json) -> Json:
    """The operations of the version that the route chooses, and of this one by name."""
    pinned = f"{path}/versions/{quote(version)}"
    return {
        **{path + verb: operation for verb, operation in operations.items()},
        **{pinned + verb: _of_version(operation) for verb, operation in operations.items()},
    }


def _of_version(operation: Json) -> Json:
    """The same; another version is a 404."""
    return {
        method: told | {"summary": f"{told['summary']}, by this version", "responses": told["responses"] | MISSING}
        for method, told in operation.items()
    }


def _feedback() -> Json:
    """One piece of feedback, or a list of them (`FeedbackEndpoint`)."""
    one = {
        "type": "object",
        "required": ["prediction_id", "label"],
        "properties": {
            "prediction_id": {"type": "string", "description": "The answer's header plimsoll-prediction-id"},
            "label": {"description": "What turned out to be true; of several rows a list, null where it is not known"},
        },
    }
    told = {
        "type": "object",
        "required": ["counted", "repeated", "refused"],
        "properties": {
            "counted": {"type": "integer", "description": "Rows"},
            "repeated": {"type": "integer", "description": "Ids that were counted before"},
            "refused": {"type": "array", "items": {"type": "object", "required": ["index"]}},
        },
    }
    body = {"oneOf": [one, {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": one}]}
    example = {"label": {"prediction_id": "1.WyJka", "label": 3}}
    return _post("What turned out to be true", _json(body, example), _json(told), {"400": ERROR, "413": ERROR})


def _sagemaker_paths(model: Described) -> Json:
    bodies = {"instances": instances_request(model), "dataframe_split": frame_request(model)}
    content = _json({"type": "object"}, {name: body for name, body in bodies.items() if body})
    content["text/csv"] = {"schema": {"type": "string"}}
    ping = {"summary": "Whether it takes inferences", "responses": {"200": {"description": "It does"}, "503": ERROR}}
    return {
        "/ping": {"get": ping},
        "/health": {"get": ping},
        "/invocations": _post("An inference, as SageMaker and MLflow", content, _json(_predictions())),
    }


def _tensors(key: str, tensors: Sequence[Tensor]) -> Json:
    items = {"anyOf": [_tensor(tensor) for tensor in tensors]} if tensors else {}
    return {"type": "object", "required": [key], "properties": {key: {"type": "array", "items": items}}}


def _tensor(tensor: Tensor) -> Json:
    sizes = [{"type": "integer", "minimum": 0} if size < 0 else {"const": size} for size in tensor.shape]
    shape: Json = {"type": "array", "minItems": len(sizes), "maxItems": len(sizes)}
    if sizes:
        shape["prefixItems"] = sizes
    return {
        "type": "object",
        "title": tensor.name,
        "description": f"{tensor.datatype.name} {list(tensor.shape)}",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": tensor.name},
            "datatype": {"const": tensor.datatype.name},
            "shape": shape,
            "data": {"type": "array", "items": VALUES[tensor.datatype.kind]},
        },
    }


def _instances(model: Described) -> Json:
    row: Json = {"description": "A row: values in order, or an object of column and value"}
    if model.columns:
        row["description"] = f"A row: values in this order, or an object of them: {', '.join(model.columns)}"
    return {"type": "object", "properties": {"instances": {"type": "array", "minItems": 1, "items": row}}}


def _predictions() -> Json:
    return {"type": "object", "required": ["predictions"], "properties": {"predictions": {}}}
