/** The wire's words under short names. */
import type { components } from "./schema";

type S = components["schemas"];

export type Area = S["AreaOut"];
export type Survey = S["SurveyOut"];
export type Comparison = S["ComparisonOut"];
export type Finding = S["FindingOut"];
export type Corridor = S["CorridorOut"];
export type Watch = S["WatchOut"];
export type FindingState = Finding["state"];
export type Decision = S["FindingDecision"]["decision"];
export type Evidence = S["EvidenceOut"];
export type CaseRow = S["CaseOut"];
export type CaseDetail = S["CaseDetail"];
export type Move = S["MoveOut"];
export type HistoryEvent = S["EventOut"];
export type Fact = NonNullable<S["ActIn"]["facts"]>[string];
export type Zone = S["ZoneOut"];
export type Height = S["HeightOut"];
export type ZoneReview = S["ZoneReviewOut"];
export type Clearance = S["ClearanceOut"];
export type Aircraft = S["AircraftOut"];
export type CalendarEntry = S["CalendarEntry"];
export type Mission = S["MissionOut"];
export type Recon = S["ReconOut"];
export type Job = S["JobOut"];
export type Me = S["Me"];
export type Health = S["Health"];
export type Problem = S["Problem"];
export type Reason = S["Reason"];
export type Upload = S["UploadOut"];
export type UploadAnswer = S["UploadFileOut"];
export type Text2 = S["Text2"];
export type Residual = S["ResidualOut"];
export type QualityDetail = S["QualityDetail"];
export type QualityReason = S["QualityReason"];
