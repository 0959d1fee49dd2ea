// A library with the xfZlib ABI that misbehaves on demand and otherwise passes calls on to the real
// one.
//
//   FAULTY_REAL    path of the library that does the work
//   FAULTY_MODE    fail | null | huge | flip | hang | abort | exit
//   FAULTY_CALLS   which compress calls of an object: "all", or "N": its N-th, 2N-th, ... call
//   FAULTY_DEVICE  only objects with this device_id; default all
#include <dlfcn.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

template <typename F>
F Real(const char* name) {
    static void* library = dlopen(std::getenv("FAULTY_REAL"), RTLD_NOW | RTLD_LOCAL);
    return library ? reinterpret_cast<F>(dlsym(library, name)) : nullptr;
}

struct Object {
    void* real;
    int device;
    long calls;
};

bool IsDue(Object* object) {
    const char* device = std::getenv("FAULTY_DEVICE");
    const char* calls = std::getenv("FAULTY_CALLS");
    ++object->calls;
    if (device && std::atoi(device) != object->device) return false;
    if (!calls || std::strcmp(calls, "all") == 0) return true;
    return object->calls % std::atol(calls) == 0;
}

bool Mode(const char* name) {
    const char* mode = std::getenv("FAULTY_MODE");
    return mode && std::strcmp(mode, name) == 0;
}

void MisbehaveForGood() {
    if (Mode("hang")) {
        for (;;) pause();
    }
    std::fprintf(stderr, "xfZlib: about to give up\n");
    if (Mode("abort")) std::abort();
    if (Mode("exit")) std::exit(3);
}

}  // namespace

EXPORT void* xfZlib_constructor_wrapper(char* path, uint8_t max_cr, uint8_t flow, uint8_t device,
                                        uint8_t profile, uint8_t type) {
    auto make = Real<decltype(&xfZlib_constructor_wrapper)>("xfZlib_constructor_wrapper");
    return new Object{make(path, max_cr, flow, device, profile, type), device, 0};
}

EXPORT void xfZlib_destructor_wrapper(void* obj) {
    auto* object = static_cast<Object*>(obj);
    Real<void (*)(void*)>("xfZlib_destructor_wrapper")(object->real);
    delete object;
}

EXPORT uint64_t compress_file_wrapper(void* obj, char* in, char* out, uint64_t size) {
    auto* object = static_cast<Object*>(obj);
    auto call = Real<decltype(&compress_file_wrapper)>("compress_file_wrapper");
    if (!IsDue(object)) return call(object->real, in, out, size);
    MisbehaveForGood();
    if (Mode("fail")) return UINT64_MAX;
    uint64_t payload = call(object->real, in, out, size);
    return Mode("huge") ? uint64_t{1} << 60 : payload;
}

EXPORT uint64_t decompress_file_wrapper(void* obj, char* in, char* out, uint64_t size, int unit) {
    auto* object = static_cast<Object*>(obj);
    auto call = Real<decltype(&decompress_file_wrapper)>("decompress_file_wrapper");
    if (!IsDue(object)) return call(object->real, in, out, size, unit);
    MisbehaveForGood();
    if (Mode("fail")) return 0;
    uint64_t written = call(object->real, in, out, size, unit);
    return Mode("huge") ? uint64_t{1} << 60 : written;
}

#ifdef WITH_BUFFER_CALL
EXPORT uint8_t* compress_buffer_wrapper(void* obj, const uint8_t* in, uint64_t size,
                                        uint64_t* out_size) {
    auto* object = static_cast<Object*>(obj);
    auto call = Real<decltype(&compress_buffer_wrapper)>("compress_buffer_wrapper");
    if (!IsDue(object)) return call(object->real, in, size, out_size);
    MisbehaveForGood();
    if (Mode("fail") || Mode("null")) return nullptr;
    uint8_t* result = call(object->real, in, size, out_size);
    if (Mode("huge")) *out_size = uint64_t{1} << 60;
    if (Mode("flip") && result) result[*out_size / 2] ^= 1;
    return result;
}
#endif
