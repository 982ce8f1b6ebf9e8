"""Masks, exports, the classification of surveys, and when retention took a piece of evidence away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patrol import columns

revision = "0003_catalogue"
down_revision = "0002_uploads"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "masks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        *_shape(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_masks")),
    )
    op.create_table(
        "exports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("survey_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("classification", sa.Text(), nullable=False),
        sa.Column("area_m2", sa.Double(), nullable=False),
        sa.Column("contiguous_m2", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", columns.Instant(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", columns.Instant(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("done_at", columns.Instant(), nullable=True),
        *_shape(),
        sa.ForeignKeyConstraint(["survey_id"], ["surveys.id"], name=op.f("fk_exports_survey_id_surveys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
    )
    for column in ("survey_id", "asked_by"):
        op.create_index(op.f(f"ix_exports_{column}"), "exports", [column], unique=False)
    for table in ("masks", "exports"):
        op.create_index(f"ix_{table}_bounds", table, ["min_x", "max_x", "min_y", "max_y"], unique=False)
        if op.get_bind().dialect.name == "postgresql":
            op.create_index(f"ix_{table}_shape", table, ["shape"], postgresql_using="gist")
    op.add_column("surveys", sa.Column("classification", sa.Text(), nullable=False, server_default="internal"))
    op.add_column("evidence", sa.Column("removed_at", columns.Instant(), nullable=True))


def _shape() -> tuple[sa.Column[object], ...]:
    bounds = (sa.Column(name, sa.Double(), nullable=False) for name in ("min_x", "min_y", "max_x", "max_y"))
    return (sa.Column("shape", columns.Shape(), nullable=False), *bounds)
