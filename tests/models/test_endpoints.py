"""Presets, addresses and where keys are looked up."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tale_core.errors import AuthenticationFailedError, InputError, SettingsError, UnknownModelError
from tale_core.models import endpoints as e
from tale_core.models.choice import choice_from_flags
from tale_core.models.endpoint_url import deployment, is_azure, likely_address, validate_base_url

KEY = "sk-test-0123456789abcdefghij"


def test_the_presets_are_there_and_their_addresses_are_in_normal_form() -> None:
    presets = {p.name: p for p in e.endpoints()}
    assert set(presets) >= {"openai", "yi", "vllm", "ollama", "llamacpp"}  # The others: test_providers.py.
    for p in presets.values():
        assert validate_base_url(p.base_url, has_key=True) == p.base_url
        assert len({m.name for m in p.models}) == len(p.models)
    assert {"gpt-4o", "gpt-4o-mini", "o3-mini"} <= {m.name for m in presets["openai"].models}


def test_the_openai_models_are_names_that_the_sdk_knows() -> None:
    from openai.types import ChatModel

    assert {m.name for m in e.preset("openai").models} <= set(get_args(ChatModel))


def test_a_model_that_two_presets_list_is_not_guessed() -> None:
    for look in (e.resolve, lambda name: choice_from_flags(model=name, base_url=None, api_key_env=None)):
        with pytest.raises(InputError, match=r"Groq \(https://api.groq.com/openai/v1\), Together AI"):
            look("openai/gpt-oss-120b")
    at = e.resolve("openai/gpt-oss-120b", base_url="https://api.groq.com/openai/v1", key=KEY)
    assert at.price is not None and at.knobs[0].levels == ("low", "medium", "high")


def test_an_azure_resource_is_the_presets_and_its_placeholder_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    mine = e.resolve("my-gpt", base_url="https://lab.openai.azure.com/openai/v1")
    assert mine.secret == KEY and [one.knob for one in mine.knobs] == ["effort", "verbosity"]
    for elsewhere in ("https://openai.azure.com.example.org/openai/v1", "https://host/openai/deployments/x"):
        assert e.resolve("my-gpt", base_url=elsewhere).api_key is None
    with pytest.raises(InputError, match="your-resource"):
        e.resolve("my-gpt", preset_name="azure")


def test_an_unknown_price_is_none_and_never_zero() -> None:
    assert e.resolve("yi-lightning", key=KEY).price is None
    price = e.resolve("gpt-4o-mini", key=KEY).price
    assert price is not None and (price.input_per_mtok, price.output_per_mtok) == (0.15, 0.60) and price.as_of
    with pytest.raises(ValueError, match="together"):
        e.PresetModel(name="m", input=1.0)
    with pytest.raises(ValueError, match="greater than 0"):
        e.PresetModel(name="m", input=0, output=1, as_of="2026-01-01")


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        (" https://API.OpenAI.com/v1/chat/completions ", "https://api.openai.com/v1"),
        ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1"),
        ("http://127.0.0.1:1234/v1/embeddings/", "http://127.0.0.1:1234/v1"),
        ("http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434/api/generate", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:3000/ollama/api/tags", "http://127.0.0.1:3000/ollama/v1"),
        ("http://localhost:8000/v1//", "http://localhost:8000/v1"),
        ("http://0.0.0.0:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("http://192.168.1.7:11434/v1", "http://192.168.1.7:11434/v1"),
        ("http://vllm:8000/v1", "http://vllm:8000/v1"),
        ("https://host", "https://host"),
        ("https://api.openai.com/v1/responses", "https://api.openai.com/v1"),
        ("https://x.services.ai.azure.com/models/chat/completions", "https://x.services.ai.azure.com/models"),
        ("https://lab.openai.azure.com/openai/v1/", "https://lab.openai.azure.com/openai/v1"),
        (
            "https://lab.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
            "https://lab.openai.azure.com/openai/deployments/my-gpt?api-version=2024-10-21",
        ),
    ],
)
def test_an_address_is_brought_into_its_normal_form(typed: str, normal: str) -> None:
    assert validate_base_url(typed, has_key=True) == normal
    assert validate_base_url(normal, has_key=True) == normal


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "No address"),
        ("api.openai.com/v1", "must begin with http"),
        ("localhost:8000", "must begin with http"),
        ("ftp://host/v1", "ftp"),
        ("file:///etc/passwd", "file"),
        ("javascript:alert(1)", "javascript"),
        ("http://", "no host"),
        ("http:///v1", "no host"),
        ("http://host:0/v1", "port 0"),
        ("http://host:99999/v1", "malformed"),
        ("http://[::1/v1", "malformed"),
        ("https://host/v1?key=secret", "? or #"),
        ("https://host/v1#x", "? or #"),
        ("https://host/v1?api-version=2024-10-21&key=secret", "? or #"),
        ("https://ho st/v1", "space"),
        ("https://host\\@evil/v1", "backslash"),
        ("http://169.254.169.254/latest", "metadata"),
        ("http://2852039166/v1", "metadata"),
        ("http://0xA9FEA9FE/v1", "metadata"),
        ("http://[fe80::1]/v1", "metadata"),
        ("http://192.0.0.192/v1", "metadata"),
        ("http://[fd20:ce::254]/v1", "metadata"),
        ("http://[::ffff:169.254.169.254]/v1", "metadata"),
        ("http://metadata.google.internal/v1", "metadata"),
        ("http://metadata.google.internal./v1", "metadata"),
    ],
)
def test_a_wrong_address_is_refused_in_words(url: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_base_url(url)
    assert says in caught.value.message and caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "azure", "named", "likely"),
    [
        ("https://api.openai.com/v1", False, None, None),
        ("http://127.0.0.1:1234", False, None, "http://127.0.0.1:1234/v1"),
        ("https://host/api", False, None, "https://host/api/v1"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", False, None, None),
        ("https://lab.openai.azure.com", True, None, "https://lab.openai.azure.com/openai/v1"),
        ("https://lab.openai.azure.com/openai", True, None, "https://lab.openai.azure.com/openai/v1"),
        ("https://lab.openai.azure.com/openai/v1", True, None, None),
        ("https://lab.openai.azure.com/openai/deployments/my%20gpt?api-version=2024-10-21", True, "my gpt", None),
        ("http://gateway:8000/openai/deployments/gpt", True, "gpt", None),
        ("https://azure.com.example.org/v1", False, None, None),
    ],
)
def test_an_address_tells_whose_it_is_and_what_is_missing(
    address: str, azure: bool, named: str | None, likely: str | None
) -> None:
    assert (is_azure(address), deployment(address), likely_address(address)) == (azure, named, likely)


def test_a_deployments_address_names_its_model() -> None:
    url = "https://lab.openai.azure.com/openai/deployments/my-gpt?api-version=2024-10-21"
    assert e.resolve(None, base_url=url, key=KEY).model == "my-gpt"
    assert e.resolve("other", base_url=url, key=KEY).model == "other"
    assert choice_from_flags(model=None, base_url=url, api_key_env=None).model == "my-gpt"


def test_a_published_price_of_the_cache_is_below_the_ordinary_one_and_never_without_it() -> None:
    models = [m for p in e.endpoints() for m in p.models]
    assert any(m.cached_input is not None for m in models)
    assert all(m.cached_input < (m.input or 0) for m in models if m.cached_input is not None)
    with pytest.raises(ValueError, match="ordinary prices"):
        e.PresetModel(name="m", cached_input=0.1)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        validate_base_url("https://user:hunter2@host/v1")
    assert "hunter2" not in str(caught.value)


def test_a_key_does_not_travel_unencrypted_over_the_internet() -> None:
    assert validate_base_url("http://example.com/v1") == "http://example.com/v1"
    for url in ("http://example.com/v1", "http://8.8.8.8/v1", "http://[2606:4700::1111]/v1"):
        with pytest.raises(InputError, match="unencrypted"):
            validate_base_url(url, has_key=True)
        with pytest.raises(InputError, match="unencrypted"):
            e.resolve("m", base_url=url, key=KEY)


@given(st.text())
def test_any_text_gives_an_address_or_an_input_error(text: str) -> None:
    try:
        normal = validate_base_url(text)
    except InputError:
        return
    assert validate_base_url(normal) == normal


def test_a_key_is_looked_up_in_field_then_environment_then_file(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"SOME_API_KEY": "from-file"}
    assert e.api_key("SOME_API_KEY") is None
    assert e.api_key("SOME_API_KEY", secrets=secrets) == "from-file"
    monkeypatch.setenv("SOME_API_KEY", " from-environment\n")
    assert e.api_key("SOME_API_KEY", secrets=secrets) == "from-environment"
    assert e.api_key("SOME_API_KEY", secrets=secrets, field="typed") == "typed"
    assert e.api_key("SOME_API_KEY", secrets=secrets, field="  ") == "from-environment"
    assert e.api_key(None, secrets=secrets) is None
    assert e.api_key("TABLE", secrets={"TABLE": {"a": "b"}}) is None


def test_a_secrets_file_is_read_and_a_broken_one_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    assert e.read_secrets_file(path) == {}
    path.write_text(f'OPENAI_API_KEY = "{KEY}"\n', encoding="utf-8")
    assert e.read_secrets_file(path)["OPENAI_API_KEY"] == KEY
    path.write_text(f"OPENAI_API_KEY = {KEY}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        e.read_secrets_file(path)
    assert KEY not in str(caught.value) and caught.value.__context__ is None


def test_secrets_lie_where_the_pages_look_too_and_the_nearest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / name for name in ("home", "here", "app")]
    monkeypatch.setenv("HOME", str(places[0]))
    monkeypatch.setenv("USERPROFILE", str(places[0]))
    monkeypatch.setattr(e, "APP_ROOT", places[2])
    for number, place in enumerate(places):
        (place / ".streamlit").mkdir(parents=True)
        names = ("ONE", "TWO", "THREE")[number:]
        (place / ".streamlit" / "secrets.toml").write_text("".join(f'{n} = "{place.name}"\n' for n in names))
    monkeypatch.chdir(places[1])
    assert e.read_secrets() == {"ONE": "home", "TWO": "here", "THREE": "app"}


def test_an_endpoint_is_found_by_model_preset_or_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    by_model = e.resolve("o3-mini")
    assert (by_model.base_url, by_model.secret, by_model.reasoning) == ("https://api.openai.com/v1", KEY, True)
    assert e.resolve(preset_name="openai").model == "gpt-4o-mini"
    local = e.resolve("qwen3", preset_name="ollama")
    assert (local.base_url, local.model, local.api_key) == ("http://127.0.0.1:11434/v1", "qwen3", None)
    assert e.resolve("x", base_url="http://127.0.0.1:8080/v1/").tokenizer == "llama.cpp"
    with pytest.raises(UnknownModelError, match="gpt-4o-mini"):
        e.resolve("no-such-model")
    with pytest.raises(UnknownModelError):
        e.resolve()
    with pytest.raises(InputError, match="No model name"):
        e.resolve(preset_name="vllm")
    with pytest.raises(InputError, match="llamacpp"):
        e.resolve("m", preset_name="no-such-preset")


def test_a_preset_is_known_however_its_address_is_spelt_and_a_server_of_ones_own_at_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-1")
    for address in ("https://api.deepseek.com/v1", "https://api.deepseek.com:443", "https://api.deepseek.com/"):
        assert e.resolve("deepseek-chat", base_url=address).secret == "sk-1"
    for address in ("http://api.deepseek.com", "https://api.deepseek.com.evil.example", "https://api.deepseek.com/x"):
        assert e.preset_at(address) is None
    usual = e.resolve("m", preset_name="vllm")
    for address in ("http://localhost:8000/v1", "http://10.0.0.5:8000/v1"):
        there = e.resolve("m", preset_name="vllm", base_url=address)
        assert (there.knobs, there.continues, there.usage) == (usual.knobs, usual.continues, usual.usage)
    assert e.resolve("m", preset_name="deepseek", base_url="http://10.0.0.5:8000/v1").knobs == ()


def test_a_presets_key_goes_to_the_presets_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elsewhere = e.resolve("gpt-4o-mini", base_url="https://example.com/v1")
    assert elsewhere.api_key is None and elsewhere.price is None
    assert e.resolve("gpt-4o-mini", preset_name="openai", base_url="https://example.com/v1").api_key is None
    named = e.resolve("gpt-4o-mini", base_url="https://example.com/v1", api_key_env="OPENAI_API_KEY")
    assert named.secret == KEY


def test_a_missing_key_is_told_with_where_to_put_it() -> None:
    with pytest.raises(AuthenticationFailedError, match="OPENAI_API_KEY"):
        e.resolve("gpt-4o-mini")
    with pytest.raises(AuthenticationFailedError, match="MY_API_KEY"):
        e.resolve("m", base_url="https://example.com/v1", api_key_env="MY_API_KEY")


def test_a_key_that_cannot_be_one_is_refused_and_not_repeated() -> None:
    for wrong in (f"{KEY}\nX-Evil: 1", f"{KEY} {KEY}", f"{KEY}é"):
        with pytest.raises(InputError) as caught:
            e.Endpoint("https://example.com/v1", "m", SecretStr(wrong))
        assert KEY not in str(caught.value)
