"""Every error the core raises on purpose.

A message says what was given, what is allowed and what to do next, in the language of its reader, wherever it was
raised; it never carries a key, and nothing looks for a word in it: what code must tell apart is a class here. SDK,
database and operating system errors are converted at the edge that meets them, so the page and the command line only
know this tree:

    TaleError
    ├── InputError                   the arguments are wrong; nothing was started (exit code 2)
    │   ├── UnknownModelError        no such name in the catalog
    │   ├── ArchiveError             an archive is damaged, hostile or of a newer version; nothing was imported
    │   ├── TuningUnavailableError   what fine-tuning needs is not installed; the message has the command
    │   └── SettingsError            an environment variable or a settings file is wrong
    ├── SessionFailedError           what Python asked for failed; `view` holds what there is of it
    ├── StoppedError                 the caller asked to stop; what can be resumed is kept (exit code 130)
    ├── LimitReachedError            the next call could break a limit on calls, tokens or money; it was not sent
    │   └── ShareUsedError           a student's or the whole room's share is used up
    ├── SentAwayError                a place in a room's queue was given up, or the room was closed
    ├── ModelError                   a call to a model failed (exit code 1); `partial` holds what had arrived
    │   ├── ConnectionFailedError    nothing answered
    │   │   ├── NameNotFoundError    the host name does not exist
    │   │   ├── ConnectionRefusedByHostError   the host is there, nothing listens on the port
    │   │   ├── NoSecureConnectionError   the host does not speak TLS, or its certificate is not trusted
    │   │   └── WorkerLostError      a worker of the cluster went away while it was asking
    │   ├── ModelTimeoutError        connected, but no answer in time
    │   ├── AuthenticationFailedError   401 or 403: the key is missing, wrong or not allowed
    │   ├── ModelNotFoundError       404: the endpoint has no model of this name
    │   │   └── PathNotFoundError    404: the server is there, but nothing that answers questions at this path
    │   ├── RateLimitedError         429 that waiting may cure; `retry_after_s` when the endpoint said
    │   ├── QuotaExhaustedError      429 that waiting will not cure: credit used up
    │   ├── RequestRejectedError     400/422: the endpoint refuses these parameters
    │   │   └── ContextTooLongError  prompt and max_tokens do not fit in the model's context
    │   ├── ServerFailedError        5xx after all retries
    │   ├── NotAnOpenAIEndpointError an answer came, but not in the OpenAI format (an HTML page, say)
    │   ├── IncompleteAnswerError    the stream ended without a finish reason
    │   └── EmbeddedServerError      the local model server
    │       ├── ServerStartError     it did not start or did not get ready
    │       ├── ServerDiedError      it went away while answering; the next question starts a new one
    │       └── AdapterNotLoadedError  the adapter that was asked for is not there, or belongs to another model
    ├── WeightsError                 the model file cannot be had
    │   ├── DiskFullError            too little room in the cache folder
    │   ├── NoSourceError            no local file, and no source answered
    │   └── WeightsMismatchError     a file has the wrong size or sha256 and was not used
    ├── RecordingError               a run did not end well, so that there is nothing whole to replay
    ├── TrainingError                an estimator cannot be trained from these rows
    ├── EstimatorFileError           a saved estimator cannot be used: damaged, hostile, or of another version
    ├── SetupError                   making TALE work for a model stopped before its end; what was found is kept
    ├── TuningError                  a fine-tuning cannot go on; what is finished of it is kept
    ├── AdapterFileError             an adapter cannot be used: damaged, hostile, or for another model
    └── StoreError                   the database
        ├── StoreLockedError         another process held it past the time limit
        ├── StoreUnreachableError    a database server does not answer, or went away; it may come back
        ├── StoreVersionError        written by a newer version of this program, or not our database
        └── NotFoundError            no such session
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tale_core.i18n import again, joined, t

if TYPE_CHECKING:
    from tale_core.types import Completion


class TaleError(Exception):
    """Base of everything the core raises on purpose.

    Args:
        message: What happened, in one sentence that names what was given.
        hint: What is allowed, or what to do next. Shown after the message.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return joined(again(self.message), again(self.hint))


class InputError(TaleError):
    """The arguments or the input are wrong; nothing was started and nothing was spent."""


class UnknownModelError(InputError):
    """No model of this name in the catalog."""


class ArchiveError(InputError):
    """An archive of sessions cannot be read, or holds what no archive of ours does; nothing of it was imported."""


class TuningUnavailableError(InputError):
    """The packages that fine-tuning needs are not installed."""


class SettingsError(InputError):
    """An environment variable or a settings file holds a value that is not allowed."""


class StoppedError(TaleError):
    """The caller asked to stop while the model was being fetched or loaded; what can be resumed is kept."""


class SetupError(TaleError):
    """Making TALE work for a model stopped before its end; what it found so far is kept."""


class SessionFailedError(TaleError):
    """An Ask, search, sweep or experiment that Python asked for has failed; it is stored.

    Attributes:
        view: Its record, with whatever was answered.
    """

    def __init__(self, message: str, view: object) -> None:
        super().__init__(message)
        self.view = view


