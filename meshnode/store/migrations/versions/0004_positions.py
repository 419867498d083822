"""Positions, and what ends with a shift"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('position',
    sa.Column('key', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('author', sa.LargeBinary(), nullable=False),
    sa.Column('scope', sa.LargeBinary(), nullable=False),
    sa.Column('shift_id', sa.LargeBinary(), nullable=False),
    sa.Column('taken_ms', sa.BigInteger(), nullable=False),
    sa.Column('ends_ms', sa.BigInteger(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    with op.batch_alter_table('position', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_position_ends_ms'), ['ends_ms'], unique=False)
        batch_op.create_index('position_newest', ['author', 'scope', 'taken_ms'], unique=True)

    op.create_table('shift_end',
    sa.Column('author', sa.LargeBinary(), nullable=False),
    sa.Column('subject', sa.LargeBinary(), nullable=False),
    sa.Column('ends_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('author', 'subject')
    )
    with op.batch_alter_table('shift_end', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_shift_end_ends_ms'), ['ends_ms'], unique=False)


def downgrade() -> None:
    op.drop_table('shift_end')
    op.drop_table('position')
