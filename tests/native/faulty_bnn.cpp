// A library with BNN-PYNQ's ABI that misbehaves on demand and otherwise passes calls on to a real
// one.
//
//   FAULTY_REAL   path of the library that does the work
//   FAULTY_MODE   abort | throw | crash | exit | hang | chatter (prints, then goes on), and of
//                 inference_multiple: null | none | fewer | more | minus | huge (numbers of
//                 images), class (one that there is not), negative (class -1), score (beyond 16
//                 bits)
//   FAULTY_CALL   load | inference: which call; of inferences the N-th, 2N-th, ... of FAULTY_EVERY
//   FAULTY_ONCE   a file: only the process that makes it misbehaves, once
//
// With TELLS defined it also exports accel_bnn_pynq_error, as this project's libraries do and the
// original's do not.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

template <typename F>
F* Real(const char* name) {
    static void* library = dlopen(std::getenv("FAULTY_REAL"), RTLD_NOW | RTLD_LOCAL);
    return library ? reinterpret_cast<F*>(dlsym(library, name)) : nullptr;
}

bool Is(const char* variable, const char* value) {
    const char* set = std::getenv(variable);
    return set && std::strcmp(set, value) == 0;
}

long g_faults = 0;      // calls that were due
bool g_failed = false;  // the last call was

// What is to go wrong in the present call.
std::string Mode() {
    const char* set = std::getenv("FAULTY_MODE");
    std::string modes = set ? set : "";
    const std::string all = modes;
    for (long i = 1; i < g_faults; ++i) {
        const size_t comma = modes.find(',');
        modes = comma == std::string::npos ? all : modes.substr(comma + 1);
    }
    return modes.substr(0, modes.find(','));
}

bool Mode(const char* name) { return Mode() == name; }

bool IsChosen(const char* call) {
    static long calls = 0;
    if (!Is("FAULTY_CALL", call)) return false;
    const char* every = std::getenv("FAULTY_EVERY");
    if (++calls % (every ? std::atol(every) : 1)) return false;
    const char* once = std::getenv("FAULTY_ONCE");
    if (!once) return true;
    const int file = open(once, O_CREAT | O_EXCL | O_WRONLY, 0600);
    return file >= 0 && close(file) == 0;
}

bool IsDue(const char* call) {
    g_failed = IsChosen(call);
    if (g_failed) ++g_faults;
    return g_failed;
}

void Misbehave() {
    if (Mode("hang")) {
        for (;;) pause();
    }
    if (Mode("chatter")) {
        for (int i = 0; i < 20000; ++i) std::printf("Inference took %d microseconds\n", i);
        std::fflush(stdout);
        return;
    }
    std::printf("Setting network weights and thresholds\n");
    std::fflush(stdout);
    std::fprintf(stderr, "bnn: about to give up\n");
    if (Mode("abort")) std::abort();
    if (Mode("throw")) throw std::runtime_error("Could not open file");
    if (Mode("crash")) raise(SIGSEGV);
    if (Mode("exit")) std::exit(3);
}

}  // namespace

EXPORT void load_parameters(const char* path) {
    if (IsDue("load")) Misbehave();
    Real<void(const char*)>("load_parameters")(path);
}

EXPORT int inference(const char* path, int* results, int number_class, float* microseconds) {
    using Call = int(const char*, int*, int, float*);
    return Real<Call>("inference")(path, results, number_class, microseconds);
}

EXPORT int* inference_multiple(const char* path, int number_class, int* image_number,
                               float* microseconds, int enable_detail) {
    using Call = int*(const char*, int, int*, float*, int);
    const bool due = IsDue("inference");
    if (due) Misbehave();
    if (due && Mode("null")) return nullptr;
    int* result = Real<Call>("inference_multiple")(path, number_class, image_number, microseconds,
                                                   enable_detail);
    if (!due || !result) return result;
    if (Mode("none")) *image_number = 0;
    if (Mode("fewer")) --*image_number;
    if (Mode("more")) ++*image_number;
    if (Mode("minus")) *image_number = -*image_number;
    if (Mode("huge")) *image_number = INT_MAX;
    if (Mode("class")) result[0] = number_class;
    if (Mode("negative")) result[*image_number - 1] = -1;
    if (Mode("score")) result[0] = 1 << 20;
    return result;
}

EXPORT void free_results(int* result) { Real<void(int*)>("free_results")(result); }

#ifndef LACKS_DEINIT
EXPORT void deinit(void) { Real<void()>("deinit")(); }
#endif

#ifdef TELLS
EXPORT const char* accel_bnn_pynq_error(void) {
    return g_failed && Mode("null") ? "the FPGA did not answer"
                                    : Real<const char*()>("accel_bnn_pynq_error")();
}
#endif
