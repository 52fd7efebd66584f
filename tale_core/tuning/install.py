"""What fine-tuning needs beside the app's own packages, and how to install it. Imports none of it."""

from __future__ import annotations

from importlib.util import find_spec

from tale_core.errors import TuningUnavailableError
from tale_core.i18n import t
from tale_core.settings import install_command

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "gguf")
COMMANDS = ("pip install torch==2.13.0", install_command("tune"))
"""In this order: the second alone would fetch torch with gigabytes for a GPU."""


def missing() -> tuple[str, ...]:
    """The packages that are not installed."""
    return tuple(name for name in PACKAGES if find_spec(name) is None)


def require() -> None:
    """Check that fine-tuning can run here.

    Raises:
        TuningUnavailableError: Something is not installed; the message has the commands.
    """
    if absent := missing():
        raise TuningUnavailableError(
            t("Fine-tuning needs packages that are not installed: {names}.", names=", ".join(absent)),
            t("Install them: {commands}.", commands=" && ".join(COMMANDS)),
        )
