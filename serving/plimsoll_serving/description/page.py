"""``/docs``: one page without anything from elsewhere, that shows the models and tries their example row."""

import base64
import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any
from urllib.parse import unquote

from plimsoll_serving import __version__
from plimsoll_serving.description.example import Described, curl, python, v2_request
from plimsoll_serving.http.message import Header, Response
from plimsoll_serving.v2.signature import Tensor

HTML = b"text/html; charset=utf-8"
SHOWN_COLUMNS = 40


def page(models: Sequence[Described], api: dict[str, Any], base: str) -> Response:
    """The page.

    Args:
        api: the OpenAPI document, whose paths are listed.
        base: address of this server as the reader sees it.
    """
    style, script = _asset("page.css"), _asset("page.js")
    rows = "\n".join(
        f"<tr><td>{method.upper()}</td><td><code>{escape(unquote(path))}</code></td>"
        f"<td>{escape(operation['summary'])}</td></tr>"
        for path, item in api["paths"].items()
        for method, operation in item.items()
    )
    text = Template(_asset("page.html")).substitute(
        title=escape(", ".join(model.name for model in models[:3]) or "Plimsoll"),
        server=__version__,
        style=style,
        script=script,
        models="\n".join(_section(model, base) for model in models),
        endpoints=rows,
    )
    return Response(200, text.encode(), HTML, _policy())


@functools.cache
def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _policy() -> list[Header]:
    """Only this very script and style run, and they talk to this server only."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_hash(_asset('page.css'))}'; "
        f"script-src 'sha256-{_hash(_asset('page.js'))}'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]


def _section(model: Described, base: str) -> str:
    body = json.dumps(v2_request(model), ensure_ascii=False)
    origin = "a row of its profile's sample" if model.real else "zeros: no profile gives a real row"
    columns = ""
    if model.columns:
        more = "" if len(model.columns) <= SHOWN_COLUMNS else f" and {len(model.columns) - SHOWN_COLUMNS} more"
        names = ", ".join(f"<code>{escape(name)}</code>" for name in model.columns[:SHOWN_COLUMNS])
        columns = f"<p>Columns, in this order: {names}{more}</p>"
    return f"""<section>
<h2>{escape(model.name)}, version {escape(model.version)}</h2>
<h3>Inputs</h3>
{_table(model.signature.inputs.values())}
{columns}
<h3>Outputs</h3>
{_table(model.signature.outputs.values())}
<h3>Shell</h3>
<pre>{escape(curl(model, base))}</pre>
<h3>Python</h3>
<pre>{escape(python(model, base))}</pre>
<h3>Try it</h3>
<form data-path="{escape(model.infer_path)}">
<textarea spellcheck="false" aria-label="request body ({escape(origin)})">{escape(body)}</textarea>
<button>Send this row</button> <small>{escape(origin)}</small>
<pre><output>The answer comes here.</output></pre>
</form>
</section>"""


def _table(tensors: Iterable[Tensor]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(tensor.name)}</code></td><td>{tensor.datatype.name}</td><td>{list(tensor.shape)}</td></tr>"
        for tensor in tensors
    )
    head = "<thead><tr><th>name</th><th>type</th><th>shape</th></tr></thead>"
    return f'<table class="tensors">{head}<tbody>{rows}</tbody></table>'
