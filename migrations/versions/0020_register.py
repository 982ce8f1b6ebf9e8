"""The register: versions of imported files, their entries, and what they said of each finding."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patrol import columns

revision = "0020_register"
down_revision = "0010_pieces"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "register_versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("datum", sa.Text(), nullable=False),
        sa.Column("guessed", sa.Boolean(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("kinds", columns.Plain(), nullable=False),
        sa.Column("changes", columns.Plain(), nullable=False),
        sa.Column("notes", columns.Plain(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("replaced_by", sa.Text(), nullable=True),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.Column("imported_at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_versions")),
        sa.UniqueConstraint("source", "number", name=op.f("uq_register_versions_source_number")),
    )
    op.create_index(op.f("ix_register_versions_state"), "register_versions", ["state"], unique=False)
    op.create_table(
        "register_entries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("area_limit_m2", sa.Double(), nullable=True),
        sa.Column("height_limit_m", sa.Double(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("shape", columns.Shape(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("min_x", "min_y", "max_x", "max_y")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["register_versions.id"], name=op.f("fk_register_entries_version_id_register_versions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_entries")),
    )
    op.create_index(op.f("ix_register_entries_version_id"), "register_entries", ["version_id"], unique=False)
    op.create_index("ix_register_entries_bounds", "register_entries", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_register_entries_shape", "register_entries", ["shape"], postgresql_using="gist")
    op.create_table(
        "finding_labels",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("comparison_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("excess_area_m2", sa.Double(), nullable=False),
        sa.Column("excess_height_m", sa.Double(), nullable=False),
        sa.Column("zh", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.Column("held", sa.Text(), nullable=True),
        sa.Column("judged_on", sa.Date(), nullable=False),
        sa.Column("made_at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["finding_id"], ["findings.id"], name=op.f("fk_finding_labels_finding_id_findings")),
        sa.ForeignKeyConstraint(["entry_id"], ["register_entries.id"], name=op.f("fk_finding_labels_entry_id_register_entries")),
        sa.ForeignKeyConstraint(["comparison_id"], ["comparisons.id"], name=op.f("fk_finding_labels_comparison_id_comparisons")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding_labels")),
    )
    for column in ("finding_id", "entry_id"):
        op.create_index(op.f(f"ix_finding_labels_{column}"), "finding_labels", [column], unique=False)


def downgrade() -> None:
    for table in ("finding_labels", "register_entries", "register_versions"):
        op.drop_table(table)
