"""Steps of alarms"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('alarm_step',
    sa.Column('key', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('raiser', sa.LargeBinary(), nullable=False),
    sa.Column('alarm_id', sa.LargeBinary(), nullable=False),
    sa.Column('author', sa.LargeBinary(), nullable=False),
    sa.Column('incarnation', sa.BigInteger(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('scope', sa.LargeBinary(), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.Column('received_ms', sa.BigInteger(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    with op.batch_alter_table('alarm_step', schema=None) as batch_op:
        batch_op.create_index('alarm_step_alarm', ['raiser', 'alarm_id'], unique=False)
        batch_op.create_index('alarm_step_identity', ['author', 'incarnation', 'seq'], unique=True)
        batch_op.create_index(batch_op.f('ix_alarm_step_expires_ms'), ['expires_ms'], unique=False)


def downgrade() -> None:
    op.drop_table('alarm_step')
