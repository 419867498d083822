"""The coverage map"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('coverage',
    sa.Column('id', sa.LargeBinary(), nullable=False),
    sa.Column('shift_id', sa.LargeBinary(), nullable=False),
    sa.Column('day_ms', sa.BigInteger(), nullable=False),
    sa.Column('ends_ms', sa.BigInteger(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sqlite_with_rowid=False
    )
    op.create_index('ix_coverage_ends_ms', 'coverage', ['ends_ms'], unique=False)


def downgrade() -> None:
    op.drop_table('coverage')
