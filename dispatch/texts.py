"""What the user reads: states, acts, verdicts, refusals, articles; Chinese first and English."""

from __future__ import annotations

from collections.abc import Mapping

Text = Mapping[str, str]


def _t(zh: str, en: str) -> Text:
    return {"zh": zh, "en": en}


MISSING = _t("（缺：{what}）", " (missing: {what})")
BASIS = _t("【依据：{law}】", " [{law}]")
EARLIEST = _t("最早可于{when}进行。", " Earliest: {when}.")

FINDING_STATES: Mapping[str, Text] = {
    "detected": _t("已发现", "detected"),
    "suppressed": _t("已抑制", "suppressed"),
    "triage": _t("待研判", "in triage"),
    "confirmed": _t("已确认", "confirmed"),
    "rejected": _t("已排除", "rejected"),
    "needs_imagery": _t("需补拍", "needs imagery"),
    "duplicate": _t("重复", "duplicate"),
}

STATES: Mapping[str, Text] = {
    "registered": _t("已立案", "registered"),
    "dispatched": _t("已派单", "dispatched"),
    "accepted": _t("已接单", "accepted"),
    "returned": _t("已退回", "returned"),
    "verifying": _t("核查中", "verifying"),
    "handling": _t("处置中", "handling"),
    "recheck": _t("待复核", "awaiting recheck"),
    "closed": _t("已销号", "closed"),
    "ledgered": _t("已入台账", "ledgered"),
    "reopened": _t("重新打开", "reopened"),
    "suspended": _t("已挂起", "suspended"),
    "transferred": _t("已移送", "transferred"),
    "merged": _t("已并案", "merged"),
}

ACTS: Mapping[str, Text] = {
    "suppress": _t("抑制", "suppress"),
    "triage": _t("转研判", "triage"),
    "lease": _t("打开研判", "open for review"),
    "confirm": _t("确认", "confirm"),
    "reject": _t("排除", "reject"),
    "need_imagery": _t("要求补拍", "ask for imagery"),
    "mark_duplicate": _t("标为重复", "mark as duplicate"),
    "register": _t("立案", "register"),
    "dispatch": _t("派单", "dispatch"),
    "accept": _t("接单", "accept"),
    "return": _t("退回", "return"),
    "verify": _t("核查", "verify"),
    "ledger": _t("入台账", "enter in the ledger"),
    "handle": _t("处置", "handle"),
    "order_stop": _t("责令停止", "order to stop"),
    "decide": _t("作出决定", "decide"),
    "demand": _t("催告", "demand"),
    "announce": _t("公告", "announce"),
    "make_ready": _t("作出强制执行决定", "decide on enforcement"),
    "enforce": _t("强制拆除", "enforce"),
    "self_done": _t("自行拆除", "removed by the party"),
    "feedback": _t("处理反馈", "feedback"),
    "recheck": _t("复核", "recheck"),
    "record": _t("登记复核结果", "record the recheck"),
    "close": _t("销号", "close"),
    "reopen": _t("重新打开", "reopen"),
    "suspend": _t("挂起", "suspend"),
    "resume": _t("恢复", "resume"),
    "transfer": _t("移送", "transfer"),
    "take_back": _t("收回", "take back"),
    "merge": _t("并案", "merge"),
}

VERDICTS: Mapping[str, Text] = {
    "illegal_building": _t("在建违法", "illegal, under construction"),
    "illegal_built": _t("已建违法", "illegal, built"),
    "legal": _t("合法", "legal"),
    "historic": _t("历史存量", "historic"),
    "temporary_legal": _t("临时合法", "lawful for a time"),
    "not_a_structure": _t("非建筑", "not a structure"),
    "gone": _t("已拆", "gone"),
    "no_entry": _t("无法进入", "no entry"),
}

CAUSES: Mapping[str, Text] = {
    "pile": _t("堆料", "Pile of material"),
    "renovation": _t("普通装修翻新", "Ordinary renovation"),
    "vehicle": _t("车辆或临时物品", "Vehicle or movable thing"),
    "vegetation": _t("植被或农作物", "Plants or crops"),
    "shadow": _t("阴影或影像误差", "Shadow or image error"),
    "permitted": _t("已有合法许可", "Has a permit"),
    "not_new": _t("早已存在", "Stood there before"),
    "nothing": _t("现场没有异物", "Nothing there"),
    "other": _t("其他", "Something else"),
}

