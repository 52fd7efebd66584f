"""The base model as transformers trains it: a folder of plain weights, made once from the embedded model's GGUF file.

transformers reads a GGUF file by dequantising it, which takes a minute or two, and its trainers refuse the result. So
it is written to the cache folder as plain half-precision weights and read from there: what the embedded server computes
with and what is trained on are the same numbers. Any other Hugging Face model folder is used as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tale_core.errors import InputError, TuningError
from tale_core.i18n import t
from tale_core.models.embedded.catalog import EmbeddedModel, embedded_model, embedded_models
from tale_core.models.weights.fetch import ensure_weights
from tale_core.settings import Settings, get_settings
from tale_core.text import megabytes
from tale_core.tuning.runs import no_room

LAYOUT = 1
"""Raise it when what is written changes."""


@dataclass(frozen=True, slots=True)
class Base:
    """A model ready to be trained on.

    Attributes:
        name: Catalog name; "" for a folder that the catalog does not know.
        sha256: Of the GGUF file that the embedded server loads; "" likewise.
        folder: Config, tokenizer and safetensors.
        hub: The publisher's repository, for loading the adapter elsewhere; "" when unknown.
    """

    name: str
    sha256: str
    folder: Path
    hub: str

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(p.stat().st_size for p in self.folder.glob("*.safetensors"))


def prepare_base(named: str, say: Callable[[str], None], *, settings: Settings | None = None) -> Base:
    """The base of a name or folder; an embedded model's weights are fetched and unpacked if need be.

    Raises:
        InputError: It is neither an embedded model nor a model folder.
        WeightsError: The weights cannot be had.
        TuningError: There is too little room on the disk or in memory.
    """
    settings = settings or get_settings()
    if named in {m.name for m in embedded_models()}:
        model = embedded_model(named)
        weights = ensure_weights(model, progress=lambda p: say(p.message), settings=settings)
        place = settings.cache_dir / "tuning" / f"{model.sha256[:12]}-{LAYOUT}"
        if not (place / "config.json").is_file():
            _unpack(model, weights, place, say)
        return Base(model.name, model.sha256, place, model.hub_repo.removesuffix("-GGUF"))
    folder = Path(named).expanduser()
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        known = ", ".join(m.name for m in embedded_models())
        raise InputError(
            t("{named!r} is no model that can be trained.", named=named[:200]),
            t(
                "Name an embedded model ({known}), or a Hugging Face folder with config.json and .safetensors files.",
                known=known,
            ),
        )
    return Base("", "", folder.resolve(), "")


def check_memory(base: Base) -> None:
    """Check that the weights fit into the memory that is free; what training adds is measured later.

    Raises:
        TuningError: They do not.
    """
    need, free = 2 * base.size, psutil.virtual_memory().available
    if free < need:
        raise TuningError(
            t(
                "Training needs at least {need} of memory for the weights alone; {free} are free.",
                need=megabytes(need),
                free=megabytes(free),
            ),
            t("Close other programs, or train a smaller model."),
        )


def _unpack(model: EmbeddedModel, weights: Path, place: Path, say: Callable[[str], None]) -> None:
    """Dequantise a GGUF file into a folder, whole or not at all."""
    need = round(model.size * 3.6)
    draft = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        if (free := shutil.disk_usage(draft).free) < need:
            raise TuningError(
                t(
                    "Unpacking {title} needs {need} on the disk with {parent}; {free} are free.",
                    title=model.title,
                    need=megabytes(need),
                    parent=place.parent,
                    free=megabytes(free),
                ),
                t("Free some room, or set TALE_CACHE_DIR to a larger disk."),
            )
        say(t("Unpacking {title} for training: once, a minute or two…", title=model.title))
        _write_plain(weights, draft)
        os.replace(draft, place)
    except OSError as e:
        if not (place / "config.json").is_file():  # Another process may have been faster.
            raise no_room(place, e) from e
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_plain(weights: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": weights.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, **where)
    tokenizer.save_pretrained(folder)
    network: Any = AutoModelForCausalLM.from_pretrained(weights.parent, dtype=torch.float16, **where)
    # It is dequantised, but says of itself that it is not, and trainers believe it.
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(network.config, name):
            delattr(network.config, name)
    network.hf_quantizer, network.is_quantized = None, False
    network.save_pretrained(folder)
    json.loads((folder / "config.json").read_text(encoding="utf-8"))
