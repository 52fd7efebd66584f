"""The traffic as one document, for `tale traffic` and files, and in words for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tale_core.i18n import N_, t, tn
from tale_core.proxy.change import REASONS, SHAPE
from tale_core.proxy.figures import DO_NEXT, Finding, findings, of_all
from tale_core.store import ModelTraffic, Pair, TrafficStore
from tale_core.strategies import title_of

AGREE = 0.9
"""Least agreement where nobody has named another."""
_ENDS = {
    "refused": N_("{n:,} answered with an error"),
    "left": N_("{n:,} left by the client"),
    "broken": N_("{n:,} broken off"),
    "killed": N_("{n:,} killed"),
    "open": N_("{n:,} under way"),
}
_VERDICTS = {
    "agree": N_("agree"), "agree-person": N_("agree, says a person"), "differ": N_("differ"),
    "differ-person": N_("differ, says a person"), "unread": N_("not judged yet"), "": N_("not judged yet"),
}  # fmt: skip
_WHY = {
    **REASONS,
    "off": N_("the client said so"),
    SHAPE: N_("several answers, or no last message of a user"),
    "responses": N_("the Responses API, counted and not tried with budgets"),
    "completions": N_("the older completions, counted and not tried with budgets"),
    "embeddings": N_("embeddings, which have no answer to shorten"),
}


@dataclass(frozen=True, slots=True)
class ModelLine:
    """The requests for one model, with its words."""

    model: str
    upstream: str
    requests: int
    changed: int
    fallbacks: int
    tokens: int
    open_tokens: int
    tokens_text: str
    ends_text: str
    reasons_text: str


def model_lines(traffic: TrafficStore) -> list[ModelLine]:
    """One for each upstream and model, the most expensive first."""
    reasons = traffic.reasons()
    return [_line(one, reasons.get((one.upstream, one.model), {})) for one in traffic.models()]


def _line(one: ModelTraffic, reasons: dict[str, int]) -> ModelLine:
    ends = [t(said, n=getattr(one, name)) for name, said in _ENDS.items() if getattr(one, name)]
    tokens = [f"{one.tokens:,}"]
    tokens += [t("{n:,} of them thinking", n=one.thinking_tokens)] if one.thinking_tokens else []
    tokens += [t("counted by us in {n:,} requests", n=one.estimated)] if one.estimated else []
    why = [f"{n:,}: {t(_WHY.get(name, name))}" for name, n in sorted(reasons.items(), key=lambda kv: -kv[1])]
    return ModelLine(one.model, one.upstream, one.requests, one.changed, one.fallbacks, one.tokens, one.open_tokens,
                     t(", ").join(tokens), t(", ").join(ends) or "0", "; ".join(why) or "0")  # fmt: skip


def advice(finding: Finding, agree: float = AGREE) -> str:
    """What to do about a finding, in a sentence."""
    return t(DO_NEXT[finding.next(agree)])


def verdict_text(pair: Pair) -> str:
    """Whether the answers of a pair agree, in words."""
    return t(_VERDICTS.get(pair.verdict, pair.verdict))


def whole_saving(found: Sequence[Finding], models: Sequence[ModelLine]) -> float | None:
    """The first finding's saving as a share of all output tokens of its model."""
    mine = [one for one in models if found and (one.upstream, one.model) == (found[0].upstream, found[0].model)]
    return of_all(found[0], mine[0].open_tokens, mine[0].tokens) if mine else None


def document(traffic: TrafficStore, *, agree: float = AGREE) -> dict[str, Any]:
    """Requests by model, and what each change did; JSON-safe. "replayed": of models that nothing went through for."""
    found = findings(traffic.pairs())
    reasons = traffic.reasons()
    models = []
    for one in traffic.models():
        mine = [f for f in found if (f.upstream, f.model) == (one.upstream, one.model)]
        entry = {**one._asdict(), "left_alone": reasons.get((one.upstream, one.model), {})}
        models.append({**entry, "changes": [_change(f, of_all(f, one.open_tokens, one.tokens), agree) for f in mine]})
    there = {(m["upstream"], m["model"]) for m in models}
    others = [f for f in found if (f.upstream, f.model) not in there]
    return {"models": models, "replayed": [finding_document(f, agree) for f in others]}


def finding_document(finding: Finding, agree: float) -> dict[str, Any]:
    """A finding with its model; JSON-safe."""
    return {"model": finding.model, **_change(finding, None, agree)}


def _change(finding: Finding, share: float | None, agree: float) -> dict[str, Any]:
    said = {name: value for name, value in asdict(finding).items() if name not in ("upstream", "model")}
    for name in ("saving", "agreement"):
        interval = said.pop(name)
        said |= dict(zip((name, f"{name}_low", f"{name}_high"), interval or (None,) * 3, strict=True))
    next_ = finding.next(agree)
    return {**said, "saving_of_all": share, "next": next_, "sentence": finding.sentence, "advice": t(DO_NEXT[next_])}


def lines(found: dict[str, Any]) -> list[str]:
    """The same for a terminal."""
    if not found["models"] and not found["replayed"]:
        return [t("Nothing has gone through the proxy yet.")]
    said = []
    for one in found["models"]:
        requests = tn("{n:,} request", "{n:,} requests", one["requests"])
        said.append(t("{model} at {upstream}: {requests}, {tokens:,} output tokens.", model=one["model"],
                      upstream=one["upstream"], requests=requests, tokens=one["tokens"]))  # fmt: skip
        said += [f"  {title_of(c['strategy'])}: {c['sentence']} {c['advice']}" for c in one["changes"]]
    return said + [f"{c['model']}, {title_of(c['strategy'])}: {c['sentence']} {c['advice']}" for c in found["replayed"]]
