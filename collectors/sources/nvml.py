"""NVIDIA GPUs of this host, by NVML.

NVML calls block for milliseconds, so they run in a thread of their own. Fields that a driver or a
card does not have are left out one by one; only a missing library or driver takes the source down.
Energy comes from the card's own counter, since integrated power readings are off by up to 28 %.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pynvml

from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

MJ_PER_WH: Final = 3_600_000

_Handle = Any  # an opaque pointer of the C library
_Field = tuple[str, Callable[[_Handle], float]]

_FIELDS: Final[tuple[_Field, ...]] = (
    ("energy_wh", lambda gpu: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / MJ_PER_WH),
    ("power_w", lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000),
    ("utilisation_ratio", lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100),
    ("memory_used_bytes", lambda gpu: float(pynvml.nvmlDeviceGetMemoryInfo(gpu).used)),
    ("memory_total_bytes", lambda gpu: float(pynvml.nvmlDeviceGetMemoryInfo(gpu).total)),
    (
        "temperature_c",
        lambda gpu: float(pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU)),
    ),
)


METRICS: Final = tuple(metric for metric, _ in _FIELDS)
"""What a GPU may tell."""


class NvmlSource:
    """Energy, power, use, memory and temperature of each GPU; the subject is ``gpu:<uuid>``.

    Raises SourceError where library, driver or cards are missing, with what to do about it.
    """

    def __init__(self, clock: Clock, pace: Pace, *, host: str) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._host = host
        self._is_open = False
        self._thread: ThreadPoolExecutor | None = None
        self._running: asyncio.Future[tuple[Reading, ...]] | None = None

    async def collect(self) -> Sequence[Reading]:
        """Return the readings of every GPU."""
        if self._running and not self._running.done():
            raise SourceError("NVML still hangs in the poll before", host=self._host)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self.name)
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._thread, self._read)
        # After a timeout nobody waits for it any more, and its failure was told already.
        self._running.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """Let go of the library and its thread; a hanging call is left behind."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if not (self._running and not self._running.done()):
            await asyncio.get_running_loop().run_in_executor(thread, self._shut)
        thread.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> tuple[Reading, ...]:
        try:
            self._open()
            count = pynvml.nvmlDeviceGetCount()
            readings = [
                reading
                for index in range(count)
                for reading in self._read_gpu(pynvml.nvmlDeviceGetHandleByIndex(index), index)
            ]
        except pynvml.NVMLError as failure:
            self._shut()
            raise _explain(failure, self._host) from failure
        if not readings:
            raise SourceError(f"host {self._host} has {count} GPUs that NVML can read", gpus=count)
        return tuple(readings)

    def _open(self) -> None:
        if not self._is_open:
            pynvml.nvmlInit()
            self._is_open = True

    def _shut(self) -> None:
        if self._is_open:
            self._is_open = False
            try:
                pynvml.nvmlShutdown()
            except pynvml.NVMLError:
                return  # the driver is gone already; there is nothing left to close

    def _read_gpu(self, gpu: _Handle, index: int) -> list[Reading]:
        at = self._clock.now()
        uuid = _text(pynvml.nvmlDeviceGetUUID, gpu) or f"{self._host}/{index}"
        labels = {"host": self._host, "index": str(index)}
        if model := _text(pynvml.nvmlDeviceGetName, gpu):
            labels["model"] = model
        return [
            Reading(subject=f"gpu:{uuid}", metric=metric, value=value, at=at, labels=labels)
            for metric, value in _fields(gpu).items()
        ]


def _fields(gpu: _Handle) -> Mapping[str, float]:
    """Return the fields that this card and driver have."""
    found: dict[str, float] = {}
    for metric, read in _FIELDS:
        try:
            found[metric] = read(gpu)
        except pynvml.NVMLError as failure:
            if failure.value not in _ABSENT:
                raise
    return found


_ABSENT: Final = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
    }
)
"""What NVML says where a field is not there, while the card itself is well."""


def _text(read: Callable[[_Handle], str | bytes], gpu: _Handle) -> str:
    try:
        found = read(gpu)
    except pynvml.NVMLError as failure:
        if failure.value not in _ABSENT:
            raise
        return ""
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


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
