"""What is kept of the own model's answers for later judgement: bins, prediction ids, feedback, the payload log."""

import random
import secrets
import time
from collections.abc import Iterator

from plimsoll_serving.codec import Answer
from plimsoll_serving.counting.counter import BinCounter
from plimsoll_serving.counting.plan import plan
from plimsoll_serving.counting.reference import Reference, parse
from plimsoll_serving.engine import Engine
from plimsoll_serving.errors import ArtifactError
from plimsoll_serving.families import Family
from plimsoll_serving.feedback.annotation import Annotation, predicted_output
from plimsoll_serving.feedback.book import FeedbackBook
from plimsoll_serving.feedback.counts import FeedbackCounts
from plimsoll_serving.feedback.endpoint import FeedbackEndpoint
from plimsoll_serving.feedback.keys import read_keys
from plimsoll_serving.feedback.token import Signer
from plimsoll_serving.http.message import Header
from plimsoll_serving.logs import LOGGER, ErrorLog
from plimsoll_serving.payload.events import EventWriter, mask_of
from plimsoll_serving.payload.log import PayloadCounts, PayloadLog, WaitingBytes
from plimsoll_serving.payload.sinks import open_sink
from plimsoll_serving.settings import Settings


class Evidence:
    """Follows one model; made on the event loop.

    Args:
        payloads: what payload logs of several models may have waiting together.

    Attributes:
        feedback: answers ``POST …/feedback``, also before the model is loaded.

    Raises:
        SettingsError: the key file, or the sink of the payload log.
    """

    def __init__(self, settings: Settings, payloads: WaitingBytes | None = None) -> None:
        me = settings.identity
        self._waiting = payloads or WaitingBytes()
        self._settings = settings
        keys = read_keys(settings.feedback_key_file)
        names = (me.model, me.version, me.revision)
        self._signer = Signer(keys, f"{me.namespace}/{me.service}", names, secrets.randbits(63))
        self._feedback = FeedbackCounts(me.model, me.version)
        book = FeedbackBook(self._signer, me.model, self._feedback, settings.feedback_max_age, time.time)
        self.feedback = FeedbackEndpoint(book)
        self._payloads = PayloadCounts(me)
        self._sink = open_sink(settings.payload_log, me) if settings.payload_log.share else None
        self._bins: BinCounter | None = None
        self._annotation: Annotation | None = None
        self._log: PayloadLog | None = None
        self._logs_id = True
        self._errors = ErrorLog()

    def attach(self, engine: Engine) -> None:
        """Follow this model's answers from now on; its warm-up is over. Raises SettingsError for the log's mask.

        The same model may come again, after it was out of memory: its counts go on.
        """
        reference = _reference(engine)
        self._count(engine, reference)
        output = predicted_output(engine.signature)
        if output is None:
            LOGGER.info("answers have no prediction id: the model has no output of one value a row")
        else:
            self._annotation = Annotation(self._signer, output)
        if self._sink is not None and self._log is None:
            features = {entry.name: entry.index for entry in reference.features}
            mask = mask_of(self._settings.payload_log.mask, engine.signature, features)
            # The id holds what was predicted.
            self._logs_id = output is None or output not in mask.tensors
            writer = EventWriter(self._settings.identity, engine.signature, mask)
            self._log = PayloadLog(
                self._payloads, writer, self._sink, self._settings.payload_log.share, random.random, self._waiting
            )
        if self._annotation is not None or self._log is not None:
            engine.annotate.append(self._annotate)

    def _count(self, engine: Engine, reference: Reference) -> None:
        chosen = plan(reference, engine.signature, self._settings.counted_features)
        if chosen is None:
            return
        if chosen.unknown or chosen.beyond:
            LOGGER.info(
                "not every feature of the profile is counted",
                extra={"fields": {"notInputs": chosen.unknown[:20], "beyondTheLimit": chosen.beyond}},
            )
        if self._bins is None:
            self._bins = BinCounter(self._settings.identity, chosen, self._settings.counted_rows_per_second)
        engine.observers.append(self._bins)

    def _annotate(self, answer: Answer) -> Header | None:
        """The id of an answer. What fails here must not cost it: then there is none, says the log."""
        try:
            header = self._annotation.header(answer) if self._annotation is not None else None
            if self._log is not None and self._log.chosen():
                token = header[1].decode() if header and self._logs_id else None
                self._log.offer(answer.request.id, answer.request.inputs, answer.outputs, token)
        except Exception as error:
            self._errors.report("an answer has no prediction id", detail=f"{type(error).__name__}: {error}"[:300])
            return None
        return header

    def collect(self) -> Iterator[Family]:
        """Every family, for the metrics."""
        if self._bins is not None:
            yield from self._bins.collect()
        yield from self._feedback.collect()
        yield from self._payloads.collect()

    @property
    def logs(self) -> bool:
        """Whether there is a payload log to be closed."""
        return self._log is not None

    def close(self) -> None:
        """Write what waits for the payload log, within its bound. Blocks."""
        if self._log is not None:
            self._log.close()


def _reference(engine: Engine) -> Reference:
    """The profile's bins; none when they cannot be read, for a model serves without them as well."""
    if engine.profile is None:
        return Reference()
    try:
        return parse(engine.profile)
    except ArtifactError as error:
        LOGGER.warning("bins are not counted by the profile: %s", error)
        return Reference()
