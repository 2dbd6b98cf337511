"""Settings of the NVML source."""

from typing import Literal

from pydantic import Field

from collectors.sources.nvml import NvmlSource
from collectors.sources.port import Source
from collectors.specs.base import Name, Seconds, Spec, Workshop, this_host


class NvmlSpec(Spec):
    """NVIDIA GPUs of this machine."""

    kind: Literal["nvml"] = "nvml"
    name: Name = "nvml"
    timeout_s: Seconds = 10.0
    host: Name = Field(default_factory=this_host)
    seldom_s: Seconds = 60.0
    tells_processes: bool = False

    def build(self, workshop: Workshop) -> Source:
        """Return the source."""
        return NvmlSource(
            workshop.clock,
            self.pace,
            host=self.host,
            seldom_s=self.seldom_s,
            tells_processes=self.tells_processes,
        )