TRUTHS: Mapping[str, Text] = {
    "structure": _t("属实", "a structure"),
    "lawful": _t("属实，合法", "a structure, lawful"),
    "gone": _t("属实，已拆", "a structure, gone"),
    "not_new": _t("不是新建", "nothing new"),
    "not_a_structure": _t("非建筑", "not a structure"),
    "open": _t("重新研判", "looked at again"),
}

INFORMED: Mapping[int, Text] = {
    1: _t("内业研判", "desk"),
    2: _t("复核影像", "recheck survey"),
    3: _t("现场核查", "site visit"),
    4: _t("处置", "handling"),
}

STEPS: Mapping[str, Text] = {
    "stop_order": _t("责令停止违法行为通知书", "stop order"),
    "decision": _t("行政决定书", "decision"),
    "demand": _t("催告书", "demand"),
    "announcement": _t("限期拆除公告", "announcement"),
    "enforce_ready": _t("强制执行决定书", "enforcement decision"),
    "enforced": _t("强制拆除", "enforced"),
    "self_done": _t("自行拆除", "removed by the party"),
    "feedback": _t("处理反馈", "feedback"),
}

FIELDS: Mapping[str, Text] = {
    **STEPS,
    "reason": _t("理由", "reason"),
    "note": _t("说明", "note"),
    "duplicate_of": _t("重复于哪条线索", "the finding it repeats"),
    "assignee": _t("承办人", "assignee"),
    "verification": _t("核查表", "verification form"),
    "officers": _t("两名执法人员姓名", "names of two officers"),
    "cause": _t("现场是什么（非建筑时必填）", "what it is, of what is no structure"),
    "two_officers": _t("两名执法人员姓名", "names of two officers"),
    "photos": _t("现场照片", "field photos"),
    "document": _t("文书编号", "number of the document"),
    "served_at": _t("送达时间", "time of service"),
    "comply_by": _t("履行期限", "time limit to comply"),
    "outcome": _t("处置结果（自行拆除或强制拆除）", "outcome (removed by the party, or enforced)"),
    "recheck": _t("复核结果", "recheck result"),
    "recheck_signed": _t("复核影像期号或两名复核人员", "recheck survey or two officers"),
    "recheck_by": _t("复核影像期号或两名复核人员", "recheck survey or two officers"),
    "to_whom": _t("移送对象", "to whom"),
    "merged_into": _t("并入的案件", "the case it is merged into"),
    "defence_heard": _t("陈述申辩记录", "record of statement and defence"),
    "number": _t("文书编号", "number of the document"),
    "office": _t("办案单位", "office"),
    "party": _t("当事人", "party"),
    "law": _t("法律依据", "article of law"),
    "use": _t("用途", "use"),
    "measured_m2": _t("实测面积", "measured area"),
    "enforce_on": _t("强制拆除日期", "day of enforcement"),
    "defence": _t("陈述申辩情况", "statement and defence"),
    "approval": _t("延期批准文号", "approval of the extension"),
    "reviewer": _t("审核人", "reviewer"),
}

LAWS: Mapping[str, Text] = {
    "imagery-41": _t("《行政处罚法》第四十一条", "Administrative Penalty Law Art. 41"),
    "officers-42": _t("《行政处罚法》第四十二条", "Administrative Penalty Law Art. 42"),
    "decision-60": _t("《行政处罚法》第六十条", "Administrative Penalty Law Art. 60"),
    "execution-34": _t("《行政强制法》第三十四条", "Administrative Compulsion Law Art. 34"),
    "demand-35": _t("《行政强制法》第三十五条", "Administrative Compulsion Law Art. 35"),
    "defence-36": _t("《行政强制法》第三十六条", "Administrative Compulsion Law Art. 36"),
    "execution-37": _t("《行政强制法》第三十七条", "Administrative Compulsion Law Art. 37"),
    "service-38": _t("《行政强制法》第三十八条", "Administrative Compulsion Law Art. 38"),
    "hours-43": _t("《行政强制法》第四十三条", "Administrative Compulsion Law Art. 43"),
    "city-64": _t("《城乡规划法》第六十四条、第六十八条", "Urban and Rural Planning Law Art. 64, 68"),
    "village-65": _t("《城乡规划法》第六十五条", "Urban and Rural Planning Law Art. 65"),
    "announce-44": _t("《行政强制法》第四十四条", "Administrative Compulsion Law Art. 44"),
}

