"""Who gave a key of the network"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of what is held already nobody knows the giver: it counts like what came by enrolment.
    with op.batch_alter_table('network_key', recreate='always') as batch_op:
        batch_op.add_column(sa.Column('giver', sa.LargeBinary(), nullable=False, server_default=sa.text("x''")))
    with op.batch_alter_table('network_key', recreate='always') as batch_op:
        batch_op.alter_column('giver', existing_type=sa.LargeBinary(), existing_nullable=False, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table('network_key', recreate='always') as batch_op:
        batch_op.drop_column('giver')
