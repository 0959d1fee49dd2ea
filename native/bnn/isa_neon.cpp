// NEON, on 64-bit ARM: population counts of bytes.
#include "isa.h"
#include "pixels16.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define V_INLINE inline __attribute__((always_inline))
#define V_UNROLL _Pragma("GCC unroll 8")

#include "word_kernels.h"

namespace bnn {
namespace {

struct VectorNeon {
    using Reg = uint64x2_t;
    static constexpr int kLanes = 2;

    V_INLINE static Reg Load(const uint64_t* p) { return vld1q_u64(p); }
    V_INLINE static void Store(int64_t* p, Reg a) { vst1q_s64(p, vreinterpretq_s64_u64(a)); }
    V_INLINE static Reg Broadcast(const uint64_t* p) { return vld1q_dup_u64(p); }
    V_INLINE static Reg Zero() { return vdupq_n_u64(0); }
    V_INLINE static Reg And(Reg a, Reg b) { return vandq_u64(a, b); }
    V_INLINE static Reg Xor(Reg a, Reg b) { return veorq_u64(a, b); }
    V_INLINE static Reg Xor3(Reg a, Reg b, Reg c) { return veorq_u64(veorq_u64(a, b), c); }
    // Where a and b agree, a; where they do not, c decides.
    V_INLINE static Reg Majority(Reg a, Reg b, Reg c) { return vbslq_u64(veorq_u64(a, b), c, a); }
    V_INLINE static Reg WhereEqual(Reg a, Reg b, Reg c) { return vbslq_u64(veorq_u64(a, b), b, c); }
    V_INLINE static Reg Agree(Reg some, Reg a, Reg b) { return vbicq_u64(some, veorq_u64(a, b)); }
    V_INLINE static Reg OrAndNot(Reg a, Reg b, Reg c) { return vorrq_u64(a, vbicq_u64(b, c)); }
    V_INLINE static Reg Xnor(Reg a, Reg b) {
        return vreinterpretq_u64_u8(vmvnq_u8(vreinterpretq_u8_u64(veorq_u64(a, b))));
    }
    // Counts are kept in bytes; no layer has so many words that one of them could overflow.
    V_INLINE static Reg CountBits(Reg bits) {
        return vreinterpretq_u64_u8(vcntq_u8(vreinterpretq_u8_u64(bits)));
    }
    V_INLINE static Reg AddBits(Reg count, Reg bits) {
        return vreinterpretq_u64_u8(
            vaddq_u8(vreinterpretq_u8_u64(count), vcntq_u8(vreinterpretq_u8_u64(bits))));
    }
    V_INLINE static Reg Weighted(Reg a, Reg b) {
        return vaddq_u64(Lanes(a), vshlq_n_u64(Lanes(b), 1));
    }
    V_INLINE static Reg Weighted(Reg a, Reg b, Reg c) {
        return vaddq_u64(Weighted(a, b), vshlq_n_u64(Lanes(c), 2));
    }
    V_INLINE static Reg TwiceLess(Reg a, int64_t b) {
        return vsubq_u64(vshlq_n_u64(a, 1), vdupq_n_u64(static_cast<uint64_t>(b)));
    }
    V_INLINE static void PutGreater(Reg a, const int64_t* bounds, uint64_t* word, int shift) {
        const Reg more = vcgtq_s64(vreinterpretq_s64_u64(a), vld1q_s64(bounds));
        *word |= ((vgetq_lane_u64(more, 0) & 1) | (vgetq_lane_u64(more, 1) & 2)) << shift;
    }

  private:
    V_INLINE static Reg Lanes(Reg bytes) {
        return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vreinterpretq_u8_u64(bytes))));
    }
};

// The first layer of a CNV: eight neurons in 16-bit lanes, a column an instruction.
class PixelsNeon final : public Pixels16 {
  public:
    explicit PixelsNeon(const LayerParams& params) : Pixels16(params) {}

    void RunPixels(const unsigned char* image, uint64_t* out, PanelScratch*) const override {
        constexpr int kOut = 30, kRow = 32 * 3;
        const uint8_t bit_values[8] = {1, 2, 4, 8, 16, 32, 64, 128};
        const uint8x8_t bits = vld1_u8(bit_values);
        for (int y = 0; y < kOut; ++y)
            for (int x = 0; x < kOut; ++x) {
                const unsigned char* window = image + y * kRow + x * 3;
                int16x8_t sums[8];
                V_UNROLL for (int g = 0; g < 8; ++g) sums[g] = vdupq_n_s16(0);
                for (int k = 0; k < kPixelColumns; ++k) {
                    const int16_t level = window[k / 9 * kRow + k % 9];
                    V_UNROLL for (int g = 0; g < 8; ++g) sums[g] =
                        vmlaq_n_s16(sums[g], vld1q_s16(&weights_[k][8 * g]), level);
                }
                for (int plane = 0; plane < planes_; ++plane) {
                    uint64_t word = 0;
                    V_UNROLL for (int g = 0; g < 8; ++g) {
                        const uint16x8_t above =
                            vcgtq_s16(sums[g], vld1q_s16(&bounds_[plane][8 * g]));
                        word |= uint64_t{vaddv_u8(vand_u8(vmovn_u16(above), bits))} << (8 * g);
                    }
                    *out++ = word;
                }
            }
    }
};

bool Supported() { return true; }  // every 64-bit ARM has it

std::unique_ptr<PackedLayer> Pack(const LayerParams& params) {
    if (params.arithmetic == Arithmetic::kPixels) return std::make_unique<PixelsNeon>(params);
    return std::make_unique<WordLayer<VectorNeon>>(params);
}

}  // namespace

const Isa kNeon = {"neon", Supported, Pack};

}  // namespace bnn

#else

namespace bnn {
const Isa kNeon = {"neon", [] { return false; }, nullptr};
}  // namespace bnn

#endif
