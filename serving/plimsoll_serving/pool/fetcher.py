"""The sidecar of a pool's pod: brings the files that the documents name, verified, and removes those of nobody."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from plimsoll_serving.artifact import MODEL_FILE, PROFILE_FILE
from plimsoll_serving.errors import ArtifactError, FetchError, SettingsError
from plimsoll_serving.fetch import fetch_one, size_of
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.pool.document import File, Files
from plimsoll_serving.pool.documents import Documents
from plimsoll_serving.pool.host import note_path
from plimsoll_serving.settings import Environment

POLL_SECONDS = 0.1
# After a failure, doubled from one to the next.
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0


class Fetcher:
    """One pass at a time; a revision that cannot be had keeps no other from being fetched.

    Args:
        storage: bytes that all files together may have.
    """

    def __init__(self, documents: Documents, folder: Path, storage: int, env: Environment) -> None:
        self._documents = documents
        self._folder = folder
        self._storage = storage
        self._env = env
        self._wanted: dict[str, Files] = {}
        self._retry: dict[str, tuple[float, float]] = {}

    def look(self, now: float) -> None:
        """Bring what is missing. ``now`` is monotonic seconds."""
        members = self._documents.changed()
        if members is not None:
            self._wanted = {name: files for one in members.values() for name, files in one.revisions.items()}
            self._retry = {name: when for name, when in self._retry.items() if name in self._wanted}
            self._clear()
        for revision, files in self._wanted.items():
            due = self._retry.get(revision, (now, 0.0))[0] <= now
            if due and not (self._folder / revision).is_dir():
                self._try(revision, files, now)

    def _clear(self) -> None:
        """Without the folders and notes of revisions that no document names any more."""
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            name = path.name.removesuffix(".part").removesuffix(".note")
            if name in self._wanted or name == "marks":
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _try(self, revision: str, files: Files, now: float) -> None:
        try:
            self._bring(revision, files)
        except (ArtifactError, SettingsError) as error:
            self._note(revision, str(error), final=True)
            self._retry[revision] = (float("inf"), 0.0)
        except Exception as error:  # the store's client has many; each is tried again, and said
            told = str(error) if isinstance(error, FetchError) else f"the store does not answer: {_first_line(error)}"
            self._note(revision, told, final=False)
            pause = min(max(2 * self._retry.get(revision, (0.0, 0.0))[1], FIRST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)
            self._retry[revision] = (now + pause, pause)
        else:
            self._retry.pop(revision, None)
            note_path(self._folder / revision).unlink(missing_ok=True)

    def _bring(self, revision: str, files: Files) -> None:
        """Into a folder beside, then renamed: the server never sees half a revision."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{revision}.part"
        part.mkdir(exist_ok=True)
        wanted = [(MODEL_FILE, files.artifact), *([(PROFILE_FILE, files.profile)] if files.profile else [])]
        self._check_room(revision, [file for _, file in wanted])
        for name, file in wanted:
            fetch_one(file.uri, file.sha256, part / name, self._env)
        part.rename(self._folder / revision)

    def _check_room(self, revision: str, files: Iterable[File]) -> None:
        size = sum(size_of(file.uri, self._env) for file in files)
        others = (path for path in self._folder.rglob("*") if path.is_file() and path.parent.name != f"{revision}.part")
        used = sum(path.stat().st_size for path in others)
        if used + size > self._storage:
            raise FetchError(
                f"{size} bytes do not fit beside the {used} of the other models into the {self._storage} of the pool: "
                "raise spec.storage of the ServingPool"
            )

    def _note(self, revision: str, reason: str, *, final: bool) -> None:
        LOGGER.error("not fetched: %s", reason, extra={"fields": {"revision": revision}})
        self._folder.mkdir(parents=True, exist_ok=True)
        path = note_path(self._folder / revision)
        part = path.with_name(f"{revision}.part.note")
        part.write_text(json.dumps({"reason": reason, "final": final}))
        part.replace(path)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()[:200]


def run(values: Mapping[str, str]) -> None:
    """Fetch for ever, until SIGTERM."""
    env = Environment(values)
    documents = Documents(Path(env.text("PLIMSOLL_POOL_DOCUMENTS", "/plimsoll/models")))
    folder = Path(env.text("PLIMSOLL_POOL_DIR", "/plimsoll/pool"))
    storage = env.integer("PLIMSOLL_POOL_STORAGE_BYTES", 5 << 30, 1, 2**50)
    # The first process of a container is not ended by a signal that it does not handle.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    fetcher = Fetcher(documents, folder, storage, env)
    while True:
        fetcher.look(time.monotonic())
        time.sleep(POLL_SECONDS)
