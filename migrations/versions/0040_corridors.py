"""Corridors of pipelines in the register, what they say of a finding, and how urgent that makes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patrol import columns

revision = "0040_corridors"
down_revision = "0031_zone_versions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("register_entries", sa.Column("axis", columns.Shape(), nullable=True))
    for name in ("inner_m", "outer_m", "start_m"):
        op.add_column("register_entries", sa.Column(name, sa.Double(), nullable=True))
    op.add_column("register_entries", sa.Column("contact", sa.Text(), nullable=False, server_default=""))
    op.add_column("finding_labels", sa.Column("watch", columns.Plain(), nullable=True))
    op.add_column("findings", sa.Column("urgency", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(op.f("ix_findings_urgency"), "findings", ["urgency"])


def downgrade() -> None:
    with op.batch_alter_table("findings") as findings:
        findings.drop_index(op.f("ix_findings_urgency"))
        findings.drop_column("urgency")
    with op.batch_alter_table("finding_labels") as labels:
        labels.drop_column("watch")
    with op.batch_alter_table("register_entries") as entries:
        for name in ("contact", "start_m", "outer_m", "inner_m", "axis"):
            entries.drop_column(name)
