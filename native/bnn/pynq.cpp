// The C ABI of BNN-PYNQ's network libraries on top of the engine; see bnn_pynq.abi.h. Compiled once
// for each network, which ACCEL_BNN_NETWORK names.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "bnn_pynq.h"
#include "bnn_timing.h"
#include "engine.h"

namespace {

constexpr int kBlockImages = 1024;
constexpr uint32_t kIdxImages = 0x00000803;
constexpr int kIdxHeaderBytes = 16;
// An idx file may claim more images than it holds: these are blank. Far more is a damaged header.
constexpr int64_t kMostMissing = 1 << 20;

// What the ABI keeps for the whole process.
struct State {
    const bnn::Network& network = *bnn::FindNetwork(ACCEL_BNN_NETWORK);
    std::mutex mutex;
    const bnn::Isa* isa = nullptr;
    std::unique_ptr<const bnn::Model> model;
    std::unique_ptr<bnn::Scratch> scratch;
    bool load_failed = false;
    std::string error;
    double device_seconds = 0;
};

State& TheState() {
    static State state;
    return state;
}

struct Failure {
    std::string text;
};

std::string System(const std::string& what, const char* path) {
    return what + " " + path + ": " + strerror(errno);
}

class InputFile {
  public:
    explicit InputFile(const char* path) : path_(path ? path : "(null)") {
        fd_ = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd_ < 0) throw Failure{path ? System("cannot open", path) : "no input file is named"};
    }
    ~InputFile() { close(fd_); }
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    // Reads until `bytes` or the file's end.
    int64_t Read(uint8_t* target, int64_t bytes) {
        int64_t done = 0;
        while (done < bytes) {
            const ssize_t got = read(fd_, target + done, bytes - done);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) throw Failure{System("cannot read", path_)};
            if (got == 0) break;
            done += got;
        }
        return done;
    }
    // Its length; `unknown` for a pipe.
    int64_t BytesOr(int64_t unknown) const {
        struct stat status;
        return fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : unknown;
    }
    const char* path() const { return path_; }

  private:
    const char* path_;
    int fd_;
};

// Hands out a file's images in blocks.
class Images {
  public:
    Images(const bnn::Network& network, const char* path) : file_(path), cnv_(network.HasScores()) {
        stride_ = network.PixelBytes() + (cnv_ ? bnn::kRecordLabel : 0);
        if (!cnv_) ReadHeader(network);
    }

    int64_t stride() const { return stride_; }
    const uint8_t* pixels() const { return block_.data() + (cnv_ ? bnn::kRecordLabel : 0); }

    // Reads up to `most` images; 0 at the end.
    int Next(int most) {
        block_.resize(most * stride_);
        if (cnv_) return static_cast<int>(file_.Read(block_.data(), most * stride_) / stride_);
        const int count = static_cast<int>(std::min<int64_t>(most, left_));
        const int64_t got = file_.Read(block_.data(), count * stride_);
        std::fill(block_.begin() + got, block_.end(), uint8_t{0});
        missing_ += (count * stride_ - got) / stride_;
        CheckMissing(missing_);
        left_ -= count;
        return count;
    }

  private:
    void ReadHeader(const bnn::Network& network) {
        uint8_t header[kIdxHeaderBytes];
        const std::string name = file_.path();
        if (file_.Read(header, sizeof header) < kIdxHeaderBytes || Number(header) != kIdxImages)
            throw Failure{name + " is no idx file of images (magic 0x00000803)"};
        const uint32_t rows = Number(header + 8), columns = Number(header + 12);
        if (rows != uint32_t(network.facts.height) || columns != uint32_t(network.facts.width))
            throw Failure{name + " has images of " + std::to_string(rows) + " x " +
                          std::to_string(columns) + ", expected 28 x 28"};
        left_ = Number(header + 4);
        CheckMissing(left_ - (file_.BytesOr(INT64_MAX) - kIdxHeaderBytes) / stride_);
    }
    void CheckMissing(int64_t images) const {
        if (images > kMostMissing)
            throw Failure{std::string(file_.path()) +
                          " ends long before the images its header promises"};
    }
    static uint32_t Number(const uint8_t* at) {
        return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
    }

    InputFile file_;
    const bool cnv_;
    int64_t stride_;
    int64_t left_ = 0, missing_ = 0;
    std::vector<uint8_t> block_;
};

void Load(State& state, const char* folder, bnn::Sizes sizes) {
    std::string error;
    if (!state.isa) state.isa = bnn::ChooseIsa(nullptr, &error);
    if (!state.isa) throw Failure{error};
    bnn::Params params;
    if (!bnn::ReadParams(state.network, folder, sizes, &params, &error)) throw Failure{error};
    state.model = std::make_unique<const bnn::Model>(params, *state.isa);
    state.load_failed = false;
}

void Prepare(State& state, int number_class) {
    if (number_class < 1 || number_class > bnn::kOutputs)
        throw Failure{"number_class is " + std::to_string(number_class) +
                      ", but must be from 1 to 64"};
    if (state.load_failed) throw Failure{"the last load of parameters failed"};
    if (!state.model) Load(state, "", bnn::Sizes::kNoFiles);
    if (!state.scratch) state.scratch = std::make_unique<bnn::Scratch>(state.network);
}