class LimitReachedError(TaleError):
    """A limit of the run is reached; the call that could have broken it was not sent.

    Args:
        which: "calls", "tokens" or "cost".
    """

    def __init__(self, which: str) -> None:
        reached = {
            "calls": t("The cap on calls is reached."),
            "tokens": t("The cap on tokens is reached."),
            "cost": t("The cap on cost is reached."),
        }
        super().__init__(
            reached.get(which, t("A cap is reached.")), t("What was found so far is kept; raise the cap to go on.")
        )
        self.which = which


class ShareUsedError(LimitReachedError):
    """A cap of a class room would be exceeded; the call was not sent.

    Args:
        which: What is used up.
        whose: The student's own share, or that of the whole room.
    """

    def __init__(self, which: Literal["calls", "tokens"], whose: Literal["student", "room"]) -> None:
        super().__init__(which)
        self.message = (
            t("Your share is used up.") if whose == "student" else t("The share of the whole room is used up.")
        )
        self.hint = t("Your teacher can raise it.")
        self.whose = whose


class SentAwayError(TaleError):
    """A call waited in a room's queue, and its place was given up or the room was closed; nothing was sent."""


class ModelError(TaleError):
    """A call to a model failed.

    Attributes:
        partial: What had arrived before the failure, with its token counts, so that the spend is booked; None when
            nothing had arrived.
        attempts: Requests that were sent, retries included.
    """

    attempts: int = 1

    def __init__(self, message: str, hint: str = "", *, partial: Completion | None = None) -> None:
        super().__init__(message, hint)
        self.partial = partial


class ConnectionFailedError(ModelError):
    """Nothing answered at the address."""


class NameNotFoundError(ConnectionFailedError):
    """The host name does not resolve."""


class ConnectionRefusedByHostError(ConnectionFailedError):
    """The host is there but nothing listens on the port."""


class NoSecureConnectionError(ConnectionFailedError):
    """The host does not speak TLS at this port, or this machine does not trust its certificate."""


class AddressNotAllowedError(ModelError):
    """The address leads where this person, or nobody, may send requests."""


class WorkerLostError(ConnectionFailedError):
    """A worker of the cluster went away while it was asking; what the endpoint wrote for it since is not known."""


class ModelTimeoutError(ModelError):
    """The endpoint was reached but did not answer in time."""


class AuthenticationFailedError(ModelError):
    """The key is missing, wrong, or not allowed to use this model."""


class ModelNotFoundError(ModelError):
    """The endpoint knows no model of this name."""


class PathNotFoundError(ModelNotFoundError):
    """A server answers, but it has no chat completions at this path."""


class RateLimitedError(ModelError):
    """The endpoint asked for fewer requests and went on asking after all retries.

    Attributes:
        retry_after_s: Seconds the endpoint asked to wait, or None.
    """

    def __init__(
        self, message: str, hint: str = "", *, retry_after_s: float | None = None, partial: Completion | None = None
    ) -> None:
        super().__init__(message, hint, partial=partial)
        self.retry_after_s = retry_after_s


class QuotaExhaustedError(ModelError):
    """The account's credit is used up; waiting does not help."""


class RequestRejectedError(ModelError):
    """The endpoint refuses the request's parameters."""


class CannotContinueError(RequestRejectedError):
    """The endpoint begins a new message where one was to be continued, or refuses to; nothing is forced out of it."""


class ContextTooLongError(RequestRejectedError):
    """The prompt, or the prompt with max_tokens, is longer than the model's context."""


class ServerFailedError(ModelError):
    """The endpoint failed (5xx) after all retries."""


class NotAnOpenAIEndpointError(ModelError):
    """Something answered, but not in the OpenAI format."""


class IncompleteAnswerError(ModelError):
    """The stream ended without a finish reason: the answer is not whole."""


class EmbeddedServerError(ModelError):
    """The local model server."""


class ServerStartError(EmbeddedServerError):
    """The local model server did not start or did not get ready in time."""


class NativeBuildError(EmbeddedServerError):
    """No server was compiled for this processor, or it was not kept; the shipped one goes on."""


class ServerDiedError(EmbeddedServerError):
    """The local model server went away while it was answering."""


class AdapterNotLoadedError(EmbeddedServerError):
    """The adapter that was asked for is not there, or belongs to another model; nothing was sent."""


class WeightsError(TaleError):
    """A model file cannot be had."""


class DiskFullError(WeightsError):
    """The cache folder's disk has too little room."""


class NoSourceError(WeightsError):
    """No local file matches and no source answered."""


class WeightsMismatchError(WeightsError):
    """A file has the wrong size or sha256; it was not used."""


class RecordingError(TaleError):
    """A run that was to be recorded did not end well, or could not be stored; no recording was written."""


class TrainingError(TaleError):
    """An estimator cannot be trained; the message says why and what to use meanwhile."""


class EstimatorFileError(TaleError):
    """A saved estimator cannot be used; nothing of it was loaded."""


class TuningError(TaleError):
    """A fine-tuning cannot start or go on; checkpoints that are finished stay."""


class AdapterFileError(TaleError):
    """An adapter's file cannot be used; nothing of it was loaded."""


class StoreError(TaleError):
    """The database cannot be used as asked."""


class StoreLockedError(StoreError):
    """Another process held the database past the time limit."""


class StoreUnreachableError(StoreError):
    """The database server does not answer, or the connection broke: what was being written may be there or not."""


class StoreVersionError(StoreError):
    """The database was written by a newer version of this program, or is not one of ours."""


class NotFoundError(StoreError):
    """No row of this id."""
