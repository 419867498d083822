"""Which bundle brought a position"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

_NAMES = ('incarnation', 'seq')


def upgrade() -> None:
    # Of what is held already nobody knows the number: no store has the number 0, so it counts as
    # written after the last good bundle once its author is revoked.
    with op.batch_alter_table('position', recreate='always') as batch_op:
        for name, before in zip(_NAMES, ('ends_ms', 'incarnation'), strict=True):
            batch_op.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default='0'), insert_after=before)
    with op.batch_alter_table('position', recreate='always') as batch_op:
        for name in _NAMES:
            batch_op.alter_column(name, existing_type=sa.BigInteger(), existing_nullable=False, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table('position', recreate='always') as batch_op:
        for name in _NAMES:
            batch_op.drop_column(name)
