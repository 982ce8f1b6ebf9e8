"""The twelve kinds of controlled airspace that article 19 names, each with its place in the article and its words.

《无人驾驶航空器飞行管理暂行条例》 (State Council and Central Military Commission, in force 2024-01-01), article 19, second paragraph: four
kinds in its first sentence, then eight items. What lies outside all of them is 适飞空域 for micro, light and small aircraft.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ZoneClass(StrEnum):
    """Why the law closes the air."""

    ABOVE_120 = "above_120"
    PROHIBITED = "prohibited"
    RESTRICTED = "restricted"
    MILITARY_LOW = "military_low"
    AIRPORT = "airport"
    BORDER = "border"
    SECRET = "secret"
    HAZARD = "hazard"
    INFRASTRUCTURE = "infrastructure"
    RADIO = "radio"
    HERITAGE = "heritage"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ArticleText:
    """A class in the law's own words, with an English rendering; `short` is for lists and legends."""

    article: str
    short_zh: str
    short_en: str
    zh: str
    en: str


_AROUND_ZH, _AROUND_EN = "以及周边一定范围的区域", "and the area around"

CLASS_TEXT: Mapping[ZoneClass, ArticleText] = {
    ZoneClass.ABOVE_120: ArticleText(
        "第十九条第二款", "真高120米以上", "above 120 m", "真高120米以上空域", "airspace above 120 m true height"
    ),
    ZoneClass.PROHIBITED: ArticleText(
        "第十九条第二款", "空中禁区", "prohibited area", "空中禁区以及周边空域", "prohibited areas and the air around them"
    ),
    ZoneClass.RESTRICTED: ArticleText(
        "第十九条第二款", "空中限制区", "restricted area", "空中限制区以及周边空域", "restricted areas and the air around them"
    ),
    ZoneClass.MILITARY_LOW: ArticleText(
        "第十九条第二款", "军航超低空", "military low flying", "军用航空超低空飞行空域", "airspace of very low military flying"
    ),
    ZoneClass.AIRPORT: ArticleText(
        "第十九条第二款第（一）项", "机场", "airport", f"机场{_AROUND_ZH}", f"airports {_AROUND_EN} them"
    ),
    ZoneClass.BORDER: ArticleText(
        "第十九条第二款第（二）项",
        "边境",
        "border",
        "国界线、实际控制线、边境线向我方一侧一定范围的区域",
        "a strip on our side of the national boundary, line of actual control or border line",
    ),
    ZoneClass.SECRET: ArticleText(
        "第十九条第二款第（三）项",
        "军事和涉密单位",
        "military or secret site",
        f"军事禁区、军事管理区、监管场所等涉密单位{_AROUND_ZH}",
        f"military areas, places of custody and other secret sites {_AROUND_EN} them",
    ),
    ZoneClass.HAZARD: ArticleText(
        "第十九条第二款第（四）项",
        "军工、核和危险品",
        "defence, nuclear or dangerous goods",
        "重要军工设施保护区域、核设施控制区域、易燃易爆等危险品的生产和仓储区域，以及可燃重要物资的大型仓储区域",
        "defence works, nuclear sites, production and storage of flammable, explosive and other dangerous goods, and large stores of "
        "important combustible goods",
    ),
    ZoneClass.INFRASTRUCTURE: ArticleText(
        "第十九条第二款第（五）项",
        "公共基础设施和水源",
        "infrastructure or water source",
        "发电厂、变电站、加油（气）站、供水厂、公共交通枢纽、航电枢纽、重大水利设施、港口、高速公路、铁路电气化线路等公共基础设施"
        f"{_AROUND_ZH}和饮用水水源保护区",
        "power plants, substations, filling stations, waterworks, transport hubs, navigation and power hubs, major water works, ports, "
        f"expressways, electrified railways and other public infrastructure {_AROUND_EN} them, and drinking-water protection areas",
    ),
    ZoneClass.RADIO: ArticleText(
        "第十九条第二款第（六）项",
        "电磁环境保护",
        "radio site",
        f"射电天文台、卫星测控（导航）站、航空无线电导航台、雷达站等需要电磁环境特殊保护的设施{_AROUND_ZH}",
        "radio observatories, satellite control or navigation stations, air navigation aids, radar stations and other sites whose radio "
        f"environment is protected {_AROUND_EN} them",
    ),
    ZoneClass.HERITAGE: ArticleText(
        "第十九条第二款第（七）项",
        "革命纪念地和文物",
        "memorial or heritage",
        f"重要革命纪念地、重要不可移动文物{_AROUND_ZH}",
        f"important revolutionary memorials and immovable cultural relics {_AROUND_EN} them",
    ),
    ZoneClass.OTHER: ArticleText(
        "第十九条第二款第（八）项",
        "其他管制",
        "other",
        "国家空中交通管理领导机构规定的其他区域",
        "other areas that the national air traffic authority lays down",
    ),
}
