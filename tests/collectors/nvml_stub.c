/* A stand-in for libnvidia-ml.so.1 with two GPUs. The second one lacks an energy counter, and no
   symbol for temperature exists at all, as with old cards and old drivers. */
#include <stdio.h>
#include <string.h>

typedef int status;
typedef struct { unsigned int gpu, memory; } utilization;
typedef struct { unsigned long long total, free, used; } memory;

static int opened = 0;
static int gpus[2] = {0, 1};
static unsigned long long millijoules = 7200000000ULL;

status nvmlInit_v2(void) { opened++; return 0; }
status nvmlInitWithFlags(unsigned int flags) { (void)flags; opened++; return 0; }
status nvmlShutdown(void) { opened--; return 0; }
const char *nvmlErrorString(status code) { return code == 3 ? "Not Supported" : "Some Error"; }
status nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return opened ? 0 : 1; }
status nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index > 1) return 2;
    *device = &gpus[index];
    return 0;
}
status nvmlDeviceGetUUID(void *device, char *text, unsigned int length) {
    snprintf(text, length, "GPU-stub-%d", *(int *)device);
    return 0;
}
status nvmlDeviceGetName(void *device, char *text, unsigned int length) {
    (void)device;
    snprintf(text, length, "Stub H200");
    return 0;
}
status nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy) {
    if (*(int *)device == 1) return 3;
    millijoules += 3600000;
    *energy = millijoules;
    return 0;
}
status nvmlDeviceGetPowerUsage(void *device, unsigned int *milliwatts) {
    (void)device;
    *milliwatts = 412500;
    return 0;
}
status nvmlDeviceGetUtilizationRates(void *device, utilization *rates) {
    (void)device;
    rates->gpu = 97;
    rates->memory = 50;
    return 0;
}
status nvmlDeviceGetMemoryInfo(void *device, memory *info) {
    (void)device;
    info->total = 150ULL << 30;
    info->used = 75ULL << 30;
    info->free = 75ULL << 30;
    return 0;
}
