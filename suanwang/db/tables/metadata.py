"""The one MetaData, with a naming rule so that migrations name every constraint."""

from typing import Final

from sqlalchemy import MetaData, event

from suanwang.db.partitions import default_of_created
from suanwang.db.triggers import protect_created

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

event.listen(metadata, "after_create", protect_created)
event.listen(metadata, "after_create", default_of_created)
