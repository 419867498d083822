"""Data keys, purges, and columns that hold sealed bytes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

# Numbers of messages are cursors: none is ever given twice, not even after a purge.
_NUMBERED_ON = {'sqlite_autoincrement': True}


def upgrade() -> None:
    op.create_table('data_key',
    sa.Column('kind', sa.Integer(), nullable=False),
    sa.Column('day', sa.Integer(), nullable=False),
    sa.Column('wrapped', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('kind', 'day')
    )
    op.create_table('purge',
    sa.Column('kind', sa.Integer(), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('row_count', sa.Integer(), nullable=False),
    sa.Column('key_count', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('kind')
    )
    with op.batch_alter_table('node', recreate='always') as batch_op:
        batch_op.add_column(sa.Column('is_sealed', sa.Integer(), nullable=False, server_default='0'))
    with op.batch_alter_table('node', recreate='always') as batch_op:
        batch_op.alter_column('is_sealed', existing_type=sa.Integer(), existing_nullable=False, server_default=None)
    with op.batch_alter_table('message', recreate='always', table_kwargs=_NUMBERED_ON) as batch_op:
        batch_op.alter_column('text', existing_type=sa.String(), existing_nullable=False, type_=sa.LargeBinary())
    with op.batch_alter_table('ledger', recreate='always') as batch_op:
        batch_op.alter_column('detail', existing_type=sa.String(), existing_nullable=False, type_=sa.LargeBinary())
    with op.batch_alter_table('peer', recreate='always') as batch_op:
        batch_op.alter_column('address', existing_type=sa.String(), existing_nullable=False, type_=sa.LargeBinary())
        batch_op.add_column(sa.Column('address_ms', sa.BigInteger(), nullable=False, server_default='0'), insert_after='address')
    op.execute('UPDATE peer SET address_ms = last_ms')
    with op.batch_alter_table('peer', recreate='always') as batch_op:
        batch_op.alter_column('address_ms', existing_type=sa.BigInteger(), existing_nullable=False, server_default=None)


def downgrade() -> None:
    """Lead back to the tables of 0001; what is sealed stays sealed and cannot be read then."""
    with op.batch_alter_table('peer', recreate='always') as batch_op:
        batch_op.drop_column('address_ms')
        batch_op.alter_column('address', existing_type=sa.LargeBinary(), existing_nullable=False, type_=sa.String())
    with op.batch_alter_table('ledger', recreate='always') as batch_op:
        batch_op.alter_column('detail', existing_type=sa.LargeBinary(), existing_nullable=False, type_=sa.String())
    with op.batch_alter_table('message', recreate='always') as batch_op:
        batch_op.alter_column('text', existing_type=sa.LargeBinary(), existing_nullable=False, type_=sa.String())
    with op.batch_alter_table('node', recreate='always') as batch_op:
        batch_op.drop_column('is_sealed')
    op.drop_table('purge')
    op.drop_table('data_key')
