"""Quotas, audit log, and how far the clock is trusted"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('event', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('node', sa.LargeBinary(), nullable=False),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.Column('previous', sa.LargeBinary(), nullable=False),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('number')
    )
    op.create_table('audit_base',
    sa.Column('key', sa.Integer(), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_table('clock',
    sa.Column('key', sa.Integer(), nullable=False),
    sa.Column('uptime_ms', sa.BigInteger(), nullable=False),
    sa.Column('anchor_wall_ms', sa.BigInteger(), nullable=False),
    sa.Column('anchor_uptime_ms', sa.BigInteger(), nullable=False),
    sa.Column('doubt_wall_ms', sa.BigInteger(), nullable=False),
    sa.Column('doubt_uptime_ms', sa.BigInteger(), nullable=False),
    sa.Column('is_doubted', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_table('holding',
    sa.Column('node', sa.LargeBinary(), nullable=False),
    sa.Column('live_bytes', sa.BigInteger(), nullable=False),
    sa.Column('sos_bytes', sa.BigInteger(), nullable=False),
    sa.Column('hour', sa.BigInteger(), nullable=False),
    sa.Column('arrived_bytes', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('node')
    )
    # What is held already counts against its authors' shares: 256 bytes a row, kind 1 is SOS.
    op.execute(
        'INSERT INTO holding (node, live_bytes, sos_bytes, hour, arrived_bytes) '
        'SELECT author.node, '
        'SUM(CASE WHEN bundle.kind = 1 THEN 0 ELSE bundle.size_bytes + 256 END), '
        'SUM(CASE WHEN bundle.kind = 1 THEN bundle.size_bytes + 256 ELSE 0 END), 0, 0 '
        'FROM bundle JOIN author ON author.key = bundle.author GROUP BY author.node'
    )
    op.create_table('quota',
    sa.Column('node', sa.LargeBinary(), nullable=False),
    sa.Column('hour', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('texts', sa.Integer(), nullable=False),
    sa.Column('states', sa.Integer(), nullable=False),
    sa.Column('positions', sa.Integer(), nullable=False),
    sa.Column('sos', sa.Integer(), nullable=False),
    sa.Column('bulk', sa.Integer(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('node', 'hour')
    )
    with op.batch_alter_table('quota', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_quota_hour'), ['hour'], unique=False)

    op.create_table('residence',
    sa.Column('uptime_ms', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('wall_ms', sa.BigInteger(), nullable=False),
    sa.Column('last_key', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('uptime_ms')
    )
    with op.batch_alter_table('residence', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_residence_last_key'), ['last_key'], unique=False)


def downgrade() -> None:
    for name in ('residence', 'quota', 'holding', 'clock', 'audit_base', 'audit'):
        op.drop_table(name)
