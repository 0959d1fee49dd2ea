// What an instruction set brings: its own form of a layer's parameters, and the layer's computation
// on them.
//
// Between layers, activations are bit planes in 64-bit words, 64 channels a word. A 1-bit
// activation has one plane (1: +1). A 2-bit one has two, word by word beside each other: "not -1",
// then "+1". So the maximum of activations is the OR of their planes.
#ifndef ACCEL_NATIVE_BNN_ISA_H_
#define ACCEL_NATIVE_BNN_ISA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "params.h"

namespace bnn {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector

template <class T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t n) {
        return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{kAlignment}));
    }
    void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t{kAlignment}); }
    template <class U>
    bool operator==(const AlignedAllocator<U>&) const {
        return true;
    }
    template <class U>
    bool operator!=(const AlignedAllocator<U>&) const {
        return false;
    }
};
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

// Where the inputs of a layer's outputs lie: window i is `rows` runs of `run` words, the first one
// at base + offsets[i], each next one `row_stride` words on.
struct Windows {
    const uint64_t* base;
    const int32_t* offsets;
    int count;
    int rows;
    int run;
    int row_stride;

    int words() const { return rows * run; }
};

constexpr int kPanelBytes = 16 * 1024;  // of windows gathered at a time: half a usual L1 cache
constexpr int kImageBytes = 32 * 32 * 3;
constexpr int kImagePadding = 64;  // behind an image: vector loads may run past its end

// A pixel's level: its value on the network's scale of 1/128 steps from -1, less that -1. As
// published, all 256 values: unchanged up to 127, one more up to 254, and 255 stays.
constexpr unsigned char Level(unsigned char c) {
    return static_cast<unsigned char>(c + (c >= 128 && c < 255));
}

// Memory that a computation works in; every thread has its own.
struct alignas(kAlignment) PanelScratch {
    // The largest panel: what fits kPanelBytes, or one tile of the largest windows in the widest
    // form.
    unsigned char panel[kPanelBytes + 16 * 1024];
    int32_t counts[kPanelBytes / 8];  // one for each window of a panel
};

// A layer's parameters as an instruction set wants them.
class PackedLayer {
  public:
    virtual ~PackedLayer() = default;

    // For the first layer of a CNV: makes planes of red, green and blue pixels, 0..255, into
    // levels, channels side by side.
    virtual void PlanesToLevels(const uint8_t* planes, unsigned char* image) const;

    // The first layer of a CNV. `image` holds levels (0..255) of 32 x 32 pixels, channels side by
    // side, with kImagePadding readable bytes behind it. Writes the planes of all output pixels,
    // row by row.
    virtual void RunPixels(const unsigned char* image, uint64_t* out, PanelScratch* scratch) const;

    // A layer with thresholds. Writes planes() x rows/64 words for each window.
    virtual void RunBits(const Windows& windows, uint64_t* out, PanelScratch* scratch) const;

    // A layer without: writes kOutputs values for each window.
    virtual void RunScores(const Windows& windows, int32_t* out, PanelScratch* scratch) const;
};

// The first layer's form common to all instruction sets: weights by column, bounds that fit 16
// bits.
constexpr int kPixelRows = 64;
constexpr int kPixelColumns = 27;

inline int PixelWeight(const LayerParams& params, int row, int column) {
    if (params.sign[row] >> column & 1) return 1;
    return params.nonzero[row] >> column & 1 ? -1 : 0;
}

inline int PixelBound(const LayerParams& params, int plane, int row) {
    return (plane == 0 ? params.low : params.high)[row];
}

struct Isa {
    const char* name;
    bool (*supported)();
    std::unique_ptr<PackedLayer> (*pack)(const LayerParams& params);
};

// Best first. Instruction sets of another kind of processor are listed too, as not supported.
constexpr int kIsaCount = 4;
extern const Isa* const kIsas[kIsaCount];

extern const Isa kAvx512, kAvx2, kNeon, kPortable;

}  // namespace bnn

#endif  // ACCEL_NATIVE_BNN_ISA_H_
