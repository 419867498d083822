"""What bearers have cost"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('spent',
    sa.Column('bearer', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('period', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('start_ms', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('billed_bytes', sa.BigInteger(), nullable=False),
    sa.Column('microeuros', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('bearer', 'period', 'start_ms')
    )


def downgrade() -> None:
    op.drop_table('spent')