// Calls deliver(count) for every pass over some images, whose results are then in state.scratch.
// Stops after `most` images. Returns how many there were; `seconds` is the computing time.
template <class Deliver>
int64_t ForEachPass(State& state, const char* path, int64_t most, double* seconds,
                    const Deliver& deliver) {
    Images images(state.network, path);
    std::chrono::steady_clock::duration busy{};
    int64_t total = 0;
    bnn::Scratch& scratch = *state.scratch;
    while (total < most) {
        const int wanted = static_cast<int>(std::min<int64_t>(kBlockImages, most - total));
        const int count = images.Next(wanted);
        if (count == 0) break;
        for (int start = 0; start < count; start += state.model->block()) {
            const int here = std::min(count - start, state.model->block());
            const auto began = std::chrono::steady_clock::now();
            state.model->Run(images.pixels() + start * images.stride(), images.stride(), true, here,
                             &scratch, scratch.scores.data(), scratch.words.data());
            busy += std::chrono::steady_clock::now() - began;
            deliver(here);
        }
        total += count;
        if (total > INT_MAX)
            throw Failure{std::string(path) + " holds more images than an int can count"};
        if (count < wanted) break;  // the end, even of a file that grows: its last record was cut
    }
    if (total == 0) throw Failure{std::string(path) + " holds no complete image"};
    *seconds = std::chrono::duration<double>(busy).count();
    state.device_seconds += bnn::CallSeconds(state.network, total);
    return total;
}

float MicrosecondsEach(double seconds, int64_t images) {
    return static_cast<float>(seconds * 1e6 / images);
}

// The body of a call: failures become `failed`, and their text is kept.
template <class Result, class Body>
Result Call(Result failed, const Body& body) noexcept {
    try {
        State& state = TheState();
        const std::lock_guard<std::mutex> lock(state.mutex);
        try {
            state.error.clear();
            return body(state);
        } catch (const Failure& failure) {
            state.error = failure.text;
        } catch (const std::bad_alloc&) {
            state.error = "out of memory";
        }
    } catch (...) {  // no memory even for the text, or no lock
    }
    return failed;
}

int ClassifyFirst(State& state, const char* path, int* results, int number_class,
                  float* microseconds) {
    Prepare(state, number_class);
    const bnn::Scratch& scratch = *state.scratch;
    double seconds = 0;
    ForEachPass(state, path, 1, &seconds, [](int) {});
    if (microseconds) *microseconds = MicrosecondsEach(seconds, 1);
    if (state.network.HasScores()) {
        if (results) std::copy_n(scratch.scores.data(), number_class, results);
        return bnn::DecideScores(scratch.scores.data(), number_class, ACCEL_BNN_SINGLE);
    }
    const int chosen = bnn::DecideWord(scratch.words[0], number_class, ACCEL_BNN_SINGLE);
    if (results)
        for (int i = 0; i < bnn::kOutputs; ++i) results[i] = i == chosen;
    return chosen;
}

int* ClassifyAll(State& state, const char* path, int number_class, int* image_number,
                 float* microseconds, bool detail) {
    Prepare(state, number_class);
    const bnn::Scratch& scratch = *state.scratch;
    const bool cnv = state.network.HasScores();
    std::vector<int32_t> found;
    double seconds = 0;
    const int64_t count = ForEachPass(state, path, INT64_MAX, &seconds, [&](int here) {
        for (int i = 0; i < here; ++i) {
            const int32_t* scores = scratch.scores.data() + (cnv ? i * bnn::kOutputs : 0);
            if (cnv && detail) {
                found.insert(found.end(), scores, scores + number_class);
            } else {
                found.push_back(
                    cnv ? bnn::DecideScores(scores, number_class, ACCEL_BNN_MULTIPLE)
                        : bnn::DecideWord(scratch.words[i], number_class, ACCEL_BNN_MULTIPLE));
            }
        }
    });
    int* results = static_cast<int*>(malloc(found.size() * sizeof(int)));
    if (!results) throw std::bad_alloc();
    std::copy(found.begin(), found.end(), results);
    if (image_number) *image_number = static_cast<int>(count);
    if (microseconds) *microseconds = MicrosecondsEach(seconds, count);
    return results;
}

}  // namespace

extern "C" {

void load_parameters(const char* path) {
    Call(0, [&](State& state) {
        state.load_failed = true;  // until it is done
        if (!path) throw Failure{"no parameter folder is named"};
        Load(state, path, bnn::Sizes::kAny);
        return 0;
    });
}

int inference(const char* path, int* results, int number_class, float* usecPerImage) {
    return Call(-1, [&](State& state) {
        return ClassifyFirst(state, path, results, number_class, usecPerImage);
    });
}

int* inference_multiple(const char* path, int number_class, int* image_number, float* usecPerImage,
                        int enable_detail) {
    if (image_number) *image_number = 0;
    return Call(static_cast<int*>(nullptr), [&](State& state) {
        return ClassifyAll(state, path, number_class, image_number, usecPerImage,
                           enable_detail != 0);
    });
}

void free_results(int* result) { free(result); }

void deinit(void) {
    Call(0, [](State& state) {
        state.scratch.reset();
        return 0;
    });
}

const char* accel_bnn_pynq_error(void) { return TheState().error.c_str(); }

double accel_bnn_device_seconds(void) { return TheState().device_seconds; }

}  // extern "C"
