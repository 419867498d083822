"""The squad board, and tracks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def _key() -> sa.Column[int]:
    return sa.Column('key', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False)


def _bytes(*names: str) -> list[sa.Column[bytes]]:
    return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table('state',
    *_bytes('author', 'scope'),
    *_numbers('stamp', 'incarnation', 'seq', 'received_ms', 'ends_ms'),
    *_bytes('body'),
    sa.PrimaryKeyConstraint('author', 'scope')
    )
    op.create_index('ix_state_ends_ms', 'state', ['ends_ms'], unique=False)
    op.create_table('track_point',
    _key(), *_bytes('shift_id'), *_numbers('taken_ms', 'ends_ms'), *_bytes('body'),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_index('ix_track_point_ends_ms', 'track_point', ['ends_ms'], unique=False)
    op.create_index('track_point_place', 'track_point', ['shift_id', 'taken_ms'], unique=True)
    op.create_table('track',
    _key(), *_bytes('author', 'scope', 'shift_id'),
    *_numbers('first_ms', 'ends_ms', 'incarnation', 'seq'), *_bytes('body'),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_index('ix_track_ends_ms', 'track', ['ends_ms'], unique=False)
    op.create_index('track_source', 'track', ['author', 'incarnation', 'seq'], unique=True)


def downgrade() -> None:
    for name in ('track', 'track_point', 'state'):
        op.drop_table(name)
