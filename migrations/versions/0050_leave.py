"""Leave to fly: pilots, operators, applications, every check of a mission against the airspace, and long-term approvals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patrol import columns

revision = "0050_leave"
down_revision = "0041_calibrations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("permits", sa.Column("long_term", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("permits", sa.Column("filed_days", columns.Plain(), nullable=False, server_default="[]"))
    for name in ("pilots", "operators"):
        op.create_table(
            name,
            sa.Column("id", sa.Text(), nullable=False),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("record", columns.Plain(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "flight_applications",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "number", "body", "state")),
        *(sa.Column(name, columns.Instant(), nullable=False) for name in ("starts_at", "made_at")),
        sa.Column("record", columns.Plain(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flight_applications")),
        sa.UniqueConstraint("number", name=op.f("uq_flight_applications_number")),
    )
    for column in ("state", "starts_at"):
        op.create_index(op.f(f"ix_flight_applications_{column}"), "flight_applications", [column], unique=False)
    op.create_table(
        "airspace_checks",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "mission_id", "stage")),
        sa.Column("at", columns.Instant(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("by", "verdict", "data_version")),
        sa.Column("stale", sa.Boolean(), nullable=False),
        *(sa.Column(name, columns.Plain(), nullable=False) for name in ("clearance", "details")),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", columns.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["mission_id"], ["missions.id"], name=op.f("fk_airspace_checks_mission_id_missions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airspace_checks")),
    )
    for column in ("mission_id", "stale"):
        op.create_index(op.f(f"ix_airspace_checks_{column}"), "airspace_checks", [column], unique=False)


def downgrade() -> None:
    for name in ("airspace_checks", "flight_applications", "operators", "pilots"):
        op.drop_table(name)
    with op.batch_alter_table("permits") as table:
        table.drop_column("filed_days")
        table.drop_column("long_term")
