"""Reflex sheets"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

_TABLES = ('sheet_pack', 'sheet', 'sheet_retracted', 'sheet_piece', 'sheet_chunk')


def upgrade() -> None:
    op.create_table('sheet_pack',
    sa.Column('key', sa.Integer(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('changed_ms', sa.BigInteger(), nullable=False),
    sa.Column('is_publisher', sa.Integer(), nullable=False),
    sa.Column('renewed_ms', sa.BigInteger(), nullable=False),
    sa.Column('key_id', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_table('sheet',
    sa.Column('sheet_id', sa.LargeBinary(), nullable=False),
    sa.Column('file_id', sa.LargeBinary(), nullable=False),
    sa.Column('is_own', sa.Integer(), nullable=False),
    sa.Column('received_ms', sa.BigInteger(), nullable=False),
    sa.Column('entry', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('sheet_id')
    )
    with op.batch_alter_table('sheet', schema=None) as batch_op:
        batch_op.create_index('sheet_file', ['file_id'], unique=True)
    op.create_table('sheet_retracted',
    sa.Column('sheet_id', sa.LargeBinary(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('sheet_id')
    )
    op.create_table('sheet_piece',
    sa.Column('file_id', sa.LargeBinary(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('received_ms', sa.BigInteger(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('file_id', 'number')
    )
    op.create_table('sheet_chunk',
    sa.Column('file_id', sa.LargeBinary(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('incarnation', sa.BigInteger(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('short_id', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.LargeBinary(), nullable=False),
    sa.Column('made_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('file_id', 'number')
    )


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.drop_table(name)
