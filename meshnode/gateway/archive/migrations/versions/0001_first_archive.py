"""The first schema of the archive"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('day_key',
    sa.Column('data_class', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('day', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('wrapped', sa.LargeBinary(), nullable=False),
    sa.Column('words', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('data_class', 'day')
    )
    op.create_table('archived',
    sa.Column('author', sa.LargeBinary(), nullable=False),
    sa.Column('incarnation', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('data_class', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('day', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Integer(), nullable=False),
    sa.Column('scope', sa.LargeBinary(), nullable=False),
    sa.Column('zone', sa.Integer(), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.Column('arrived_ms', sa.BigInteger(), nullable=False),
    sa.Column('size_bytes', sa.Integer(), nullable=False),
    sa.Column('hops', sa.Integer(), nullable=False),
    sa.Column('digest', sa.LargeBinary(), nullable=False),
    sa.Column('gateway', sa.LargeBinary(), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('author', 'incarnation', 'seq')
    )
    op.create_index('archived_day', 'archived', ['data_class', 'day'], unique=False)
    op.create_table('content',
    sa.Column('key', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('author', sa.LargeBinary(), nullable=False),
    sa.Column('incarnation', sa.BigInteger(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('data_class', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('day', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Integer(), nullable=False),
    sa.Column('scope', sa.LargeBinary(), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('opened_ms', sa.BigInteger(), nullable=False),
    sa.Column('gateway', sa.LargeBinary(), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_index('content_name', 'content', ['author', 'incarnation', 'seq'], unique=True)
    op.create_index('content_scope', 'content', ['scope', 'data_class', 'day'], unique=False)
    op.create_index('content_time', 'content', ['data_class', 'day', 'created_ms'], unique=False)
    op.create_table('word',
    sa.Column('token', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('content', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.PrimaryKeyConstraint('token', 'content'),
    sqlite_with_rowid=False
    )
    op.create_index('word_content', 'word', ['content'], unique=False)
    op.create_table('record',
    sa.Column('number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.Column('signature', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('number')
    )


def downgrade() -> None:
    op.drop_table('record')
    op.drop_table('word')
    op.drop_table('content')
    op.drop_table('archived')
    op.drop_table('day_key')
