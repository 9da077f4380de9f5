"""A model file served on this machine, without a cluster: settings from a path and a few options."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path

from plimsoll_serving import logs
from plimsoll_serving.artifact import PROFILE_FILE, file_digest
from plimsoll_serving.description.example import describe
from plimsoll_serving.description.screen import first_screen
from plimsoll_serving.errors import ArtifactError, SettingsError
from plimsoll_serving.lifecycle import Ready, run
from plimsoll_serving.settings import Settings

# Nothing can lie below this path: without a cluster there is no route.
NO_ROUTE = "/dev/null/route.json"
OTHERS = re.compile(r"[^A-Za-z0-9._-]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The command line.

    Attributes:
        name: None takes it from the file's name.
        profile: a ``profile.json`` of the model, for its column names and its sample.
        grpc_port: None takes a free one, or that of the environment.
    """

    path: Path
    name: str | None
    version: str
    profile: Path | None
    host: str
    port: int
    grpc_port: int | None = None


def name_of(path: Path) -> str:
    """A model's name from its file's: without the suffix, and ``-`` for what needs quoting in an address."""
    return OTHERS.sub("-", path.stem).strip("-.") or "model"


def settings_of(options: Options, environment: Mapping[str, str]) -> Settings:
    """Settings of a server of one file. Raises SettingsError in a sentence for the terminal.

    Args:
        environment: what it sets still holds, but for what the options say.
    """
    values = {
        "PLIMSOLL_DRAIN_SECONDS": "0",
        "PLIMSOLL_LOG_LEVEL": "warning",
        "PLIMSOLL_CONNECTION_SECONDS": "86400",
        "PLIMSOLL_METRICS_PORT": "0",
        "PLIMSOLL_DIRECT_PORT": "0",
        "PLIMSOLL_GRPC_PORT": "0",
        "PLIMSOLL_GRPC_DIRECT_PORT": "0",
        **environment,
        "PLIMSOLL_MODEL_NAME": options.name or name_of(options.path),
        "PLIMSOLL_MODEL_VERSION": options.version,
        "PLIMSOLL_ARTIFACT_SHA256": _digest(options.path),
        "PLIMSOLL_MODEL_DIR": os.fspath(options.path.absolute().parent),
        "PLIMSOLL_MODEL_FILE": options.path.name,
        "PLIMSOLL_PROFILE_SHA256": "",
        "PLIMSOLL_ROUTE_PATH": NO_ROUTE,
        "PLIMSOLL_HOST": options.host,
        "PLIMSOLL_PUBLIC_PORT": str(options.port),
    }
    if options.grpc_port is not None:
        values["PLIMSOLL_GRPC_PORT"] = str(options.grpc_port)
    if options.profile is not None:
        values["PLIMSOLL_PROFILE_SHA256"] = _digest(options.profile)
        values["PLIMSOLL_PROFILE_FILE"] = os.fspath(options.profile.absolute())
    return Settings.from_environment(values)


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def serve(options: Options, environment: Mapping[str, str], human: bool) -> None:
    """Serve until Ctrl-C. Raises SettingsError and ArtifactError in a sentence for the terminal.

    Args:
        human: whether a person reads the log.
    """
    settings = settings_of(options, environment)
    logs.configure(settings.log_level, settings.identity, human)

    def ready(started: Ready) -> None:
        engine = started.engine
        model = describe(engine.name, engine.version, engine.signature, engine.columns, engine.sample)
        shown = "127.0.0.1" if options.host in ("0.0.0.0", "::", "") else options.host  # noqa: S104
        base, metrics = (f"http://{shown}:{port}" for port in (started.public_port, started.metrics_port))
        grpc = f"{shown}:{started.grpc_port}"
        print(first_screen([model], base, grpc, metrics + "/metrics"), flush=True)  # noqa: T201

    try:
        run(settings, ready)
    except ArtifactError as error:
        raise ArtifactError(_told(str(error), options)) from None


def _told(error: str, options: Options) -> str:
    """With the path of the file at fault; a profile's is known by the name that it has in a store."""
    if options.profile is not None and error.startswith(PROFILE_FILE):
        return f"{options.profile}{error.removeprefix(PROFILE_FILE)}"
    return f"{options.path}: {error}"
