"""Settings of a Kubernetes cluster's telemetry."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from collectors.sources.port import Source
from collectors.specs.base import Name, Seconds, Spec, Workshop
from suanwang.errors import BadInput

Resource = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+/[A-Za-z0-9.*_-]+$", max_length=200)]


class KubernetesSpec(Spec):
    """A Kubernetes cluster by its API."""

    kind: Literal["kubernetes"] = "kubernetes"
    cluster: Name
    kubeconfig: Path | None = None
    context: str | None = None
    resources: tuple[Resource, ...] = ()
    interval_s: Seconds = 60.0
    timeout_s: Seconds = 30.0

    def build(self, workshop: Workshop) -> Source:
        """Return the source; raise BadInput where the extra ``kubernetes`` is not installed."""
        try:
            from collectors.sources.kubernetes import KubeAccess, KubernetesSource
        except ImportError as failure:
            raise BadInput(
                f"source {self.name!r} needs the package kubernetes, which is not installed",
                next_step="pip install 'suanwang[kubernetes]'",
            ) from failure
        access = KubeAccess(
            cluster=self.cluster,
            kubeconfig=self.kubeconfig,
            context=self.context,
            resources=self.resources,
        )
        return KubernetesSource(workshop.clock, access, self.pace)
