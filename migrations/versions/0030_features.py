"""Features: what was measured of each candidate, by name; empty for those of earlier comparisons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patrol import columns

revision = "0030_features"
down_revision = "0021_sightings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("candidates", sa.Column("features", columns.Plain(), nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("candidates") as table:
        table.drop_column("features")
