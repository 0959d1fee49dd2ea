// A Fletcher platform that misbehaves on demand. It sums int64 columns by itself, with device
// addresses that are host addresses, so that nothing of the real simulated platform is involved.
//
//   FAULTY_MODE    none | never (stays busy) | idle (forgets the start) | blames (is done,
//                  with an error) | fails (the call of FAULTY_CALL returns FAULTY_STATUS) |
//                  crash | hangs (the call does not return for FAULTY_HANG_MS)
//   FAULTY_CALL    a function's name
//   FAULTY_EVERY   only the N-th, 2N-th, ... of its calls
//   FAULTY_STATUS  default 1
//   FAULTY_NAME    what platformGetName says, default "faulty"
//   FAULTY_LOG     a file that every call is appended to
//
// With COPIES defined, buffers are copied, as boards with memory of their own do. With LACKS_CACHE
// defined, one function is not exported. With TELLS defined, accel_fletcher_last_error is.
#include <unistd.h>

#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

std::map<uint64_t, uint32_t> g_registers;
std::map<std::string, long> g_calls;
uint32_t g_status = 1;
uint64_t g_result = 0;
std::string g_error;

const char* Setting(const char* name, const char* otherwise) {
    const char* set = std::getenv(name);
    return set ? set : otherwise;
}

bool IsMode(const char* mode) { return std::strcmp(Setting("FAULTY_MODE", "none"), mode) == 0; }

void Log(const char* format, ...) {
    const char* path = std::getenv("FAULTY_LOG");
    if (!path) return;
    std::FILE* file = std::fopen(path, "a");
    if (!file) return;
    va_list arguments;
    va_start(arguments, format);
    std::vfprintf(file, format, arguments);
    va_end(arguments);
    std::fclose(file);
}

// The status of a call: 0, unless it is the one that is to go wrong.
uint64_t StatusOf(const char* call) {
    if (std::strcmp(Setting("FAULTY_CALL", ""), call) != 0) return 0;
    if (++g_calls[call] % std::atol(Setting("FAULTY_EVERY", "1"))) return 0;
    if (IsMode("crash")) raise(SIGSEGV);
    if (IsMode("hangs")) usleep(1000 * std::atoi(Setting("FAULTY_HANG_MS", "1000")));
    if (!IsMode("fails")) return 0;
    g_error = std::string(call) + " was told to fail";
    return std::strtoull(Setting("FAULTY_STATUS", "1"), nullptr, 10);
}

void Start() {
    if (g_status != 1 || IsMode("idle")) return;
    if (IsMode("never")) {
        g_status = 2;
        return;
    }
    const uint64_t address = (uint64_t{g_registers[7]} << 32) | g_registers[6];
    const auto* values = reinterpret_cast<const uint64_t*>(address);
    g_result = 0;
    for (uint64_t row = g_registers[4]; row < g_registers[5]; ++row) g_result += values[row];
    g_status = 5;
    if (IsMode("blames")) {
        g_status = 13;
        g_error = "the bus answered with an error";
    }
}

uint64_t Allocate(int64_t size, uint64_t* address) {
    void* made = std::aligned_alloc(4096, (static_cast<size_t>(size) + 4096) / 4096 * 4096);
    *address = reinterpret_cast<uint64_t>(made);
    return made ? 0 : 3;
}

}  // namespace

EXPORT uint64_t platformGetName(char* name, size_t size) {
    std::snprintf(name, size, "%s", Setting("FAULTY_NAME", "faulty"));
    return StatusOf("platformGetName");
}

EXPORT uint64_t platformInit(void*) {
    Log("init\n");
    g_status = 1;
    g_error.clear();
    return StatusOf("platformInit");
}

EXPORT uint64_t platformWriteMMIO(uint64_t offset, uint32_t value) {
    Log("write %lu %u\n", static_cast<unsigned long>(offset), value);
    const uint64_t status = StatusOf("platformWriteMMIO");
    if (status) return status;
    if (offset != 0) {
        g_registers[offset] = value;
    } else if (value & 4u) {
        if (g_status & 4u) g_status = 1;
    } else if (value & 1u) {
        Start();
    }
    return 0;
}

EXPORT uint64_t platformReadMMIO(uint64_t offset, uint32_t* value) {
    *value = offset == 1   ? g_status
             : offset == 2 ? static_cast<uint32_t>(g_result)
             : offset == 3 ? static_cast<uint32_t>(g_result >> 32)
                           : g_registers[offset];
    return StatusOf("platformReadMMIO");
}

EXPORT uint64_t platformCopyHostToDevice(const uint8_t* source, uint64_t target, int64_t size) {
    const uint64_t status = StatusOf("platformCopyHostToDevice");
    if (!status && size) std::memcpy(reinterpret_cast<void*>(target), source, size);
    return status;
}

EXPORT uint64_t platformCopyDeviceToHost(uint64_t source, uint8_t* target, int64_t size) {
    const uint64_t status = StatusOf("platformCopyDeviceToHost");
    if (!status && size) std::memcpy(target, reinterpret_cast<void*>(source), size);
    return status;
}

EXPORT uint64_t platformDeviceMalloc(uint64_t* address, int64_t size) {
    Log("malloc %ld\n", static_cast<long>(size));
    const uint64_t status = StatusOf("platformDeviceMalloc");
    return status ? status : Allocate(size, address);
}

EXPORT uint64_t platformDeviceFree(uint64_t address) {
    Log("free\n");
    std::free(reinterpret_cast<void*>(address));
    return StatusOf("platformDeviceFree");
}

EXPORT uint64_t platformPrepareHostBuffer(const uint8_t* source, uint64_t* target, int64_t size,
                                          int* alloced) {
    const uint64_t status = StatusOf("platformPrepareHostBuffer");
    if (status) return status;
    Log("prepare %ld\n", static_cast<long>(size));
#ifdef COPIES
    const uint64_t failed = Allocate(size, target);
    if (failed) return failed;
    if (size) std::memcpy(reinterpret_cast<void*>(*target), source, size);
    *alloced = 1;
#else
    *target = reinterpret_cast<uint64_t>(source);
    *alloced = 0;
#endif
    return 0;
}

#ifndef LACKS_CACHE
EXPORT uint64_t platformCacheHostBuffer(const uint8_t* source, uint64_t* target, int64_t size) {
    uint64_t status = StatusOf("platformCacheHostBuffer");
    if (!status) status = Allocate(size, target);
    if (!status && size) std::memcpy(reinterpret_cast<void*>(*target), source, size);
    return status;
}
#endif

EXPORT uint64_t platformTerminate(void*) {
    Log("terminate\n");
    return StatusOf("platformTerminate");
}

#ifdef TELLS
EXPORT const char* accel_fletcher_last_error(void) { return g_error.c_str(); }
#endif
