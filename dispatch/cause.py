"""Cause (误报原因): what a finding was when it was no new structure: a short closed list, so that it can be counted and learned from."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """What was there instead; `PERMITTED` is the one that is a structure all the same."""

    PILE = "pile"  # 堆料
    RENOVATION = "renovation"  # 普通装修翻新
    VEHICLE = "vehicle"  # 车辆或临时物品
    VEGETATION = "vegetation"  # 植被或农作物
    SHADOW = "shadow"  # 阴影或影像误差
    PERMITTED = "permitted"  # 已有合法许可
    NOT_NEW = "not_new"  # 早已存在
    NOTHING = "nothing"  # 现场没有异物
    OTHER = "other"  # 其他


AT_DESK = tuple(c for c in Cause if c is not Cause.NOTHING)
"""What a reviewer may say, who sees imagery alone."""

ON_SITE = tuple(c for c in Cause if c not in {Cause.PERMITTED, Cause.NOT_NEW})
"""What officers may say of what is no structure; a lawful or an old one has a verdict of its own."""
