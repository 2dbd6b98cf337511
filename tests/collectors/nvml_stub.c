/* A stand-in for libnvidia-ml.so.1 with two GPUs. The first one has two XIDs at once. The second one
   lacks an energy counter and power by fields, is cut into instances, and is lost at its third poll.
   No symbol for temperature exists at all, as with old cards and old drivers. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef int status;
typedef struct { unsigned int gpu, memory; } utilization;
typedef struct { unsigned long long total, free, used; } memory;

static int opened = 0;
/* Devices 2 and 3 are the instances of GPU 1. */
static int gpus[4] = {0, 1, 2, 3};
static int xids_left = 2;
static int events;
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
    int number = *(int *)device;
    snprintf(text, length, number < 2 ? "GPU-stub-%d" : "MIG-stub-%d", number);
    return 0;
}
status nvmlDeviceGetName(void *device, char *text, unsigned int length) {
    (void)device;
    snprintf(text, length, "Stub H200");
    return 0;
}
status nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy) {
    static int reads_of_second = 0;
    if (*(int *)device == 1) return ++reads_of_second > 2 ? 15 : 3;
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
    int is_instance = *(int *)device > 1;
    info->total = 150ULL << (is_instance ? 28 : 30);
    info->used = info->free = info->total / 2;
    return 0;
}

typedef struct {
    unsigned int field, scope;
    long long timestamp, latency;
    unsigned int type, code;
    union { double d; unsigned int u; unsigned long long ull; } value;
} field_value;

/* 186 is power now, as an unsigned int; 185 its average, as an unsigned long long. */
status nvmlDeviceGetFieldValues(void *device, int count, field_value *values) {
    for (int i = 0; i < count; i++) {
        int is_known = *(int *)device == 0 && (values[i].field == 186 || values[i].field == 185);
        values[i].code = is_known ? 0 : 3;
        if (!is_known) continue;
        values[i].type = values[i].field == 186 ? 1 : 3;
        if (values[i].field == 186) values[i].value.u = 500250;
        else values[i].value.ull = 480000;
    }
    return 0;
}
status nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *mask) {
    *mask = *(int *)device == 0 ? 0x4 : 0x20 | 0x1;
    return 0;
}
status nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *milliwatts) {
    (void)device;
    *milliwatts = 700000;
    return 0;
}
status nvmlDeviceGetRemappedRows(void *device, unsigned int *corrected, unsigned int *uncorrected,
                                 unsigned int *pending, unsigned int *failed) {
    (void)device;
    *corrected = 1;
    *uncorrected = 2;
    *pending = 1;
    *failed = 0;
    return 0;
}
status nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *count) {
    if (*(int *)device == 1) return 3;
    *count = kind * 10 + counter;
    return 0;
}
status nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending) {
    *current = *pending = *(int *)device == 1;
    return 0;
}
status nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count) {
    (void)device;
    *count = 7;
    return 0;
}
status nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **instance) {
    (void)device;
    if (index > 1) return 6;
    *instance = &gpus[2 + index];
    return 0;
}

typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } process;

/* Process 4711 works on GPU 0, and twice: its second row does not tell its memory. */
status nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process *found) {
    if (*(int *)device == 1) { *count = 0; return 0; }
    if (*count < 2) { *count = 2; return 7; }
    *count = 2;
    found[0] = (process){4711, 1ULL << 30, 0xFFFFFFFF, 0xFFFFFFFF};
    found[1] = (process){4711, ~0ULL, 0xFFFFFFFF, 0xFFFFFFFF};
    return 0;
}

typedef struct { void *device; unsigned long long type, data; unsigned int gi, ci; } event_data;

status nvmlEventSetCreate(void **set) { *set = &events; return 0; }
status nvmlEventSetFree(void *set) { (void)set; return 0; }
status nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
    (void)set;
    return *(int *)device == 0 && types == 8 ? 0 : 3;
}
status nvmlEventSetWait_v2(void *set, event_data *event, unsigned int milliseconds) {
    (void)set;
    if (xids_left == 0) { usleep(milliseconds * 1000); return 10; }
    event->device = &gpus[0];
    event->type = 8;
    event->data = xids_left-- == 2 ? 79 : 48;
    return 0;
}
