"""The crew of the settings ``scheduler.crew``."""

from optimizer.crew import IN_PROCESS, Crew
from scheduler.crew_processes import hire_processes
from scheduler.crew_remote import RemoteCrew
from suanwang.settings.tree import CrewSettings


def crew_of(settings: CrewSettings) -> Crew:
    """Return the crew; its workers are hired when a problem is large enough for them."""
    if settings.kind == "processes":
        return RemoteCrew(f"{settings.workers} processes", settings.workers, hire_processes)
    if settings.kind == "ray":
        # Ray takes a second to import, and most centres never need it.
        from scheduler.crew_ray import hire_in

        name = f"{settings.workers} Ray workers"
        return RemoteCrew(name, settings.workers, hire_in(settings.ray_address))
    return IN_PROCESS
