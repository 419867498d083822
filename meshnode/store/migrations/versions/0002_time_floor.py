"""The lower bound of time that authority documents prove"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('time_floor',
    sa.Column('key', sa.Integer(), nullable=False),
    sa.Column('floor_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )


def downgrade() -> None:
    op.drop_table('time_floor')
