"""Which endpoints of a group work, each tested as `tale_core.models.connection` tests one; stores nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from tale_core.errors import InputError, ModelError
from tale_core.i18n import t
from tale_core.models.connection import ConnectionReport, check
from tale_core.models.groups.client import member_endpoint
from tale_core.models.groups.config import Group, Member


@dataclass(frozen=True, slots=True)
class MemberReport:
    """What the test of one endpoint found."""

    base_url: str
    report: ConnectionReport


async def check_group(group: Group, *, secrets: Mapping[str, object] | None = None) -> list[MemberReport]:
    """Test every endpoint, all at the same time; never raises for what an endpoint does."""
    return list(await asyncio.gather(*(_one(group, member, secrets) for member in group.endpoints)))


async def _one(group: Group, member: Member, secrets: Mapping[str, object] | None) -> MemberReport:
    try:
        endpoint = member_endpoint(group, member, secrets)
    except (InputError, ModelError) as e:
        return MemberReport(member.base_url, ConnectionReport(False, t("It cannot be asked"), e.message, e.hint))
    return MemberReport(member.base_url, await check(endpoint))
