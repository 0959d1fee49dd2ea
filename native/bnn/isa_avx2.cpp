// AVX2, by table look-up: it has no population count, but it looks up 32 nibbles in one
// instruction.
#include "isa.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include <algorithm>

#define V_INLINE inline __attribute__((always_inline))
#define V_UNROLL _Pragma("GCC unroll 8")

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,popcnt")
#endif

#include "x86_pixels.h"

namespace bnn {
namespace {

// Four inputs choose a table of 16 bytes; four weights of a neuron choose its entry, what the four
// columns add to the neuron's value. Values are kept from going negative by 4 for each signed step.
//   1-bit inputs: how many of the four agree, 0..4
//   2-bit inputs: 4 + the sum of input times -1 or +1, 0..8
//   2-bit weights take two steps: 4 + the sum of the inputs whose weight is +1, then 4 - those
//   whose is -1
// So a shuffle and an addition make 4 columns of 32 neurons, and a machine that starts two 256-bit
// shuffles per cycle multiplies 256 inputs with weights in each.
struct Tables {
    alignas(16) uint8_t match[16][16];  // [inputs]
    alignas(16) uint8_t sum[256][16];   // [inputs that are not -1 | inputs that are +1 << 4]
    alignas(16) uint8_t plus_minus[2][256][16];
};

constexpr Tables MakeTables() {
    Tables t{};
    for (int inputs = 0; inputs < 256; ++inputs)
        for (int weights = 0; weights < 16; ++weights) {
            int agree = 0, sum = 0, chosen = 0;
            for (int i = 0; i < 4; ++i) {
                const int weight = weights >> i & 1;
                const int value = (inputs >> i & 1) + (inputs >> (4 + i) & 1) - 1;
                agree += (inputs >> i & 1) == weight;
                sum += weight ? value : -value;
                chosen += weight ? value : 0;
            }
            if (inputs < 16) t.match[inputs][weights] = static_cast<uint8_t>(agree);
            t.sum[inputs][weights] = static_cast<uint8_t>(4 + sum);
            t.plus_minus[0][inputs][weights] = static_cast<uint8_t>(4 + chosen);
            t.plus_minus[1][inputs][weights] = static_cast<uint8_t>(4 - chosen);
        }
    return t;
}
constexpr Tables kTables = MakeTables();

class Lookup final : public PackedLayer {
  public:
    explicit Lookup(const LayerParams& params)
        : arithmetic_(params.arithmetic),
          rows_(params.layer->rows),
          words_(params.words),
          planes_(params.planes()),
          steps_(words_ * 16 * (arithmetic_ == Arithmetic::kTernary ? 2 : 1)),
          offset_(arithmetic_ == Arithmetic::kMatch ? 0 : 4 * steps_) {
        weights_.resize(size_t(rows_) * steps_);
        for (int row = 0; row < rows_; ++row) PackRow(params, row);
        for (int32_t bound : params.low)
            low_.push_back(static_cast<int16_t>(std::min(bound + offset_, 32767)));
        for (int32_t bound : params.high)
            high_.push_back(static_cast<int16_t>(std::min(bound + offset_, 32767)));
    }

    void RunBits(const Windows& windows, uint64_t* out, PanelScratch* scratch) const override {
        Run(windows, scratch, [&](int window, int row, const __m256i(&values)[kGroups][2]) {
            uint64_t* words = out + int64_t{window} * (rows_ / 64) * planes_ + row / 64 * planes_;
            words[0] = Above(values, &low_[row]);
            if (planes_ == 2) words[1] = Above(values, &high_[row]);
        });
    }

    void RunScores(const Windows& windows, int32_t* out, PanelScratch* scratch) const override {
        Run(windows, scratch, [&](int window, int row, const __m256i(&values)[kGroups][2]) {
            for (int g = 0; g < kGroups; ++g) {
                int16_t halves[2][16];
                memcpy(halves, values[g], sizeof halves);
                for (int i = 0; i < 32; ++i)
                    out[int64_t{window} * kOutputs + row + 32 * g + i] =
                        halves[i / 8 % 2][i / 16 * 8 + i % 8] - offset_;
            }
        });
    }

  private:
    static constexpr int kGroups = 2;  // of 32 neurons: 64 make an output word
    static constexpr int kRows = 64;
    static constexpr int kTile = 4;  // windows side by side: 8 sums, 2 weights, a table, a product
    static constexpr int kStepsByte = 31;  // of at most 8 fit a byte; those of at most 4 do, too

    void PackRow(const LayerParams& params, int row) {
        const uint64_t* sign = &params.sign[size_t(row) * words_];
        const uint64_t* nonzero = &params.nonzero[size_t(row) * words_];
        uint8_t* block = &weights_[size_t(row / kRows) * kRows * steps_];
        for (int k = 0; k < words_ * 16; ++k) {
            const uint64_t plus = sign[k / 16] >> (k % 16 * 4) & 15;
            const uint64_t minus = nonzero[k / 16] >> (k % 16 * 4) & 15 & ~plus;
            if (arithmetic_ == Arithmetic::kTernary) {
                block[size_t(2 * k) * kRows + row % kRows] = static_cast<uint8_t>(plus);
                block[size_t(2 * k + 1) * kRows + row % kRows] = static_cast<uint8_t>(minus);
            } else {
                block[size_t(k) * kRows + row % kRows] = static_cast<uint8_t>(plus);
            }
        }
    }

