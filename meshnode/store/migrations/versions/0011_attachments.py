"""Attachments, and a quota of their own for bulk"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

_BULK = {'quota': ('bulk_bytes',), 'holding': ('bulk_bytes', 'bulk_arrived_bytes')}
# Chunks are kind 9 and tracks 10; 256 bytes a row.
_HELD = (
    '(SELECT COALESCE(SUM(bundle.size_bytes + 256), 0) FROM bundle '
    'JOIN author ON author.key = bundle.author '
    'WHERE author.node = holding.node AND bundle.kind IN (9, 10))'
)


def upgrade() -> None:
    op.create_table('attachment',
    sa.Column('key', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('author', sa.LargeBinary(), nullable=False),
    sa.Column('file_id', sa.LargeBinary(), nullable=False),
    sa.Column('message', sa.BigInteger(), nullable=False),
    sa.Column('is_own', sa.Integer(), nullable=False),
    sa.Column('scope', sa.LargeBinary(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('chunk_bytes', sa.Integer(), nullable=False),
    sa.Column('media', sa.Integer(), nullable=False),
    sa.Column('state', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('have', sa.Integer(), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('ends_ms', sa.BigInteger(), nullable=False),
    sa.Column('manifest', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    with op.batch_alter_table('attachment', schema=None) as batch_op:
        batch_op.create_index('attachment_file', ['author', 'file_id'], unique=True)
        batch_op.create_index(batch_op.f('ix_attachment_ends_ms'), ['ends_ms'], unique=False)
        batch_op.create_index(batch_op.f('ix_attachment_message'), ['message'], unique=False)
    op.create_table('piece',
    sa.Column('attachment', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('ends_ms', sa.BigInteger(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('attachment', 'number')
    )
    with op.batch_alter_table('piece', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_piece_ends_ms'), ['ends_ms'], unique=False)
    op.create_table('chunk',
    sa.Column('attachment', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('incarnation', sa.BigInteger(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('short_id', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('attachment', 'number')
    )
    with op.batch_alter_table('chunk', schema=None) as batch_op:
        batch_op.create_index('chunk_name', ['incarnation', 'seq'], unique=False)
        batch_op.create_index(batch_op.f('ix_chunk_short_id'), ['short_id'], unique=False)
    op.create_table('chunk_reach',
    sa.Column('attachment', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('node', sa.LargeBinary(), nullable=False),
    sa.Column('bits', sa.LargeBinary(), nullable=False),
    sa.Column('spent_bytes', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('attachment', 'node')
    )
    for name, columns in _BULK.items():
        with op.batch_alter_table(name) as batch_op:
            for column in columns:
                batch_op.add_column(sa.Column(column, sa.BigInteger(), nullable=False, server_default='0'))
        with op.batch_alter_table(name) as batch_op:
            for column in columns:
                batch_op.alter_column(column, existing_type=sa.BigInteger(), existing_nullable=False, server_default=None)
    op.execute(f'UPDATE holding SET bulk_bytes = {_HELD}')
    op.execute('UPDATE holding SET live_bytes = MAX(0, live_bytes - bulk_bytes)')


def downgrade() -> None:
    for name in ('chunk_reach', 'chunk', 'piece', 'attachment'):
        op.drop_table(name)
    op.execute('UPDATE holding SET live_bytes = live_bytes + bulk_bytes')
    for name, columns in _BULK.items():
        with op.batch_alter_table(name) as batch_op:
            for column in columns:
                batch_op.drop_column(column)
