// AVX-512 with VPOPCNTDQ and VNNI: Ice Lake, Zen 4 and later.
#include "isa.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define V_INLINE inline __attribute__((always_inline))
#define V_UNROLL _Pragma("GCC unroll 8")

#if defined(__clang__)
#pragma clang attribute push(                                                             \
    __attribute__((                                                                       \
        target("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512vnni,popcnt"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512vnni,popcnt")
#endif

#include "word_kernels.h"
#include "x86_pixels.h"

namespace bnn {
namespace {

struct Vector512 {
    using Reg = __m512i;
    static constexpr int kLanes = 8;

    V_INLINE static Reg Load(const uint64_t* p) { return _mm512_load_si512(p); }
    V_INLINE static void Store(int64_t* p, Reg a) { _mm512_storeu_si512(p, a); }
    V_INLINE static Reg Broadcast(const uint64_t* p) {
        return _mm512_set1_epi64(static_cast<long long>(*p));
    }
    V_INLINE static Reg Zero() { return _mm512_setzero_si512(); }
    V_INLINE static Reg And(Reg a, Reg b) { return _mm512_and_si512(a, b); }
    V_INLINE static Reg Xor(Reg a, Reg b) { return _mm512_xor_si512(a, b); }
    // Truth tables: bit 4a + 2b + c of the constant is the result for (a, b, c).
    V_INLINE static Reg Xor3(Reg a, Reg b, Reg c) {
        return _mm512_ternarylogic_epi64(a, b, c, 0x96);
    }
    V_INLINE static Reg Majority(Reg a, Reg b, Reg c) {
        return _mm512_ternarylogic_epi64(a, b, c, 0xe8);
    }
    V_INLINE static Reg WhereEqual(Reg a, Reg b, Reg c) {  // a == b ? c : b
        return _mm512_ternarylogic_epi64(a, b, c, 0x8e);
    }
    V_INLINE static Reg Agree(Reg some, Reg a, Reg b) {  // some & ~(a ^ b)
        return _mm512_ternarylogic_epi64(some, a, b, 0x90);
    }
    V_INLINE static Reg OrAndNot(Reg a, Reg b, Reg c) {  // a | (b & ~c)
        return _mm512_ternarylogic_epi64(a, b, c, 0xf4);
    }
    V_INLINE static Reg Xnor(Reg a, Reg b) { return _mm512_ternarylogic_epi64(a, b, b, 0xc3); }
    V_INLINE static Reg CountBits(Reg bits) { return _mm512_popcnt_epi64(bits); }
    V_INLINE static Reg AddBits(Reg count, Reg bits) {
        return _mm512_add_epi64(count, _mm512_popcnt_epi64(bits));
    }
    V_INLINE static Reg Weighted(Reg a, Reg b) {
        return _mm512_add_epi64(a, _mm512_add_epi64(b, b));
    }
    V_INLINE static Reg Weighted(Reg a, Reg b, Reg c) { return Weighted(a, Weighted(b, c)); }
    V_INLINE static Reg TwiceLess(Reg a, int64_t b) {
        return _mm512_sub_epi64(_mm512_add_epi64(a, a), _mm512_set1_epi64(b));
    }
    // Eight neurons are a byte of the word.
    V_INLINE static void PutGreater(Reg a, const int64_t* bounds, uint64_t* word, int shift) {
        reinterpret_cast<unsigned char*>(word)[shift / 8] =
            static_cast<unsigned char>(_mm512_cmpgt_epi64_mask(a, _mm512_load_si512(bounds)));
    }
};

// The first layer of a CNV: 8-bit levels times weights in bytes, four columns an instruction, a
// neuron a lane. 27 columns are 7 dwords, so 28 instructions a pixel for 64 neurons, and a pixel
// takes 28 cycles where one such 512-bit instruction starts per cycle: 25,200 cycles an image. Five
// pixels of a row at a time: 20 sums and 4 weights stay in registers, and every weight is loaded
// once for the five.
class Pixels512 final : public PackedLayer {
  public:
    explicit Pixels512(const LayerParams& params) : planes_(params.planes()) {
        for (int row = 0; row < kPixelRows; ++row) {
            for (int k = 0; k < kPixelColumns; ++k)
                weights_[k / 4][row][k % 4] = static_cast<int8_t>(PixelWeight(params, row, k));
            for (int plane = 0; plane < planes_; ++plane)
                bounds_[plane][row] = static_cast<int32_t>(PixelBound(params, plane, row));
        }
    }

    void PlanesToLevels(const uint8_t* planes, unsigned char* image) const override {
        ShuffledLevels(planes, image);
    }

    void RunPixels(const unsigned char* image, uint64_t* out,
                   PanelScratch* scratch) const override {
        constexpr int kOut = 30, kRow = 32 * 3, kAtOnce = 5;
        unsigned char* windows = scratch->panel;  // the 27 bytes of each pixel of a row, 32 apart
        for (int y = 0; y < kOut; ++y) {
            GatherPixels(image + y * kRow, windows);
            for (int x = 0; x < kOut; x += kAtOnce, out += kAtOnce * planes_)
                Tile<kAtOnce>(windows + x * kPixelWindow, out);
        }
    }

  private:
    template <int P>
    V_INLINE void Tile(const unsigned char* windows, uint64_t* out) const {
        __m512i sums[P][4];
        V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < 4; ++g) sums[p][g] =
            _mm512_setzero_si512();
        V_UNROLL for (int k = 0; k < 7; ++k) {
            __m512i w[4];
            V_UNROLL for (int g = 0; g < 4; ++g) w[g] = _mm512_load_si512(&weights_[k][g * 16][0]);
            V_UNROLL for (int p = 0; p < P; ++p) {
                int32_t four;
                memcpy(&four, windows + p * kPixelWindow + k * 4, sizeof four);
                const __m512i levels = _mm512_set1_epi32(four);
                V_UNROLL for (int g = 0; g < 4; ++g) sums[p][g] =
                    _mm512_dpbusd_epi32(sums[p][g], levels, w[g]);
            }
        }
        V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < 4; ++g) {
            PutGreater(sums[p][g], &bounds_[0][g * 16], out + p * planes_, g);
            if (planes_ == 2) PutGreater(sums[p][g], &bounds_[1][g * 16], out + p * 2 + 1, g);
        }
    }
    V_INLINE static void PutGreater(__m512i sums, const int32_t* bounds, uint64_t* word,
                                    int quarter) {
        const __mmask16 bits = _mm512_cmpgt_epi32_mask(sums, _mm512_load_si512(bounds));
        memcpy(reinterpret_cast<unsigned char*>(word) + 2 * quarter, &bits, sizeof bits);
    }

    const int planes_;
    alignas(kAlignment) int8_t weights_[7][kPixelRows][4] = {};
    alignas(kAlignment) int32_t bounds_[2][kPixelRows];
};

std::unique_ptr<PackedLayer> Pack(const LayerParams& params) {
    if (params.arithmetic == Arithmetic::kPixels) return std::make_unique<Pixels512>(params);
    return std::make_unique<WordLayer<Vector512>>(params);
}

}  // namespace
}  // namespace bnn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace bnn {
namespace {

bool Supported() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni");
}

}  // namespace

const Isa kAvx512 = {"avx512", Supported, Pack};

}  // namespace bnn

#else

namespace bnn {
const Isa kAvx512 = {"avx512", [] { return false; }, nullptr};
}  // namespace bnn

#endif
