"""Settings of the host source."""

from typing import Literal

from pydantic import Field

from collectors.sources.host import HostSource
from collectors.sources.port import Source
from collectors.specs.base import Name, Spec, Workshop, this_host


class HostSpec(Spec):
    """This machine by psutil."""

    kind: Literal["host"] = "host"
    name: Name = "host"
    host: Name = Field(default_factory=this_host)
    disk_paths: tuple[str, ...] = ("/",)

    def build(self, workshop: Workshop) -> Source:
        """Return the source."""
        return HostSource(workshop.clock, self.pace, host=self.host, disk_paths=self.disk_paths)
