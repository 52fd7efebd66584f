"""With the small model, real weights and torch: examples → training → GGUF → the embedded server, and back.

One process trains several times, since importing torch and TRL takes longer than the few steps do.
"""

from __future__ import annotations

import gc
import json
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tale_core.errors import AdapterFileError
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.models.choice import choice_from_flags, open_client
from tale_core.models.embedded import prepare
from tale_core.models.embedded import server as embedded
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.server import server_status, stop_server
from tale_core.models.weights.fetch import ensure_weights
from tale_core.prompts.messages import plain_messages
from tale_core.settings import get_settings
from tale_core.strategies import Tuned, strategy
from tale_core.tuning import runs, training, worker
from tale_core.tuning.base import prepare_base
from tale_core.tuning.export import peft_of, shape_in, shape_of, write_gguf
from tale_core.tuning.plan import PROJECTIONS, TrainingSettings, TunePlan
from tale_core.tuning.run_state import Estimate
from tale_core.tuning.runs import TuneRun
from tale_core.tuning.watching import Hooks, watching
from tale_core.types import Client, Completion, Request, Sampling
from tests.models.test_embedded import send
from tests.tuning import samples

pytestmark = [
    pytest.mark.tune, pytest.mark.model, pytest.mark.timeout(600),
    # What torch, transformers, TRL and PEFT say to each other; our own code is under the suite's rule elsewhere.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]  # fmt: skip
TOLERANCE = 0.25
"""Mean difference of log-probabilities (nats) that is allowed between server and PEFT. llama.cpp rounds what goes into
each product of the 4-bit weights to 8 bits, which alone makes a difference (measured beside it, without an adapter); an
adapter that is not applied, or whose rows are not permuted, is off by more than twice as much."""
FAST = TrainingSettings(
    epochs=2, batch=4, micro_batch=2, learning_rate=3e-3, targets=PROJECTIONS, warmup=0.0, threads=1, best=False
)
"""One thread: beside anything else that computes, two wait for each other and take several times as long."""
COUNT = (8, 2)
"""Examples to train on and to hold out: two steps an epoch, a few seconds each."""
KNOWN = Estimate(1.0, 1, 1.0, 4, 3, "float32", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, smollm_cache: Path) -> Iterator[Path]:
    """One data folder for all: what is trained once is looked at by every test."""
    place = tmp_path_factory.mktemp("tune") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "signal", lambda *a: None)
        yield place


@pytest.fixture(autouse=True)
def environment(folder: Path, smollm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TALE_DATA_DIR", str(folder))
    monkeypatch.setenv("TALE_CACHE_DIR", str(smollm_cache))
    monkeypatch.setenv("TALE_SERVER_CONTEXT", "512")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 300.0)
    get_settings.cache_clear()
    yield
    prepare.forget_all()
    stop_server(samples.BASE)


def trained(name: str, **more: Any) -> Adapter:
    """Train in this process; an adapter of this name that is there already is taken."""
    if any(a.name == name for a in adapters.listing().adapters):
        return adapters.find(name)
    plan = TunePlan(name=name, base=samples.BASE, **{"settings": FAST, **more})
    run = runs.create(plan, samples.examples(*COUNT))
    if name != "sums":  # Measured once: it takes as long as the steps.
        run.write(replace(run.state(), estimate=KNOWN))
    work(run)
    assert run.state().status == "done", run.state().error
    return adapters.find(name)


def work(run: TuneRun) -> None:
    reporter = worker.Reporter(run)
    try:
        worker.train(run, reporter)
    except Exception as e:
        worker.fail(reporter, e)
    gc.collect()  # A trainer holds its network in a circle.


def numbers(adapter: Adapter) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(adapter.peft / "adapter_model.safetensors")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = await open_client(choice_from_flags(model=samples.BASE, base_url=None, api_key_env=None))
    yield made
    await made.aclose()


async def said(client: Client, i: int, adapter: str = "") -> str:
    request = Request(plain_messages(samples.question(i)), Sampling(temperature=0.0, seed=1, max_tokens=30), adapter)
    last: Any = None
    async for item in client.stream(request):
        last = item
    assert isinstance(last, Completion)
    return last.text


