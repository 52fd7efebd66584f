"""A PEFT adapter as a GGUF file, and back.

Both hold the same two small matrices a projection, named and ordered as transformers or as llama.cpp wants them.
For the llama architecture the rows of q_proj and k_proj are permuted, since the base's converter permuted the weights
that they are added to; without it the text often stays the same and the probabilities are wrong. Imports gguf and
safetensors, no torch. Source: llama.cpp, convert_lora_to_gguf.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from tale_core.errors import AdapterFileError, TuningError
from tale_core.i18n import t
from tale_core.models.adapters.check import WRITES, base_header
from tale_core.models.adapters.registry import PEFT_FILES, Adapter
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.weights.fetch import ensure_weights
from tale_core.tuning.install import require
from tale_core.tuning.plan import PROJECTIONS
from tale_core.types import Writes

ARCHITECTURES: Final = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""transformers' model_type to llama.cpp's architecture, for those whose projections are known to map one to one."""
_WEIGHT = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the conversion must know of the base."""

    architecture: str
    layers: int
    heads: int
    kv_heads: int


class _Pair(NamedTuple):
    name: str
    a: Any
    b: Any


def shape_of(folder: Path) -> Shape:
    """What a model folder's config says.

    Raises:
        TuningError: llama.cpp's names for this kind of model are not known here.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        raise TuningError(
            t("Adapters of a {kind!r} model cannot be served here.", kind=kind),
            t("These can: {names}.", names=", ".join(ARCHITECTURES)),
        )
    heads = int(config["num_attention_heads"])
    layers, kv = int(config["num_hidden_layers"]), int(config.get("num_key_value_heads") or heads)
    return Shape(ARCHITECTURES[kind], layers, heads, kv)


def shape_in(weights: Path) -> Shape:
    """What the header of the base's GGUF file says.

    Raises:
        AdapterFileError: It cannot be read, or is no language model.
    """
    header = base_header(weights)
    kind = header.text("general.architecture")
    heads, layers = (header.values.get(f"{kind}.{name}") for name in ("attention.head_count", "block_count"))
    if not isinstance(heads, int) or not isinstance(layers, int):
        raise AdapterFileError(t("{path} says nothing of its layers.", path=weights.name))
    kv = header.values.get(f"{kind}.attention.head_count_kv")
    return Shape(kind, layers, heads, kv if isinstance(kv, int) else heads)


def write_peft(lora: Path, folder: Path, shape: Shape, *, base: str = "") -> None:
    """Write an adapter's GGUF file as a PEFT folder: what `write_gguf` wrote, in its 16 bits.

    Args:
        lora: The GGUF file, which has been checked (`check_lora`).
        folder: For adapter_config.json and adapter_model.safetensors; it exists.
        shape: Of the base.
        base: Its publisher's name; "" where unknown.

    Raises:
        AdapterFileError: It changes something that PEFT has no name for.
        OSError: It cannot be written.
    """
    import gguf
    import numpy as np
    from safetensors.numpy import save_file

    arch = next((a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == shape.architecture), None)
    if arch is None:
        raise AdapterFileError(t("Adapters of a {kind!r} model cannot be served here.", kind=shape.architecture))
    names = gguf.get_tensor_name_map(arch, shape.layers)
    modules = {names.get_name(module): module for at in range(shape.layers) for module in _modules(at)}
    reader, found = gguf.GGUFReader(lora), {}
    for tensor in reader.tensors:
        name, half = tensor.name.removesuffix(".lora_a").removesuffix(".lora_b"), tensor.name[-1].upper()
        module = modules.get(name.removesuffix(".weight"))
        if module is None:
            raise AdapterFileError(t("The adapter changes {name!r}, which PEFT has no name for.", name=name[:120]))
        values = _permuted(np.asarray(tensor.data), module, half, shape, back=True)
        found[f"base_model.model.{module}.lora_{half}.weight"] = np.ascontiguousarray(values)
    alpha = reader.get_field(gguf.Keys.Adapter.LORA_ALPHA)
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "lora_dropout": 0.0,
        "r": next(values.shape[0] for name, values in found.items() if ".lora_A." in name),
        "lora_alpha": float(alpha.contents()) if alpha is not None else 1.0,
        "target_modules": sorted({name.split(".")[-3] for name in found}),
        "base_model_name_or_path": base or None, "inference_mode": True,
    }  # fmt: skip
    save_file(found, folder / PEFT_FILES[1], metadata={"format": "pt"})
    (folder / PEFT_FILES[0]).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def peft_of(adapter: Adapter, folder: Path) -> None:
    """Fill a folder with the PEFT form of an adapter that came as GGUF alone.

    Raises:
        TuningUnavailableError: What fine-tuning needs is not installed.
        AdapterFileError: See `write_peft`.
        UnknownModelError, WeightsError: Its base is not known or not here.
    """
    require()
    model = embedded_model(adapter.about.base)
    write_peft(adapter.gguf, folder, shape_in(ensure_weights(model)), base=model.hub_repo.removesuffix("-GGUF"))


