// Plain C++, for every processor: two words at a time, which compilers turn into the vectors all of
// them have.
#include "isa.h"
#include "pixels16.h"

#define V_INLINE inline __attribute__((always_inline))
#define V_UNROLL _Pragma("GCC unroll 8")

#include "word_kernels.h"

namespace bnn {
namespace {

struct VectorPortable {
    typedef uint64_t Reg __attribute__((vector_size(16)));
    typedef int64_t SignedReg __attribute__((vector_size(16)));
    static constexpr int kLanes = 2;

    V_INLINE static Reg Load(const uint64_t* p) { return Reg{p[0], p[1]}; }
    V_INLINE static void Store(int64_t* p, Reg a) {
        for (int i = 0; i < kLanes; ++i) p[i] = static_cast<int64_t>(a[i]);
    }
    V_INLINE static Reg Broadcast(const uint64_t* p) { return Reg{*p, *p}; }
    V_INLINE static Reg Zero() { return Reg{0, 0}; }
    V_INLINE static Reg And(Reg a, Reg b) { return a & b; }
    V_INLINE static Reg Xor(Reg a, Reg b) { return a ^ b; }
    V_INLINE static Reg Xor3(Reg a, Reg b, Reg c) { return a ^ b ^ c; }
    V_INLINE static Reg Majority(Reg a, Reg b, Reg c) { return (a & b) | (c & (a ^ b)); }
    V_INLINE static Reg WhereEqual(Reg a, Reg b, Reg c) { return c ^ ((a ^ b) & (b ^ c)); }
    V_INLINE static Reg Agree(Reg some, Reg a, Reg b) { return some & ~(a ^ b); }
    V_INLINE static Reg OrAndNot(Reg a, Reg b, Reg c) { return a | (b & ~c); }
    V_INLINE static Reg Xnor(Reg a, Reg b) { return ~(a ^ b); }

    // Counts are kept in bytes; no layer has so many words that one of them could overflow.
    V_INLINE static Reg CountBits(Reg bits) { return AddBits(Zero(), bits); }
    V_INLINE static Reg AddBits(Reg count, Reg bits) {
        bits = bits - (bits >> 1 & Splat(0x5555555555555555));
        bits = (bits & Splat(0x3333333333333333)) + (bits >> 2 & Splat(0x3333333333333333));
        return count + ((bits + (bits >> 4)) & Splat(0x0f0f0f0f0f0f0f0f));
    }
    V_INLINE static Reg Weighted(Reg a, Reg b) { return Lanes(a) + (Lanes(b) << 1); }
    V_INLINE static Reg Weighted(Reg a, Reg b, Reg c) {
        return Lanes(a) + (Lanes(b) << 1) + (Lanes(c) << 2);
    }
    V_INLINE static Reg TwiceLess(Reg a, int64_t b) {
        return (a << 1) - Splat(static_cast<uint64_t>(b));
    }
    V_INLINE static void PutGreater(Reg a, const int64_t* bounds, uint64_t* word, int shift) {
        const SignedReg more = reinterpret_cast<SignedReg>(a) > SignedReg{bounds[0], bounds[1]};
        *word |= (static_cast<uint64_t>(more[0] & 1) | static_cast<uint64_t>(more[1] & 2)) << shift;
    }

  private:
    V_INLINE static Reg Splat(uint64_t word) { return Reg{word, word}; }
    V_INLINE static Reg Lanes(Reg bytes) {
        const Reg pairs =
            (bytes & Splat(0x00ff00ff00ff00ff)) + (bytes >> 8 & Splat(0x00ff00ff00ff00ff));
        const Reg fours = pairs + (pairs >> 16);
        return (fours + (fours >> 32)) & Splat(0xffff);
    }
};

// The first layer of a CNV, in loops over neurons that compilers vectorise.
class PixelsPortable final : public Pixels16 {
  public:
    explicit PixelsPortable(const LayerParams& params) : Pixels16(params) {}

    void RunPixels(const unsigned char* image, uint64_t* out, PanelScratch*) const override {
        constexpr int kOut = 30, kRow = 32 * 3;
        for (int y = 0; y < kOut; ++y)
            for (int x = 0; x < kOut; ++x) {
                int16_t sums[kPixelRows] = {};
                for (int k = 0; k < kPixelColumns; ++k) {
                    const int16_t level = image[(y + k / 9) * kRow + x * 3 + k % 9];
                    for (int row = 0; row < kPixelRows; ++row)
                        sums[row] = static_cast<int16_t>(sums[row] + level * weights_[k][row]);
                }
                for (int plane = 0; plane < planes_; ++plane) {
                    uint64_t word = 0;
                    for (int row = 0; row < kPixelRows; ++row)
                        word |= uint64_t{sums[row] > bounds_[plane][row]} << row;
                    *out++ = word;
                }
            }
    }
};

bool Supported() { return true; }

std::unique_ptr<PackedLayer> Pack(const LayerParams& params) {
    if (params.arithmetic == Arithmetic::kPixels) return std::make_unique<PixelsPortable>(params);
    return std::make_unique<WordLayer<VectorPortable>>(params);
}

}  // namespace

const Isa kPortable = {"portable", Supported, Pack};

}  // namespace bnn
