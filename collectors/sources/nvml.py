"""NVIDIA GPUs of this host, by NVML.

NVML calls block for milliseconds, so they run in a thread of their own. Fields that a driver or a
card does not have are left out one by one; only a missing library or driver takes the source down,
and a card that is lost shows itself as such beside the others.
Energy comes from the card's own counter, since integrated power readings are off by up to 28 %.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import pynvml

from collectors import nvml_fields as fields
from collectors.nvml_events import XidWatch
from collectors.own_thread import OwnThread
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

_LOST: Final = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
"""What NVML says of one card that needs a reset, while the others work."""


class NvmlSource:
    """What each GPU tells (``gpu:<uuid>``), the memory of its instances (``mig:<uuid>``), its XIDs.

    Raises SourceError where library, driver or cards are missing, with what to do about it.
    ``seldom_s`` is the time between two readings of what is dear and changes slowly.
    """

    def __init__(
        self,
        clock: Clock,
        pace: Pace,
        *,
        host: str,
        seldom_s: float = 60.0,
        tells_processes: bool = False,
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._host = host
        self._seldom_s = seldom_s
        self._seldom_due = float("-inf")
        self._tells_processes = tells_processes
        self._xids = XidWatch(clock, host)
        self._uuids: dict[int, str] = {}
        self._lost: set[int] = set()
        self._is_open = False
        self._thread = OwnThread(pace.name, f"NVML of {host} still hangs in the poll before")

    async def collect(self) -> Sequence[Reading]:
        """Return the readings of every GPU, and the XIDs since the poll before."""
        readings = await self._thread.run(self._read)
        # Taken here and not in the thread: a poll that was given up must not lose them.
        return (*readings, *self._xids.take())

    async def close(self) -> None:
        """Let go of the library and its thread; a hanging call is left behind."""
        await self._thread.close(self._shut)

    def _read(self) -> tuple[Reading, ...]:
        with_seldom = self._clock.monotonic() >= self._seldom_due
        try:
            self._open()
            count = pynvml.nvmlDeviceGetCount()
            readings = [
                reading
                for index in range(count)
                for reading in self._read_gpu(index, with_seldom=with_seldom)
            ]
            self._watch(count)
        except pynvml.NVMLError as failure:
            self._shut()
            raise _explain(failure, self._host) from failure
        if not readings:
            raise SourceError(f"host {self._host} has {count} GPUs that NVML can read", gpus=count)
        if with_seldom:
            self._seldom_due = self._clock.monotonic() + self._seldom_s
        return tuple(readings)

    def _open(self) -> None:
        if not self._is_open:
            pynvml.nvmlInit()
            self._is_open = True
            self._seldom_due = float("-inf")

    def _shut(self) -> None:
        self._xids.stop()
        if self._is_open:
            self._is_open = False
            try:
                pynvml.nvmlShutdown()
            except pynvml.NVMLError:
                return  # the driver is gone already; there is nothing left to close

    def _watch(self, count: int) -> None:
        well = [index for index in range(count) if index not in self._lost]
        self._xids.start([pynvml.nvmlDeviceGetHandleByIndex(index) for index in well])

    def _read_gpu(self, index: int, *, with_seldom: bool) -> list[Reading]:
        """Return what a card tells; of one that was there and is lost, that it is not well."""
        at = self._clock.now()
        try:
            readings = list(self._readings(index, at, with_seldom=with_seldom))
        except pynvml.NVMLError as failure:
            if failure.value not in _LOST or index not in self._uuids:
                raise
            self._lost.add(index)
            return [self._reading(f"gpu:{self._uuids[index]}", "health_ratio", 0.0, at, {})]
        self._lost.discard(index)
        return readings

    def _readings(self, index: int, at: datetime, *, with_seldom: bool) -> Iterator[Reading]:
        gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = fields.text(pynvml.nvmlDeviceGetUUID, gpu) or f"{self._host}/{index}"
        self._uuids[index] = uuid
        labels = {"index": str(index)}
        if model := fields.text(pynvml.nvmlDeviceGetName, gpu):
            labels["model"] = model
        values = fields.gpu_values(gpu, with_seldom=with_seldom) | {"health_ratio": 1.0}
        used = fields.processes(gpu)
        if used is not None:
            values["gpu_processes"] = float(len(used))
        for metric, value in values.items():
            yield self._reading(f"gpu:{uuid}", metric, value, at, labels)
        for pid, size in (used or {}).items() if self._tells_processes else ():
            subject = f"process:{self._host}:{pid}:{uuid}"
            yield self._reading(subject, "gpu_memory_used_bytes", size, at, {"gpu": uuid})
        if with_seldom:
            yield from self._instances(gpu, at, labels | {"gpu": uuid})

    def _instances(
        self, gpu: fields.Handle, at: datetime, labels: Mapping[str, str]
    ) -> Iterator[Reading]:
        """Return the memory of a cut GPU's instances; its energy is counted for the GPU alone."""
        for instance in fields.instances(gpu):
            subject = f"mig:{fields.text(pynvml.nvmlDeviceGetUUID, instance)}"
            for metric, value in fields.present(fields.memory, instance).items():
                yield self._reading(subject, metric, value, at, labels)

    def _reading(
        self, subject: str, metric: str, value: float, at: datetime, labels: Mapping[str, str]
    ) -> Reading:
        return Reading(
            subject=subject,
            metric=metric,
            value=value,
            at=at,
            labels={"host": self._host, **labels},
        )


def _explain(failure: pynvml.NVMLError, host: str) -> SourceError:
    """Return what an operator can do about a failure of the library as a whole."""
    match failure.value:
        case pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            words = "libnvidia-ml.so.1 is not installed"
            step = "install the NVIDIA driver, or take the nvml source out of the agent's file"
        case pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
            words, step = "the NVIDIA driver is not loaded", "load it and look at dmesg"
        case pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            words, step = "its NVML lacks a function that is needed", "install a newer driver"
        case _:
            words, step = f"NVML failed: {failure}", "run nvidia-smi on the host"
    return SourceError(
        f"GPUs of {host} cannot be read: {words}",
        next_step=step,
        host=host,
        code_nvml=failure.value,
    )
