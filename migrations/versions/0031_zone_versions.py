"""Zones in versions: each edition of a source's zones, zones of several parts, windows, notices. Zones from before become one version."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from patrol import columns

revision = "0031_zone_versions"
down_revision = "0030_features"
branch_labels = None
depends_on = None

BEFORE = "before"  # the source of zones that were imported before there were versions
BOUNDS = ("min_x", "min_y", "max_x", "max_y")


def upgrade() -> None:
    versions = op.create_table(
        "zone_versions",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "source")),
        sa.Column("number", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("file_name", "format", "sha256", "datum")),
        sa.Column("guessed", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("authority", "edition", "classification")),
        *(sa.Column(name, columns.Instant(), nullable=True) for name in ("valid_from", "valid_until")),
        sa.Column("zones", sa.Integer(), nullable=False),
        *(sa.Column(name, columns.Plain(), nullable=False) for name in ("kinds", "changes", "notes")),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ends_at", columns.Instant(), nullable=True),
        sa.Column("replaced_by", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("said", "imported_by")),
        sa.Column("imported_at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zone_versions")),
        sa.UniqueConstraint("source", "number", name=op.f("uq_zone_versions_source_number")),
    )
    op.create_index(op.f("ix_zone_versions_state"), "zone_versions", ["state"], unique=False)
    zones = op.create_table(
        "airspace_zones",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "version_id", "zone_id", "name", "kind")),
        sa.Column("article_class", sa.Text(), nullable=True),
        *(sa.Column(name, columns.Plain(), nullable=False) for name in ("parts", "spans", "windows")),
        sa.Column("buffer_m", sa.Double(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("authority", "version")),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        *(sa.Column(name, columns.Instant(), nullable=True) for name in ("valid_from", "valid_until")),
        sa.Column("notice", columns.Plain(), nullable=True),
        sa.Column("attributes", columns.Plain(), nullable=False),
        sa.Column("shape", columns.Shape(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in BOUNDS),
        sa.ForeignKeyConstraint(["version_id"], ["zone_versions.id"], name=op.f("fk_airspace_zones_version_id_zone_versions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airspace_zones")),
    )
    op.create_index(op.f("ix_airspace_zones_version_id"), "airspace_zones", ["version_id"], unique=False)
    op.create_index("ix_airspace_zones_bounds", "airspace_zones", ["min_x", "max_x", "min_y", "max_y"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_airspace_zones_shape", "airspace_zones", ["shape"], postgresql_using="gist")
    _carry_over(versions, zones)
    op.drop_table("zones")


def _carry_over(versions: sa.Table, zones: sa.Table) -> None:
    plain, same = (
        ("floor", "ceiling", "spans"),
        ("name", "kind", "spans", "buffer_m", "authority", "version", "synthetic", "shape", *BOUNDS),
    )
    texts = ("id", "name", "kind", "authority", "version")
    old = sa.table(
        "zones",
        *(sa.column(name, sa.Text()) for name in texts),
        *(sa.column(name, columns.Plain()) for name in plain),
        sa.column("synthetic", sa.Boolean()),
        sa.column("shape", columns.Shape()),
        *(sa.column(name, sa.Double()) for name in ("buffer_m", *BOUNDS)),
    )
    rows = op.get_bind().execute(sa.select(old).order_by(old.c.id)).mappings().all()
    if not rows:
        return
    told = {
        "id": BEFORE, "source": BEFORE, "number": 1, "file_name": "", "format": "", "sha256": "", "datum": "wgs84", "guessed": False,
        "authority": "", "edition": "", "classification": "internal", "zones": len(rows), "kinds": dict(Counter(r["kind"] for r in rows)),
        "changes": {"added": len(rows)}, "notes": [], "state": "current", "said": "", "imported_by": "migration",
        "imported_at": datetime.now(UTC),
    }  # fmt: skip
    op.bulk_insert(versions, [told])
    made = [
        {
            **{name: row[name] for name in same},
            "id": f"{BEFORE}-{number:06d}",
            "version_id": BEFORE,
            "zone_id": row["id"],
            "parts": [{"floor": row["floor"], "ceiling": row["ceiling"]}],
            "windows": [],
            "attributes": [],
        }
        for number, row in enumerate(rows, start=1)
    ]
    op.bulk_insert(zones, made)


def downgrade() -> None:
    raise NotImplementedError("zones of several parts do not fit into the table that was there before")