    // Values come as 16-bit numbers, of neurons 0..7 and 16..23 in the first half of a group, the
    // others in the second: packing puts them in order.
    V_INLINE static uint64_t Above(const __m256i (&values)[kGroups][2], const int16_t* bounds) {
        uint64_t word = 0;
        for (int g = 0; g < kGroups; ++g) {
            const __m256i a = Shuffled(bounds + 32 * g, 0), b = Shuffled(bounds + 32 * g, 8);
            const __m256i mask = _mm256_packs_epi16(_mm256_cmpgt_epi16(values[g][0], a),
                                                    _mm256_cmpgt_epi16(values[g][1], b));
            word |= uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(mask))} << (32 * g);
        }
        return word;
    }
    V_INLINE static __m256i Shuffled(const int16_t* bounds, int start) {
        const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bounds + start));
        const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bounds + start + 16));
        return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }

    template <class Sink>
    V_INLINE void Run(const Windows& windows, PanelScratch* scratch, const Sink& sink) const {
        const int indices = words_ * 16;  // table numbers of a window
        const int most = std::max(kPanelBytes / indices / kTile * kTile, kTile);
        uint8_t* panel = scratch->panel;
        for (int start = 0; start < windows.count; start += most) {
            const int count = std::min(windows.count - start, most);
            for (int i = 0; i < count; ++i) Gather(windows, start + i, panel + i * indices);
            for (int row = 0; row < rows_; row += kRows) {
                const uint8_t* weights = &weights_[size_t(row) * steps_];
                int i = 0;
                for (; i + kTile <= count; i += kTile)
                    Tile<kTile>(weights, panel + i * indices, start + i, row, sink);
                for (; i < count; ++i) Tile<1>(weights, panel + i * indices, start + i, row, sink);
            }
        }
    }

    // Makes a window's words into table numbers, one for each four columns.
    void Gather(const Windows& windows, int window, uint8_t* indices) const {
        const uint64_t* row = windows.base + windows.offsets[window];
        const bool two = arithmetic_ != Arithmetic::kMatch;
        for (int r = 0; r < windows.rows; ++r, row += windows.row_stride)
            for (int i = 0; i < windows.run; i += two ? 2 : 1, indices += 16) {
                __m128i nibbles = Nibbles(row[i]);
                if (two) nibbles = _mm_or_si128(nibbles, _mm_slli_epi16(Nibbles(row[i + 1]), 4));
                _mm_storeu_si128(reinterpret_cast<__m128i*>(indices), nibbles);
            }
    }
    V_INLINE static __m128i Nibbles(uint64_t word) {
        const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(word)),
                      low = _mm_set1_epi8(15);
        return _mm_unpacklo_epi8(_mm_and_si128(bytes, low),
                                 _mm_and_si128(_mm_srli_epi16(bytes, 4), low));
    }

    template <int P, class Sink>
    V_INLINE void Tile(const uint8_t* weights, const uint8_t* indices, int window, int row,
                       const Sink& sink) const {
        switch (arithmetic_) {
            case Arithmetic::kMatch:
                return Sum<P, 1>(weights, indices, window, row, kTables.match, kTables.match, sink);
            case Arithmetic::kSigned:
                return Sum<P, 1>(weights, indices, window, row, kTables.sum, kTables.sum, sink);
            default:
                return Sum<P, 2>(weights, indices, window, row, kTables.plus_minus[0],
                                 kTables.plus_minus[1], sink);
        }
    }

    // S steps for each table number. Sums are kept in bytes as long as they fit, then go into
    // 16-bit ones.
    template <int P, int S, class Sink>
    V_INLINE void Sum(const uint8_t* weights, const uint8_t* indices, int window, int row,
                      const uint8_t (*first)[16], const uint8_t (*second)[16],
                      const Sink& sink) const {
        const int stride = words_ * 16;
        __m256i wide[P][kGroups][2];
        for (int p = 0; p < P; ++p)
            for (int g = 0; g < kGroups; ++g)
                wide[p][g][0] = wide[p][g][1] = _mm256_setzero_si256();
        const int at_once = arithmetic_ == Arithmetic::kMatch ? 2 * kStepsByte : kStepsByte / S;
        for (int start = 0; start < stride; start += at_once) {
            const int end = std::min(start + at_once, stride);
            __m256i sums[P][kGroups];
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < kGroups; ++g)
                sums[p][g] = _mm256_setzero_si256();
            for (int k = start; k < end; ++k) {
                V_UNROLL for (int s = 0; s < S; ++s, weights += kRows) {
                    const uint8_t (*tables)[16] = s ? second : first;
                    __m256i w[kGroups];
                    V_UNROLL for (int g = 0; g < kGroups; ++g) w[g] =
                        _mm256_load_si256(reinterpret_cast<const __m256i*>(weights + 32 * g));
                    V_UNROLL for (int p = 0; p < P; ++p) {
                        const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(
                            reinterpret_cast<const __m128i*>(tables[indices[p * stride + k]])));
                        V_UNROLL for (int g = 0; g < kGroups; ++g) sums[p][g] =
                            _mm256_add_epi8(sums[p][g], _mm256_shuffle_epi8(table, w[g]));
                    }
                }
            }
            const __m256i zero = _mm256_setzero_si256();
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < kGroups; ++g) {
                wide[p][g][0] =
                    _mm256_add_epi16(wide[p][g][0], _mm256_unpacklo_epi8(sums[p][g], zero));
                wide[p][g][1] =
                    _mm256_add_epi16(wide[p][g][1], _mm256_unpackhi_epi8(sums[p][g], zero));
            }
        }
        V_UNROLL for (int p = 0; p < P; ++p) sink(window + p, row, wide[p]);
    }

    const Arithmetic arithmetic_;
    const int rows_, words_, planes_, steps_, offset_;
    AlignedVector<uint8_t> weights_;
    AlignedVector<int16_t> low_, high_;
};