def _modules(layer: int) -> Iterator[str]:
    for name in PROJECTIONS:
        part = "self_attn" if name[0] in "qkvo" else "mlp"
        yield f"model.layers.{layer}.{part}.{name}"


def write_gguf(peft: Path, target: Path, shape: Shape, *, about: str = "", writes: Writes = "words") -> None:
    """Write the adapter of a PEFT folder as a GGUF file.

    Args:
        peft: Folder with adapter_config.json and adapter_model.safetensors.
        target: The file to write.
        shape: Of the base.
        about: A sentence that goes into the file.
        writes: What the adapter writes; goes into the file too, so that it is known wherever it is imported.

    Raises:
        AdapterFileError: The folder holds something else than a plain LoRA of known projections, or numbers that are
            none.
        OSError: It cannot be written.
    """
    import gguf

    config = json.loads((peft / PEFT_FILES[0]).read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("modules_to_save"):
        raise AdapterFileError(t("Only plain LoRA adapters can be converted, without DoRA or whole modules."))
    writer = gguf.GGUFWriter(target, shape.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    # llama.cpp scales by alpha / rank; with rank-stabilised LoRA PEFT scales by alpha / sqrt(rank).
    alpha, rank = float(config["lora_alpha"]), int(config["r"])
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha * rank**0.5 if config.get("use_rslora") else alpha)
    if about:
        writer.add_description(about)
    writer.add_string(WRITES, writes)
    for pair in _pairs(peft, shape):
        writer.add_tensor(f"{pair.name}.lora_a", pair.a)
        writer.add_tensor(f"{pair.name}.lora_b", pair.b)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _pairs(peft: Path, shape: Shape) -> Iterator[_Pair]:
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == shape.architecture)
    names = gguf.get_tensor_name_map(arch, shape.layers)
    found: dict[str, dict[str, Any]] = {}
    for full, values in load_file(peft / PEFT_FILES[1]).items():
        match = _WEIGHT.fullmatch(full)
        name = names.get_name(match[1]) if match else None
        if match is None or name is None:
            raise AdapterFileError(t("The adapter changes {name!r}, which llama.cpp has no name for.", name=full[:120]))
        if not np.isfinite(values).all():
            raise AdapterFileError(
                t("The adapter's {name!r} holds numbers that are none: the training went astray.", name=full[:120]),
                t("Train again with a lower learning rate."),
            )
        found.setdefault(name, {})[match[2]] = _permuted(values, match[1], match[2], shape)
    for name, halves in sorted(found.items()):
        if set(halves) != {"A", "B"}:
            raise AdapterFileError(t("The adapter's {name!r} has one half only.", name=name))
        a, b = (np.ascontiguousarray(halves[h].astype(np.float16)) for h in "AB")
        yield _Pair(f"{name}.weight", a, b)


def _permuted(values: Any, module: str, half: str, shape: Shape, *, back: bool = False) -> Any:
    """Rows of lora_B of q_proj and k_proj in the order of the converted weights, or back; everything else as it is."""
    heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(module.rpartition(".")[2])
    if shape.architecture != "llama" or half != "B" or heads is None:
        return values
    rows, columns = values.shape
    parts = (rows // heads // 2, 2) if back else (2, rows // heads // 2)
    return values.reshape(heads, *parts, columns).swapaxes(1, 2).reshape(rows, columns)


def strip_base(peft: Path, base: str) -> None:
    """Name the base in adapter_config.json by its publisher's name instead of a path on this machine."""
    path = peft / PEFT_FILES[0]
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base or None
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
