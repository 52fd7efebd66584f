"""Endpoints with their keys that a person of a team keeps, so that they are there at the next sign-in.

Address, model and key are sealed together (Fernet), each for its person and place: whoever reads the database, or moves
a row to another account, reads nothing. The secret lies in the data folder, outside of the database.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

from tale_core.access.keys import Keys, load_keys
from tale_core.access.who import asking
from tale_core.models.choice import ModelChoice
from tale_core.settings import get_settings
from tale_core.store import KeptKeys, Store


@dataclass(frozen=True, slots=True)
class Kept:
    """An endpoint and its key.

    Attributes:
        choice: None where it cannot be read any more: the secret of this installation is another one by now.
    """

    name: str
    choice: ModelChoice | None = None
    key: str = ""


def may_keep() -> bool:
    """Whether whoever asks has an account that outlives the browser session."""
    return get_settings().access == "team" and asking().role in ("owner", "member")


def keep(choice: ModelChoice, key: str, *, store: Store) -> None:
    """Keep the key of an endpoint until it is forgotten.

    Raises:
        SettingsError: The secret of this installation cannot be used.
        StoreError: The database cannot be written.
    """
    name = _name(choice)
    text = json.dumps({"choice": asdict(choice), "key": key})
    KeptKeys(store).keep(name, _secret().sealed(text, asking().account, name))


def kept(store: Store) -> list[Kept]:
    """What whoever asks has kept, oldest first.

    Raises:
        SettingsError: The secret of this installation cannot be used.
        StoreError: The database cannot be read.
    """
    return [_opened(name, sealed) for name, sealed in KeptKeys(store).all().items()]


def _opened(name: str, sealed: str) -> Kept:
    text = _secret().unsealed(sealed, asking().account, name)
    if text is None:
        return Kept(name)
    found = json.loads(text)
    known = {field.name for field in fields(ModelChoice)}
    return Kept(name, ModelChoice(**{k: v for k, v in found["choice"].items() if k in known}), found["key"])


def _secret() -> Keys:
    return load_keys(get_settings().data_dir)


def _name(choice: ModelChoice) -> str:
    return hashlib.sha256(choice.key.encode("utf-8", "replace")).hexdigest()[:32]
