"""Attachments, and a quota of their own for bulk"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0007'
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
    op.execute('UPDATE holding SET live_bytes = live_bytes + bulk_bytes')
    for name, columns in _BULK.items():
        with op.batch_alter_table(name) as batch_op:
            for column in columns:
                batch_op.drop_column(column)