REASONS: Mapping[str, Text] = {
    "no_such_move": _t("“{state}”状态下不能“{act}”。", "A case that is “{state}” knows no act “{act}”."),
    "role": _t("您的角色无权进行此操作。", "Your role does not allow this act."),
    "not_yours": _t("该案件不在您名下。", "This case is not assigned to you."),
    "leased": _t("另一名审核员正在研判该线索。", "Another reviewer has this finding open."),
    "duplicate_of_itself": _t("线索不能重复于自身。", "A finding cannot repeat itself."),
    "told_too_little": _t("填报内容不全。", "The form is not complete."),
    "not_confirmed": _t(
        "影像只是线索，须经审核员署名确认后方可立案。", "Imagery is only a lead until a named reviewer has confirmed it."
    ),
    "not_reviewed": _t("电子技术监控记录须经法制和技术审核。", "Imagery needs its legal and technical review first."),
    "two_officers": _t("执法人员不得少于两人。", "No fewer than two officers must act."),
    "photos": _t("现场照片至少{least}张，现有{given}张。", "At least {least} field photos are needed; there are {given}."),
    "not_a_cause": _t("“{cause}”不能作为此处的原因。", "“{cause_en}” is no cause that can be given here."),
    "cause_of_a_structure": _t("只有“非建筑”才填写原因。", "Only what is “not a structure” has a cause."),
    "visit_in_future": _t("核查时间晚于现在。", "The visit lies in the future."),
    "not_verified": _t("尚未现场核查。", "Nobody has verified it on the ground."),
    "must_be_handled": _t("核查结论不支持直接销号。", "The verdict does not end the case."),
    "not_historic": _t("核查结论不是历史存量。", "The verdict is not “historic”."),
    "not_illegal": _t("核查结论不是违法建设，不能处置。", "The verdict is not “illegal”: there is nothing to handle."),
    "served_in_future": _t("送达时间晚于现在。", "The service lies in the future."),
    "comply_before_served": _t("履行期限须晚于送达时间。", "The time limit must end after the service."),
    "decision_late": _t("立案已超过九十日，须有延期批准。", "Over 90 days since registration: an approved extension is needed."),
    "not_decided": _t("尚无已送达的行政决定。", "No decision has been served."),
    "decision_running": _t("行政决定确定的履行期限尚未届满。", "The time to comply with the decision is still running."),
    "not_demanded": _t("强制执行前应当事先书面催告。", "A written demand must come before enforcement."),
    "demand_running": _t("催告期限尚未届满。", "The time set by the demand is still running."),
    "defence": _t("应当充分听取当事人的陈述和申辩并记录。", "The party's statement and defence must be heard and recorded."),
    "not_announced": _t("强制拆除前应当公告，限期自行拆除。", "Demolition must be announced, with a time to remove it oneself."),
    "announcement_running": _t("公告期限尚未届满。", "The announced time is still running."),
    "remedy_open": _t("申请行政复议或者提起行政诉讼的期限尚未届满。", "The time for reconsideration or suit has not lapsed."),
    "dispute": _t("行政复议或者行政诉讼正在进行。", "A reconsideration or a suit is under way."),
    "not_ready": _t("尚未作出强制执行决定。", "No enforcement decision has been made."),
    "night_or_holiday": _t("不得在夜间或者法定节假日实施强制执行。", "Enforcement is barred at night and on statutory holidays."),
    "nothing_done": _t("尚无处置结果，不能复核。", "Nothing has been done yet that could be rechecked."),
    "not_enforced": _t("没有强制拆除记录。", "No enforcement is on record."),
    "not_rechecked": _t("尚无复核结果。", "There is no recheck result."),
    "recheck_unsigned": _t("复核须有影像期号或两名人员署名。", "A recheck needs a survey, or two officers' names."),
    "still_there": _t("复核结果为未拆除，不能销号。", "The recheck found it still standing."),
    "already_gone": _t("复核结果为已拆除，无需再处置。", "The recheck found it gone: nothing is left to handle."),
    "nobody_there": _t("{unit}目前没有在岗人员。", "Nobody of {unit} is at work."),
    "no_route": _t("地点（{place}）不在任何派单范围内，请人工指派。", "No route covers the place ({place}): assign it by hand."),
    "paper_gap": _t("《{paper}》填写不全。", "“{paper}” is not complete."),
    "merge_itself": _t("案件不能并入自身。", "A case cannot be merged into itself."),
}