def of_server(prompts: list[str], scale: float) -> list[dict[str, float]]:
    """The likeliest next tokens and their log-probabilities, as the server says them."""
    info = server_status(samples.BASE)
    assert info is not None
    found = []
    for prompt in prompts:
        body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 12, "lora": [{"id": 0, "scale": scale}]}
        _, answer = send(info, "/completion", body)
        found.append({str(o["id"]): o["logprob"] for o in answer["completion_probabilities"][0]["top_logprobs"]})
    return found


def distance(server: list[dict[str, float]], network: Any, tokenizer: Any, prompts: list[str]) -> float:
    """Mean distance between the server's log-probabilities and the network's, over the server's likeliest five."""
    import torch

    apart = []
    for top, prompt in zip(server, prompts, strict=True):
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.no_grad():
            logs = torch.log_softmax(network(ids).logits[0, -1].float(), dim=-1)
        likeliest = sorted(top.items(), key=lambda one: -one[1])[:5]
        apart += [abs(logs[int(token)].item() - value) for token, value in likeliest]
    return sum(apart) / len(apart)


async def test_the_server_computes_what_peft_computes_and_switched_off_it_is_the_base(client: Client) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = [await said(client, i) for i in (3, 30)]
    one = trained("sums")
    tuned = [await said(client, i, one.key) for i in (3, 30)]
    assert tuned != before and all(len(a) < len(b) for a, b in zip(tuned, before, strict=True))
    assert [await said(client, i) for i in (3, 30)] == before

    base = prepare_base(samples.BASE, lambda words: None)
    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    asked = [[{"role": m.role, "content": m.content} for m in plain_messages(samples.question(i))] for i in (3, 30)]
    starts = [tokenizer.apply_chat_template(m, tokenize=False, add_generation_prompt=True) for m in asked]
    info = server_status(samples.BASE)
    assert starts == [send(info, "/apply-template", {"messages": m})[1]["prompt"] for m in asked], "the same prompt"

    prompts = [start + text[:cut] for start, text in zip(starts, tuned, strict=True) for cut in (0, 2, 6)]
    network = AutoModelForCausalLM.from_pretrained(base.folder, dtype="float32")
    noise = distance(of_server(prompts, 0.0), network, tokenizer, prompts)
    with_adapter = PeftModel.from_pretrained(network, str(one.peft))
    apart = distance(of_server(prompts, 1.0), with_adapter, tokenizer, prompts)
    off = distance(of_server(prompts, 0.0), with_adapter, tokenizer, prompts)
    assert apart < TOLERANCE, f"{apart:.3f}; the base alone {noise:.3f}"
    assert off > 2 * apart, "an adapter that is not applied would be noticed"


def test_its_gguf_file_becomes_the_peft_folder_again(tmp_path: Path) -> None:
    """As for an adapter that ships with the program, or that somebody sent: it came as GGUF alone."""
    from safetensors.numpy import load_file

    one = trained("sums")
    peft_of(one, tmp_path)
    again, before = load_file(tmp_path / adapters.PEFT_FILES[1]), numbers(one)
    assert set(again) == set(before)
    assert all((again[name] == before[name].astype("float16")).all() for name in before)
    said, told = (json.loads((folder / adapters.PEFT_FILES[0]).read_text()) for folder in (tmp_path, one.peft))
    same = ("r", "lora_alpha", "peft_type", "task_type", "base_model_name_or_path")
    assert {name: said[name] for name in same} == {name: told[name] for name in same}
    assert set(said["target_modules"]) == set(told["target_modules"])
    assert shape_in(ensure_weights(embedded_model(samples.BASE))) == shape_of(
        prepare_base(samples.BASE, lambda words: None).folder
    )


