"""${message}.

Revision ${up_revision}, after ${down_revision if down_revision else "none"}. Written by a program from the differences
between the tables of the database and those of the code, in the order of their foreign keys, so it
is one flat list of steps; to change it, change the tables.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
from suanwang.db.types import Int64, Json, JsonOrNull, UtcDateTime

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
