"""Who acts: a named person with roles, or the product itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may be here. The case workflow asks for some; the rest belong to other rooms and share the word list."""

    ADMIN = "admin"  # 系统管理员
    SECURITY_ADMIN = "security_admin"  # 安全管理员
    AUDIT_ADMIN = "audit_admin"  # 审计管理员
    REVIEWER = "reviewer"  # 审核员
    DISPATCHER = "dispatcher"  # 派单员
    OFFICER = "officer"  # 执法队员
    TOWN_LEAD = "town_lead"  # 镇街负责人
    PILOT = "pilot"  # 飞手
    FIRE_COMMANDER = "fire_commander"  # 消防指挥员
    SYSTEM = "system"  # the product itself: timers, recheck surveys


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who acts, as the event and the audit entry will name them."""

    id: str
    name: str
    roles: frozenset[Role]

    def is_any(self, roles: frozenset[Role]) -> bool:
        """Whether one of the roles is theirs."""
        return bool(self.roles & roles)


SYSTEM = Actor("system", "system", frozenset({Role.SYSTEM}))