async def test_rows_that_are_not_permuted_would_be_noticed(client: Client, tmp_path: Path) -> None:
    """Only with large changes of the attention's queries and keys does the order of rows show: random ones, here."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = prepare_base(samples.BASE, lambda words: None)
    network = AutoModelForCausalLM.from_pretrained(base.folder, dtype="float32")
    torch.manual_seed(1)  # Before peft draws the other half of each adapter.
    network = get_peft_model(network, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj"]))
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(tmp_path / "peft")
    shape = shape_of(base.folder)
    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    prompts = [f"The capital of {country} is" for country in ("France", "Japan", "Peru", "Kenya")]
    apart = {}
    for name, written in (("right", shape), ("unpermuted", replace(shape, heads=1, kv_heads=1))):
        write_gguf(tmp_path / "peft", tmp_path / f"{name}.gguf", written)
        told = {"name": name, "base": samples.BASE, "method": "sft", "created": ""}
        await said(client, 3, adapters.save(told, tmp_path / f"{name}.gguf", tmp_path / "peft").key)
        loaded = server_status(samples.BASE).adapters
        scales = [{"id": i, "scale": float(key.startswith(f"{name}@"))} for i, key in enumerate(loaded)]
        tops = []
        for prompt in prompts:
            body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 12, "lora": scales}
            answer = send(server_status(samples.BASE), "/completion", body)[1]
            tops.append({str(o["id"]): o["logprob"] for o in answer["completion_probabilities"][0]["top_logprobs"]})
        apart[name] = distance(tops, network, tokenizer, prompts)
    assert apart["right"] < TOLERANCE and apart["unpermuted"] > 2 * apart["right"], apart


def test_the_same_seed_gives_the_same_adapter() -> None:
    # The held-out loss falls in both epochs: the best is the last, and looking at it changes nothing.
    first, again = trained("sums"), trained("again", settings=replace(FAST, best=True))
    assert again.about.training["best_epoch"] == pytest.approx(2.0)
    assert again.about.sha256 == first.about.sha256
    a, b = numbers(first), numbers(again)
    assert a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)
    moved = [a[name] for name in a if "lora_B" in name]
    assert all(abs(values).max() > 0 for values in moved), "LoRA's second half begins at zero"


def test_a_training_that_was_stopped_goes_on_to_the_very_adapter_that_it_would_have_made() -> None:
    whole = trained("sums")
    plan = TunePlan(name="resumed", base=samples.BASE, settings=FAST)
    run = runs.create(plan, samples.examples(*COUNT))
    run.write(replace(run.state(), estimate=KNOWN))
    reporter = worker.Reporter(run)
    # Asked after each step, before its loss is told: it stops after the third of four, within an epoch.
    reporter.stopping = lambda: reporter.state.step >= 2  # type: ignore[method-assign]
    worker.train(run, reporter)
    assert run.state().status == "cancelled" and run.checkpoint().name == "checkpoint-3"
    assert all(a.name != "resumed" for a in adapters.listing().adapters)
    work(run)
    assert run.state().status == "done", run.state().error
    assert [one.step for one in run.losses() if not one.held_out] == [1, 2, 3, 4]
    mine, theirs = numbers(adapters.find("resumed")), numbers(whole)
    assert max(abs(mine[n] - theirs[n]).max() for n in theirs) < 1e-6


def test_dpo_goes_on_from_the_sft_adapter_and_moves_it() -> None:
    first = trained("sums")
    settings = replace(FAST, epochs=1, learning_rate=1e-4, sft_weight=0.1)
    second = trained("preferred", method="dpo", parent="sums", settings=settings)
    assert second.about.parent == "sums" and second.about.method == "dpo"
    a, b = numbers(first), numbers(second)
    assert a.keys() == b.keys(), "no reference adapter is left in the file"
    assert 0 < max(abs(a[n] - b[n]).max() for n in a) < 0.1
    assert second.about.settings["sft_weight"] == 0.1 and second.about.training["held_out_loss"] is None


def test_only_the_answers_tokens_are_weighed_against_the_vocabulary_and_the_loss_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch
    import trl.trainer.utils as trl_utils
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    network = LlamaForCausalLM(config)
    trl_utils.add_fused_lm_head(network)
    tokens = torch.randint(0, 50, (2, 12))
    labels = tokens.masked_fill(torch.arange(12) < 8, -100)  # Eight of a prompt, four of an answer.
    rows: list[int] = []
    real = trl_utils._ChunkedLogProbFunction.apply
    monkeypatch.setattr(
        trl_utils._ChunkedLogProbFunction,
        "apply",
        lambda hidden, *more: (rows.append(len(hidden)), real(hidden, *more))[1],
    )

    def once() -> tuple[float, torch.Tensor]:
        network.zero_grad()
        loss = network(tokens, labels=labels, fused_lm_head=True).loss
        loss.backward()
        return loss.item(), network.model.embed_tokens.weight.grad.clone()

    monkeypatch.setattr(trl_utils, "_use_triton", lambda device: False)
    loss, gradient = once()
    training.score_answers_alone()
    again, same = once()
    assert rows == [22, 8]
    assert again == pytest.approx(loss, rel=1e-5) and torch.allclose(gradient, same, atol=1e-6)


def test_the_best_epoch_on_held_out_examples_is_kept(tmp_path: Path) -> None:
    """The trainer's callback alone: which epoch was best does not depend on who trained it."""
    from types import SimpleNamespace

    saved: list[float] = []

    class Network:
        def save_pretrained(self, target: Path, **_: Any) -> None:
            target.mkdir(parents=True, exist_ok=True)
            saved.append(state.epoch)

    state = SimpleNamespace(epoch=0.0, is_world_process_zero=True)
    hooks = Hooks(lambda words: None, lambda step: None, lambda: False)
    watched = watching(hooks, tmp_path, best=True)
    for epoch, loss in ((1.0, 0.9), (2.0, 0.4), (3.0, 0.6)):
        state.epoch = epoch
        watched.on_evaluate(None, state, None, metrics={"eval_loss": loss}, model=Network())
        watched = watching(hooks, tmp_path, best=True)  # As after a resume, which remembers the best before it.
    assert saved == [1.0, 2.0] and (watched.best_loss, watched.best_epoch) == (0.4, 2.0)