// The first layer of a CNV: two columns an instruction, 16 neurons in 16-bit lanes.
class Pixels256 final : public PackedLayer {
  public:
    explicit Pixels256(const LayerParams& params) : planes_(params.planes()) {
        for (int row = 0; row < kPixelRows; ++row) {
            for (int k = 0; k < kPixelColumns; ++k)
                weights_[k / 2][row][k % 2] = static_cast<int8_t>(PixelWeight(params, row, k));
            for (int plane = 0; plane < planes_; ++plane)
                bounds_[plane][row] = static_cast<int16_t>(PixelBound(params, plane, row));
        }
    }

    void PlanesToLevels(const uint8_t* planes, unsigned char* image) const override {
        ShuffledLevels(planes, image);
    }

    void RunPixels(const unsigned char* image, uint64_t* out,
                   PanelScratch* scratch) const override {
        constexpr int kOut = 30, kRow = 32 * 3, kAtOnce = 2;
        unsigned char* windows = scratch->panel;
        for (int y = 0; y < kOut; ++y) {
            GatherPixels(image + y * kRow, windows);
            for (int x = 0; x < kOut; x += kAtOnce, out += kAtOnce * planes_)
                Tile<kAtOnce>(windows + x * kPixelWindow, out);
        }
    }

  private:
    template <int P>
    V_INLINE void Tile(const unsigned char* windows, uint64_t* out) const {
        __m256i sums[P][4];
        V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < 4; ++g) sums[p][g] =
            _mm256_setzero_si256();
        for (int k = 0; k < 14; ++k) {
            __m256i w[4];
            V_UNROLL for (int g = 0; g < 4; ++g) w[g] =
                _mm256_load_si256(reinterpret_cast<const __m256i*>(weights_[k][g * 16]));
            V_UNROLL for (int p = 0; p < P; ++p) {
                int16_t two;
                memcpy(&two, windows + p * kPixelWindow + k * 2, sizeof two);
                const __m256i levels = _mm256_set1_epi16(two);
                V_UNROLL for (int g = 0; g < 4; ++g) sums[p][g] =
                    _mm256_add_epi16(sums[p][g], _mm256_maddubs_epi16(levels, w[g]));
            }
        }
        for (int plane = 0; plane < planes_; ++plane) V_UNROLL for (int p = 0; p < P; ++p) {
                __m256i above[4];
                V_UNROLL for (int g = 0; g < 4; ++g) above[g] = _mm256_cmpgt_epi16(
                    sums[p][g],
                    _mm256_load_si256(reinterpret_cast<const __m256i*>(&bounds_[plane][g * 16])));
                out[p * planes_ + plane] = Bits(above[0], above[1]) | Bits(above[2], above[3])
                                                                          << 32;
            }
    }
    V_INLINE static uint64_t Bits(__m256i a, __m256i b) {
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8);
        return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
    }

    const int planes_;
    alignas(kAlignment) int8_t weights_[14][kPixelRows][2] = {};
    alignas(kAlignment) int16_t bounds_[2][kPixelRows];
};

std::unique_ptr<PackedLayer> Pack(const LayerParams& params) {
    if (params.arithmetic == Arithmetic::kPixels) return std::make_unique<Pixels256>(params);
    return std::make_unique<Lookup>(params);
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

bool Supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"); }

}  // namespace

const Isa kAvx2 = {"avx2", Supported, Pack};

}  // namespace bnn

#else

namespace bnn {
const Isa kAvx2 = {"avx2", [] { return false; }, nullptr};
}  // namespace bnn

#endif
