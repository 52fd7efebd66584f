"""What a training is asked to do. The defaults are the paper's (TALE-PT, appendix; arXiv 2412.18547).

It imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.models.adapters import registry as adapters
from tale_core.models.embedded.catalog import embedded_models
from tale_core.tuning.examples import Against, Examples

Method = Literal["sft", "dpo"]
PROJECTIONS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What LoRA can change here; the paper changes q_proj and v_proj."""

_RANGES: Final[tuple[tuple[str, float, float], ...]] = (
    ("epochs", 1, 100),
    ("batch", 1, 1024),
    ("micro_batch", 1, 1024),
    ("learning_rate", 1e-7, 1e-1),
    ("weight_decay", 0, 1),
    ("warmup", 0, 0.5),
    ("max_grad_norm", 0.01, 100),
    ("rank", 1, 256),
    ("alpha", 1, 1024),
    ("dropout", 0, 0.5),
    ("max_length", 32, 32_768),
    ("beta", 0.001, 10),
    ("sft_weight", 0, 10),
    ("seed", 0, 2**31),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How to train.

    Attributes:
        epochs: Passes over the examples.
        batch: Examples a step.
        micro_batch: Examples at the same time; the step collects batch / micro_batch of them. Decides the memory.
        learning_rate: At its highest; it falls along a cosine after a short warm-up.
        rank: LoRA's r.
        alpha: LoRA's scale is alpha / rank.
        targets: Projections that are changed.
        max_length: Longer examples (tokens, prompt and answer) are left out.
        beta: DPO: how much a preference may move the model away from where it began.
        sft_weight: DPO: weight of the plain loss on the chosen answer, which keeps it likely.
        against: DPO: what is rejected.
        seed: Of the order, the start and the dropout.
        best: Keep the epoch with the lowest loss on the held-out examples, not the last.
        threads: CPU threads; None takes the physical cores.
    """

    epochs: int = 3
    batch: int = 16
    micro_batch: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup: float = 0.05
    max_grad_norm: float = 1.0
    rank: int = 8
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    max_length: int = 1024
    beta: float = 0.5
    sft_weight: float = 0.0
    against: tuple[Against, ...] = ("vanilla",)
    seed: int = 1024
    best: bool = True
    threads: int | None = None

    def validate(self) -> None:
        """Check the numbers.

        Raises:
            InputError: One is out of range; the message names it.
        """
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    t("{name} is {value!r}.", name=name, value=getattr(self, name)),
                    t("Give a number from {low:g} to {high:g}.", low=low, high=high),
                )
        if self.batch % self.micro_batch:
            raise InputError(
                t(
                    "A batch of {batch} is no multiple of {micro_batch}.",
                    batch=self.batch,
                    micro_batch=self.micro_batch,
                ),
                t("Change one of them."),
            )
        if not self.targets or set(self.targets) - set(PROJECTIONS):
            raise InputError(
                t("{targets} cannot be trained.", targets=", ".join(self.targets)),
                t("Choose from: {names}.", names=", ".join(PROJECTIONS)),
            )
        if not self.against or set(self.against) - {"vanilla", "wrong"}:
            raise InputError(
                t("{against} cannot be rejected.", against=", ".join(self.against)), t("Choose from: vanilla, wrong.")
            )
        if self.threads is not None and not 1 <= self.threads <= 512:
            raise InputError(
                t("{name} is {value!r}.", name="threads", value=self.threads),
                t("Give a number from {low:g} to {high:g}.", low=1, high=512),
            )


def paper_settings(method: Method) -> TrainingSettings:
    """The paper's settings."""
    if method == "sft":
        return TrainingSettings()
    return TrainingSettings(epochs=2, learning_rate=3e-5, weight_decay=0.001, max_grad_norm=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunePlan:
    """What to train.

    Attributes:
        name: Of the adapter that will come out.
        base: Catalog name of an embedded model, or the path of a Hugging Face model folder.
        parent: Adapter to go on from (DPO after SFT); "" begins anew.
        note: A person's own words, kept with the adapter.
    """

    name: str
    base: str
    method: Method = "sft"
    parent: str = ""
    note: str = ""
    settings: TrainingSettings = field(default_factory=TrainingSettings)

    def validate(self) -> None:
        """Check everything that can be wrong before anything is loaded.

        Raises:
            InputError: A name is taken or not allowed, a number is out of range, or the parent does not fit.
            AdapterFileError: The parent's description is damaged.
        """
        adapters.check_name(self.name)
        self.settings.validate()
        if self.method not in ("sft", "dpo"):
            raise InputError(t("There is no training method {method!r}.", method=self.method), t("Choose sft or dpo."))
        if not self.base.strip():
            raise InputError(t("No model was named."), t("Name an embedded model, or a Hugging Face model folder."))
        if self.parent:
            self._check_parent()

    def _check_parent(self) -> None:
        parent = adapters.find(self.parent)
        if parent.about.base != (self.base if self.embedded else "") or not parent.peft.is_dir():
            raise InputError(
                t(
                    "The adapter {name!r} is for {model}, or has no PEFT folder.",
                    name=parent.name,
                    model=parent.about.base or t("another model"),
                ),
                t("Choose its model, or begin anew."),
            )
        mine = (self.settings.rank, self.settings.alpha, sorted(self.settings.targets))
        settings = parent.about.settings
        theirs = (settings.get("rank"), settings.get("alpha"), sorted(settings.get("targets", ())))
        if mine != theirs:
            raise InputError(
                t(
                    "The adapter {name!r} has rank {rank}, alpha {alpha} and {targets}.",
                    name=parent.name,
                    rank=theirs[0],
                    alpha=theirs[1],
                    targets=", ".join(theirs[2]),
                ),
                t("A training that goes on from it keeps them."),
            )

    def require(self, examples: Examples) -> None:
        """Check that there is enough to train on, and that it is what the parent writes; see `Examples.require`."""
        parent = adapters.find(self.parent).about.writes if self.parent else None
        examples.require(pairs=self.method == "dpo", parent=parent)

    @property
    def embedded(self) -> bool:
        """Whether the base is one that the embedded server serves."""
        return self.base in {m.name for m in embedded_models()}

    def document(self) -> dict[str, Any]:
        """JSON-safe; `from_document` reads it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> TunePlan:
        """The plan of a document that `document` made.

        Raises:
            KeyError, TypeError: It is no such document.
        """
        stored = dict(document["settings"])
        known = {f.name: stored[f.name] for f in fields(TrainingSettings) if f.name in stored}
        for name in ("targets", "against"):
            if name in known:
                known[name] = tuple(known[name])
        names = ("name", "base", "method", "parent", "note")
        return cls(settings=TrainingSettings(**known), **{n: document[n] for n in names})
