"""What was read, taken back and sent again"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('cancelled',
    sa.Column('author', sa.LargeBinary(), nullable=False),
    sa.Column('incarnation', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('scope', sa.LargeBinary(), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('author', 'incarnation', 'seq')
    )
    with op.batch_alter_table('cancelled', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_cancelled_expires_ms'), ['expires_ms'], unique=False)
        batch_op.create_index(batch_op.f('ix_cancelled_scope'), ['scope'], unique=False)

    op.create_table('read_due',
    sa.Column('scope', sa.LargeBinary(), nullable=False),
    sa.Column('since_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('scope')
    )
    op.create_table('resent',
    sa.Column('message', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('origin', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('message')
    )
    with op.batch_alter_table('resent', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_resent_origin'), ['origin'], unique=False)


def downgrade() -> None:
    for name in ('resent', 'read_due', 'cancelled'):
        op.drop_table(name)
