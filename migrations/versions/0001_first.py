"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patrol import columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SHAPED = ("areas", "permits", "zones", "surveys", "findings", "candidates", "cases")
KEPT = ("audit", "events")  # append-only: nobody changes or deletes a line, not even this program


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        need_postgis()
    make_tables()
    if op.get_bind().dialect.name == "postgresql":
        for table in SHAPED:
            op.create_index(f"ix_{table}_shape", table, ["shape"], postgresql_using="gist")
        keep_on_postgresql()
    else:
        keep_on_sqlite()


def need_postgis() -> None:
    bind = op.get_bind()
    if bind.execute(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'postgis'")).first() is None:
        op.execute("CREATE EXTENSION postgis")


def keep_on_sqlite() -> None:
    for table in KEPT:
        for deed in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def keep_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION patrol_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in KEPT:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION patrol_append_only()"
        )


def downgrade() -> None:
    for table in (
        "recheck_orders",
        "cases",
        "candidates",
        "findings",
        "evidence",
        "comparisons",
        "surveys",
        "flights",
        "sessions",
        "missions",
        "zones",
        "users",
        "plans",
        "permits",
        "outbox",
        "jobs",
        "events",
        "counters",
        "audit",
        "areas",
        "aircraft",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION patrol_append_only()")


def make_tables() -> None:
    op.create_table(
        "aircraft",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("record", columns.Plain(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aircraft")),
    )
    op.create_table(
        "areas",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("revisit_days", sa.Integer(), nullable=False),
        sa.Column("gsd_m", sa.Double(), nullable=False),
        sa.Column("epsg", sa.Integer(), nullable=False),
        sa.Column("shape", columns.Shape(), nullable=False),
        sa.Column("min_x", sa.Double(), nullable=False),
        sa.Column("min_y", sa.Double(), nullable=False),
        sa.Column("max_x", sa.Double(), nullable=False),
        sa.Column("max_y", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_areas")),
    )
    op.create_index("ix_areas_bounds", "areas", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", columns.Plain(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_actor"), "audit", ["actor"], unique=False)
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("by_name", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("facts", columns.Plain(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_index("ix_events_subject", "events", ["subject", "subject_id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("args", columns.Plain(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("sent_at", columns.Instant(), nullable=True),
        sa.Column("started_at", columns.Instant(), nullable=True),
        sa.Column("ended_at", columns.Instant(), nullable=True),
        sa.Column("lease_until", columns.Instant(), nullable=True),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("heartbeat_at", columns.Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("result", columns.Plain(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("key", name=op.f("uq_jobs_key")),
    )
    op.create_index(op.f("ix_jobs_kind"), "jobs", ["kind"], unique=False)
    op.create_index(op.f("ix_jobs_made_at"), "jobs", ["made_at"], unique=False)
    op.create_index("ix_jobs_state_lease", "jobs", ["state", "lease_until"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", columns.Plain(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.Column("sent_at", columns.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_sent_at"), "outbox", ["sent_at"], unique=False)
    op.create_table(
        "permits",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("floor", columns.Plain(), nullable=False),
        sa.Column("ceiling", columns.Plain(), nullable=False),
        sa.Column("span", columns.Plain(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("flags", columns.Plain(), nullable=False),
        sa.Column("shape", columns.Shape(), nullable=False),
        sa.Column("min_x", sa.Double(), nullable=False),
        sa.Column("min_y", sa.Double(), nullable=False),
        sa.Column("max_x", sa.Double(), nullable=False),
        sa.Column("max_y", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permits")),
    )
    op.create_index("ix_permits_bounds", "permits", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    op.create_table(
        "plans",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("start", sa.Date(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("record", columns.Plain(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
    )
    op.create_index(op.f("ix_plans_made_at"), "plans", ["made_at"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("roles", columns.Plain(), nullable=False),
        sa.Column("town", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", columns.Instant(), nullable=True),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("login", name=op.f("uq_users_login")),
    )
    op.create_table(
        "zones",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("floor", columns.Plain(), nullable=False),
        sa.Column("ceiling", columns.Plain(), nullable=False),
        sa.Column("spans", columns.Plain(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("buffer_m", sa.Double(), nullable=False),
        sa.Column("shape", columns.Shape(), nullable=False),
        sa.Column("min_x", sa.Double(), nullable=False),
        sa.Column("min_y", sa.Double(), nullable=False),
        sa.Column("max_x", sa.Double(), nullable=False),
        sa.Column("max_y", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zones")),
    )
    op.create_index("ix_zones_bounds", "zones", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    op.create_index(op.f("ix_zones_version"), "zones", ["version"], unique=False)
    op.create_table(
        "missions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=True),
        sa.Column("plan_id", sa.Text(), nullable=True),
        sa.Column("aircraft_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("plan_blob", sa.Text(), nullable=True),
        sa.Column("waypoints_blob", sa.Text(), nullable=True),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.Column("fly_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("record", columns.Plain(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_missions_aircraft_id_aircraft")),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_missions_area_id_areas")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_missions_plan_id_plans")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missions")),
    )
    op.create_index(op.f("ix_missions_area_id"), "missions", ["area_id"], unique=False)
    op.create_index(op.f("ix_missions_fly_on"), "missions", ["fly_on"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.Column("expires_at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "flights",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("mission_id", sa.Text(), nullable=True),
        sa.Column("area_id", sa.Text(), nullable=True),
        sa.Column("aircraft_id", sa.Text(), nullable=True),
        sa.Column("started", columns.Instant(), nullable=False),
        sa.Column("ended", columns.Instant(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("log", columns.Plain(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_flights_aircraft_id_aircraft")),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_flights_area_id_areas")),
        sa.ForeignKeyConstraint(["mission_id"], ["missions.id"], name=op.f("fk_flights_mission_id_missions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flights")),
    )
    op.create_index(op.f("ix_flights_area_id"), "flights", ["area_id"], unique=False)
    op.create_index(op.f("ix_flights_mission_id"), "flights", ["mission_id"], unique=False)
    op.create_index(op.f("ix_flights_started"), "flights", ["started"], unique=False)
    op.create_table(
        "surveys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("taken_on", sa.Date(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=True),
        sa.Column("flight_id", sa.Text(), nullable=True),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("quality", columns.Plain(), nullable=False),
        sa.Column("assets", columns.Plain(), nullable=False),
        sa.Column("record", columns.Plain(), nullable=False),
        sa.Column("shape", columns.Shape(), nullable=False),
        sa.Column("min_x", sa.Double(), nullable=False),
        sa.Column("min_y", sa.Double(), nullable=False),
        sa.Column("max_x", sa.Double(), nullable=False),
        sa.Column("max_y", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_surveys_area_id_areas")),
        sa.ForeignKeyConstraint(["flight_id"], ["flights.id"], name=op.f("fk_surveys_flight_id_flights")),
        sa.ForeignKeyConstraint(["reference_id"], ["surveys.id"], name=op.f("fk_surveys_reference_id_surveys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_surveys")),
    )
    op.create_index(op.f("ix_surveys_area_id"), "surveys", ["area_id"], unique=False)
    op.create_index("ix_surveys_bounds", "surveys", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    op.create_index(op.f("ix_surveys_taken_on"), "surveys", ["taken_on"], unique=False)
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("before_id", sa.Text(), nullable=False),
        sa.Column("after_id", sa.Text(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.Column("record", columns.Plain(), nullable=False),
        sa.ForeignKeyConstraint(["after_id"], ["surveys.id"], name=op.f("fk_comparisons_after_id_surveys")),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_comparisons_area_id_areas")),
        sa.ForeignKeyConstraint(["before_id"], ["surveys.id"], name=op.f("fk_comparisons_before_id_surveys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
        sa.UniqueConstraint("before_id", "after_id", name=op.f("uq_comparisons_before_id_after_id")),
    )
    op.create_index(op.f("ix_comparisons_after_id"), "comparisons", ["after_id"], unique=False)
    op.create_index(op.f("ix_comparisons_area_id"), "comparisons", ["area_id"], unique=False)
    op.create_table(
        "evidence",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("caption", sa.Text(), nullable=False),
        sa.Column("taken_at", columns.Instant(), nullable=True),
        sa.Column("place", columns.Shape(), nullable=True),
        sa.Column("survey_id", sa.Text(), nullable=True),
        sa.Column("photo_sha256", sa.Text(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["survey_id"], ["surveys.id"], name=op.f("fk_evidence_survey_id_surveys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_sha256"), "evidence", ["sha256"], unique=False)
    op.create_index("ix_evidence_subject", "evidence", ["subject", "subject_id"], unique=False)
    op.create_table(
        "findings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("area_m2", sa.Double(), nullable=False),
        sa.Column("height_m", sa.Double(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("found_at", columns.Instant(), nullable=False),
        sa.Column("before_survey", sa.Text(), nullable=True),
        sa.Column("after_survey", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reasons", columns.Plain(), nullable=False),
        sa.Column("town", sa.Text(), nullable=False),
        sa.Column("duplicate_of", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", columns.Instant(), nullable=True),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("leased_until", columns.Instant(), nullable=True),
        sa.Column("sightings", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("shape", columns.Shape(), nullable=False),
        sa.Column("min_x", sa.Double(), nullable=False),
        sa.Column("min_y", sa.Double(), nullable=False),
        sa.Column("max_x", sa.Double(), nullable=False),
        sa.Column("max_y", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["after_survey"], ["surveys.id"], name=op.f("fk_findings_after_survey_surveys")),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_findings_area_id_areas")),
        sa.ForeignKeyConstraint(["before_survey"], ["surveys.id"], name=op.f("fk_findings_before_survey_surveys")),
        sa.ForeignKeyConstraint(["duplicate_of"], ["findings.id"], name=op.f("fk_findings_duplicate_of_findings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
        sa.UniqueConstraint("number", name=op.f("uq_findings_number")),
    )
    op.create_index(op.f("ix_findings_area_id"), "findings", ["area_id"], unique=False)
    op.create_index("ix_findings_bounds", "findings", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    op.create_index(op.f("ix_findings_found_at"), "findings", ["found_at"], unique=False)
    op.create_index(op.f("ix_findings_state"), "findings", ["state"], unique=False)
    op.create_index(op.f("ix_findings_town"), "findings", ["town"], unique=False)
    op.create_table(
        "candidates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("comparison_id", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("area_m2", sa.Double(), nullable=False),
        sa.Column("area_sigma_m2", sa.Double(), nullable=False),
        sa.Column("height_m", sa.Double(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("reasons", columns.Plain(), nullable=False),
        sa.Column("suppressed", sa.Text(), nullable=True),
        sa.Column("finding_id", sa.Text(), nullable=True),
        sa.Column("shape", columns.Shape(), nullable=False),
        sa.Column("min_x", sa.Double(), nullable=False),
        sa.Column("min_y", sa.Double(), nullable=False),
        sa.Column("max_x", sa.Double(), nullable=False),
        sa.Column("max_y", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_candidates_area_id_areas")),
        sa.ForeignKeyConstraint(["comparison_id"], ["comparisons.id"], name=op.f("fk_candidates_comparison_id_comparisons")),
        sa.ForeignKeyConstraint(["finding_id"], ["findings.id"], name=op.f("fk_candidates_finding_id_findings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidates")),
    )
    op.create_index(op.f("ix_candidates_area_id"), "candidates", ["area_id"], unique=False)
    op.create_index("ix_candidates_bounds", "candidates", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    op.create_index(op.f("ix_candidates_comparison_id"), "candidates", ["comparison_id"], unique=False)
    op.create_index(op.f("ix_candidates_finding_id"), "candidates", ["finding_id"], unique=False)
    op.create_table(
        "cases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", columns.Instant(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("town", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("due_at", columns.Instant(), nullable=True),
        sa.Column("limit", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("verification", columns.Plain(), nullable=True),
        sa.Column("steps", columns.Plain(), nullable=False),
        sa.Column("recheck", columns.Plain(), nullable=True),
        sa.Column("resume_to", sa.Text(), nullable=True),
        sa.Column("suspended_at", columns.Instant(), nullable=True),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("transferred_to", sa.Text(), nullable=False),
        sa.Column("closed_at", columns.Instant(), nullable=True),
        sa.Column("close_reason", sa.Text(), nullable=False),
        sa.Column("watch_until", columns.Instant(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("shape", columns.Shape(), nullable=False),
        sa.Column("min_x", sa.Double(), nullable=False),
        sa.Column("min_y", sa.Double(), nullable=False),
        sa.Column("max_x", sa.Double(), nullable=False),
        sa.Column("max_y", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_cases_area_id_areas")),
        sa.ForeignKeyConstraint(["finding_id"], ["findings.id"], name=op.f("fk_cases_finding_id_findings")),
        sa.ForeignKeyConstraint(["merged_into"], ["cases.id"], name=op.f("fk_cases_merged_into_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("finding_id", name=op.f("uq_cases_finding_id")),
        sa.UniqueConstraint("number", name=op.f("uq_cases_number")),
    )
    op.create_index(op.f("ix_cases_area_id"), "cases", ["area_id"], unique=False)
    op.create_index(op.f("ix_cases_assignee"), "cases", ["assignee"], unique=False)
    op.create_index("ix_cases_bounds", "cases", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    op.create_index(op.f("ix_cases_closed_at"), "cases", ["closed_at"], unique=False)
    op.create_index(op.f("ix_cases_due_at"), "cases", ["due_at"], unique=False)
    op.create_index(op.f("ix_cases_opened_at"), "cases", ["opened_at"], unique=False)
    op.create_index(op.f("ix_cases_state"), "cases", ["state"], unique=False)
    op.create_index(op.f("ix_cases_town"), "cases", ["town"], unique=False)
    op.create_table(
        "recheck_orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("place", columns.Shape(), nullable=False),
        sa.Column("not_before", sa.Date(), nullable=False),
        sa.Column("not_after", sa.Date(), nullable=False),
        sa.Column("ordered_at", columns.Instant(), nullable=False),
        sa.Column("survey_id", sa.Text(), nullable=True),
        sa.Column("done_at", columns.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_recheck_orders_area_id_areas")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_recheck_orders_case_id_cases")),
        sa.ForeignKeyConstraint(["survey_id"], ["surveys.id"], name=op.f("fk_recheck_orders_survey_id_surveys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recheck_orders")),
    )
    op.create_index(op.f("ix_recheck_orders_area_id"), "recheck_orders", ["area_id"], unique=False)
    op.create_index(op.f("ix_recheck_orders_case_id"), "recheck_orders", ["case_id"], unique=False)
    op.create_index(op.f("ix_recheck_orders_not_after"), "recheck_orders", ["not_after"], unique=False)