def test_an_adapter_is_described_with_its_data_and_measured_cost() -> None:
    one = trained("sums")
    assert one.about.data["fingerprint"] == samples.examples(*COUNT).fingerprint
    assert one.about.base_sha256 == adapters.find("sums").about.base_sha256 != ""
    assert one.about.settings["targets"] == list(PROJECTIONS) and one.about.training["precision"]
    run = next(r for r in runs.listing() if r.plan.name == "sums")
    estimate = run.state().estimate
    assert estimate.seconds > 0 and estimate.memory > 5e8 and estimate.steps == 4
    config = json.loads((one.peft / "adapter_config.json").read_text())
    assert config["r"] == 8 and config["lora_alpha"] == 32 and "/" not in (config["base_model_name_or_path"] or "")
    found = strategy("tuned:sums")
    assert isinstance(found, Tuned) and (found.adapter, found.base) == (one.key, samples.BASE)


def test_a_training_that_went_astray_makes_no_adapter(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    one = trained("sums")
    shutil.copytree(one.peft, tmp_path / "peft")
    broken = numbers(one)
    name = next(iter(broken))
    broken[name] = np.full_like(broken[name], np.nan)
    save_file(broken, tmp_path / "peft" / "adapter_model.safetensors")
    shape = shape_of(prepare_base(samples.BASE, lambda words: None).folder)
    with pytest.raises(AdapterFileError, match=r"went astray.*lower learning rate"):
        write_gguf(tmp_path / "peft", tmp_path / "x.gguf", shape)
    save_file(
        {"base_model.model.model.layers.0.self_attn.rotary.lora_A.weight": np.ones((2, 2))},
        tmp_path / "peft" / "adapter_model.safetensors",
    )
    with pytest.raises(AdapterFileError, match="changes"):
        write_gguf(tmp_path / "peft", tmp_path / "y.gguf", replace(shape, layers=1))
