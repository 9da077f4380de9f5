"""What a terminal shows once a model is ready."""

from collections.abc import Sequence

from plimsoll_serving import __version__
from plimsoll_serving.description.example import Described, curl


def first_screen(models: Sequence[Described], base: str, grpc: str, metrics: str) -> str:
    """The text.

    Args:
        base: address of the server, such as ``http://127.0.0.1:8080``.
        grpc: host and port of gRPC.
        metrics: address of its metrics.
    """
    lines = [f"Plimsoll {__version__} serves at {base}", ""]
    for model in models:
        lines += [f"  model    {model.name}, version {model.version}"]
        tensors = [("inputs", model.signature.inputs), ("outputs", model.signature.outputs)]
        width = max(len(name) for _, group in tensors for name in group)
        for title, group in tensors:
            for index, tensor in enumerate(group.values()):
                label = title if index == 0 else ""
                lines.append(f"  {label:<8} {tensor.name:<{width}}  {tensor.datatype.name} {list(tensor.shape)}")
        row = "a row of its profile" if model.real else "zeros; --profile gives a real row"
        lines += ["", f"Ask it ({row}):", "", f"  {curl(model, base)}", ""]
    lines += [
        f"  docs     {base}/docs",
        f"  API      {base}/openapi.json",
        f"  gRPC     {grpc}",
        f"  metrics  {metrics}",
        "",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines) + "\n"
