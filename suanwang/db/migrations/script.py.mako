"""${message}.

Revision ${up_revision}, after ${down_revision if down_revision else "none"}.
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
