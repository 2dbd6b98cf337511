"""The base of all energy files' shapes."""

from pydantic import BaseModel, ConfigDict


class FileModel(BaseModel):
    """Unknown keys are an error; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
