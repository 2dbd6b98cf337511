"""Settings of a Ray cluster's telemetry."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from collectors.sources.port import Source
from collectors.sources.ray import RayDashboard, RaySource
from collectors.specs.base import Name, Spec, Workshop


class RaySpec(Spec):
    """A Ray cluster by its dashboard."""

    kind: Literal["ray"] = "ray"
    url: Annotated[str, Field(pattern=r"^https?://[^?#@\s]+$")]
    cluster: Name
    token_file: Path | None = None

    def build(self, workshop: Workshop) -> Source:
        """Return the source."""
        dashboard = RayDashboard(
            url=self.url.rstrip("/"), cluster=self.cluster, token_file=self.token_file
        )
        return RaySource(workshop.clock, dashboard, self.pace)
