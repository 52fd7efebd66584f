"""What every source of weights is given and how it says that it cannot deliver.

A source is a function of a `Job` that fills the missing segments of `job.part` and returns, or raises `SourceFailed`.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tale_core.errors import DiskFullError
from tale_core.i18n import t
from tale_core.models.catalog import EmbeddedModel
from tale_core.models.weights_part import PartFile
from tale_core.models.weights_progress import Reporter, megabytes


class SourceFailed(Exception):
    """This source cannot deliver.

    Attributes:
        why: The reason in words, as the end of "the package index: …".
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Job:
    """One fetch.

    Attributes:
        folder: The model's folder in the cache; locked by this process.
        part: The file in the making.
        report: Where progress goes and where a stop comes from.
    """

    model: EmbeddedModel
    folder: Path
    part: PartFile
    report: Reporter

    def say(self, source: str, *, more: int = 0) -> None:
        """Report bytes: what is in the part file, and `more` that is on its way there. `source` is translated here."""
        done = min(self.part.done_bytes + more, self.model.size)
        words = t("Downloading {title} from {source}", title=self.model.title, source=t(source))
        self.report.say("downloading", words, source=source, done=done)


def require_room(folder: Path, needed: int) -> None:
    """Check the disk before anything is fetched.

    Raises:
        DiskFullError: Fewer than `needed` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise disk_full(
            folder, t("{needed} are needed and {free} are free", needed=megabytes(needed), free=megabytes(free))
        )


def disk_full(folder: Path, figures: str = "") -> DiskFullError:
    """The error for a disk with too little room; without figures it ran full on the way."""
    figures = figures or t("it ran full while the model was being fetched")
    return DiskFullError(
        t("The disk of {folder} has too little room: {figures}.", folder=folder, figures=figures),
        t("Free some space, or set TALE_CACHE_DIR to a folder on another disk."),
    )


def without_secrets(text: str) -> str:
    """Take user names and passwords out of URLs: an index or a hub may be configured with them."""
    return re.sub(r"//[^/@\s]+@", "//", text)
