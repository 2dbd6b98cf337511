"""Every kind of source, once: what stands here can be configured, is built and documented."""

from collections.abc import Mapping
from typing import Final

from collectors.specs.bacnet import BacnetSpec
from collectors.specs.base import Spec
from collectors.specs.host import HostSpec
from collectors.specs.ipmi import IpmiSpec
from collectors.specs.kubernetes import KubernetesSpec
from collectors.specs.modbus import ModbusSpec
from collectors.specs.mqtt import MqttSpec
from collectors.specs.nvml import NvmlSpec
from collectors.specs.prometheus import PrometheusSpec
from collectors.specs.ray import RaySpec
from collectors.specs.recorded import RecordedSpec
from collectors.specs.redfish import RedfishSpec
from collectors.specs.snmp import SnmpSpec

KINDS: Final[Mapping[str, type[Spec]]] = {
    "host": HostSpec,
    "nvml": NvmlSpec,
    "modbus": ModbusSpec,
    "snmp": SnmpSpec,
    "prometheus": PrometheusSpec,
    "redfish": RedfishSpec,
    "ipmi": IpmiSpec,
    "mqtt": MqttSpec,
    "bacnet": BacnetSpec,
    "ray": RaySpec,
    "kubernetes": KubernetesSpec,
    "file": RecordedSpec,
}
"""The spec of each kind; the order is that of the docs."""
