"""Jobs in pieces: a job that waits for others, and what each of them is a piece of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_pieces"
down_revision = "0003_catalogue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("parent_id", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("stage", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("piece", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_jobs_parent_id"), "jobs", ["parent_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_jobs_parent_id"), table_name="jobs")
    with op.batch_alter_table("jobs") as table:
        for name in ("piece", "stage", "parent_id"):
            table.drop_column(name)
