// Layers over 64-bit words, for any vector of such words: each lane is a neuron, the input word is broadcast.
//
// No sum ever runs across lanes, and a comparison with thresholds gives the output bits in their final order.
// A vector type V brings the operations; it is included by the file of each instruction set, inside that
// file's target region, so everything here has internal linkage.
//
// What limits it: vector instructions. Plain xor, population count and add take three for each word of 64
// columns. Matching two words at a time takes five: with x0 = a0^w0 and both xors a0^a1 and w0^w1 made
// beforehand, the carry-save sum of (ones, x0, x1) is ones^(a0^a1)^(w0^w1), one three-input operation, and its
// carry is x0 where the sum equals `ones`, else `ones`, another one; x1 itself is never formed. Only carries
// are counted. So 2.5 for each word, and on a machine that starts two 512-bit operations per cycle 410 columns
// per cycle and neuron against 341.
#include "isa.h"

namespace bnn {
namespace {

template <class V>
class WordLayer final : public PackedLayer {
  public:
    using Reg = typename V::Reg;
    static constexpr int kLanes = V::kLanes;
    static constexpr int kTile = 4;             // windows computed side by side
    static constexpr int kMostGroups = 2;       // vectors of neurons computed side by side
    static constexpr int kPaddedRows = kLanes;  // thresholds are read a vector at a time

    explicit WordLayer(const LayerParams& params)
        : arithmetic_(params.arithmetic),
          rows_(params.layer->rows),
          words_(params.words),
          columns_(params.layer->columns),
          planes_(params.planes()) {
        switch (arithmetic_) {
            case Arithmetic::kMatch:
                PackMatch(params);
                break;
            case Arithmetic::kSigned:
                PackSigned(params);
                break;
            case Arithmetic::kTernary:
                PackTernary(params);
                break;
            case Arithmetic::kPixels:
                break;
        }
        const int offset = arithmetic_ == Arithmetic::kTernary ? 64 * words_ : 0;
        for (int32_t bound : params.low) low_.push_back(bound + offset);
        for (int32_t bound : params.high) high_.push_back(bound + offset);
    }

    void RunBits(const Windows& windows, uint64_t* out, PanelScratch* scratch) const override {
        const int words_out = rows_ / 64 * planes_;
        for (int64_t i = 0; i < int64_t{windows.count} * words_out; ++i) out[i] = 0;
        Bits sink{this, out, words_out};
        Run(windows, sink, scratch);
    }

    void RunScores(const Windows& windows, int32_t* out, PanelScratch* scratch) const override {
        Scores sink{this, out};
        Run(windows, sink, scratch);
    }

  private:
    // Takes values of a group of neurons and sets output bits.
    struct Bits {
        const WordLayer* layer;
        uint64_t* out;
        int words_out;

        V_INLINE void Put(int window, int row, Reg value) const {
            uint64_t* word = out + int64_t{window} * words_out + row / 64 * layer->planes_;
            word[0] |= V::Greater(value, V::LoadSigned(&layer->low_[row])) << (row % 64);
            if (layer->planes_ == 2)
                word[1] |= V::Greater(value, V::LoadSigned(&layer->high_[row])) << (row % 64);
        }
    };
    // Takes values of a group of neurons and stores them.
    struct Scores {
        const WordLayer* layer;
        int32_t* out;

        V_INLINE void Put(int window, int row, Reg value) const {
            int64_t lanes[kLanes];
            V::Store(lanes, value);
            const int offset = layer->arithmetic_ == Arithmetic::kTernary ? 64 * layer->words_ : 0;
            for (int i = 0; i < kLanes; ++i)
                out[int64_t{window} * kOutputs + row + i] = static_cast<int32_t>(lanes[i]) - offset;
        }
    };

    template <class Sink>
    void Run(const Windows& windows, const Sink& sink, PanelScratch* scratch) const {
        switch (arithmetic_) {
            case Arithmetic::kMatch:
                return RunPanels<Match>(windows, sink, scratch);
            case Arithmetic::kSigned:
                return RunPanels<Signed>(windows, sink, scratch);
            case Arithmetic::kTernary:
                return RunPanels<Ternary>(windows, sink, scratch);
            case Arithmetic::kPixels:
                return;
        }
    }

    // Gathers as many windows as half an L1 cache holds, then goes through all neurons, a block of weights at
    // a time: that block and the windows stay in L1.
    template <class Op, class Sink>
    void RunPanels(const Windows& windows, const Sink& sink, PanelScratch* scratch) const {
        const int window_words = Op::kInputPlanes * words_;
        int most = kPanelBytes / (window_words * 8) / kTile * kTile;
        if (most < kTile) most = kTile;
        uint64_t* panel = reinterpret_cast<uint64_t*>(scratch->panel);
        for (int start = 0; start < windows.count; start += most) {
            const int count = windows.count - start < most ? windows.count - start : most;
            const int tiled = count / kTile * kTile;
            for (int i = 0; i < tiled; i += kTile)
                Gather<Op, kTile>(windows, start + i, panel + i * window_words, scratch->counts + i);
            for (int i = tiled; i < count; ++i)
                Gather<Op, 1>(windows, start + i, panel + i * window_words, scratch->counts + i);
            constexpr int kRows = Op::kGroups * kLanes;
            const int64_t block_words = int64_t{Op::kWeightPlanes} * words_ * kRows;
            for (int row = 0; row < rows_; row += kRows) {
                const uint64_t* weights = weights_.data() + row / kRows * block_words;
                for (int i = 0; i < tiled; i += kTile)
                    Op::template Tile<kTile>(*this, weights, panel + i * window_words, scratch->counts + i,
                                             start + i, row, sink);
                for (int i = tiled; i < count; ++i)
                    Op::template Tile<1>(*this, weights, panel + i * window_words, scratch->counts + i,
                                         start + i, row, sink);
            }
        }
    }

    // Copies P windows into the panel in the order the operation reads them.
    template <class Op, int P>
    V_INLINE void Gather(const Windows& windows, int first, uint64_t* panel, int32_t* counts) const {
        for (int p = 0; p < P; ++p) {
            uint64_t flat[kMostWindowWords];
            const uint64_t* row = windows.base + windows.offsets[first + p];
            int at = 0;
            for (int r = 0; r < windows.rows; ++r, row += windows.row_stride)
                for (int i = 0; i < windows.run; ++i) flat[at++] = row[i];
            counts[p] = Op::template Arrange<P>(flat, words_, p, panel);
        }
    }

    // ----- 1-bit inputs, 1-bit weights: how many agree ---------------------------------------------------

    struct Match {
        static constexpr int kInputPlanes = 1, kWeightPlanes = 1, kGroups = 2;

        // For each pair of words: a0 of every window, then a0^a1 of every window. An odd last word alone.
        template <int P>
        V_INLINE static int32_t Arrange(const uint64_t* flat, int words, int p, uint64_t* panel) {
            int k = 0;
            for (; k + 1 < words; k += 2, panel += 2 * P) {
                panel[p] = flat[k];
                panel[P + p] = flat[k] ^ flat[k + 1];
            }
            if (k < words) panel[p] = flat[k];
            return 0;
        }

        template <int P, class Sink>
        V_INLINE static void Tile(const WordLayer& layer, const uint64_t* weights, const uint64_t* inputs,
                                  const int32_t*, int window, int row, const Sink& sink) {
            constexpr int G = kGroups, R = kGroups * kLanes;
            // An odd last word begins the carry-save sum.
            const int pairs = layer.words_ / 2;
            Reg ones[P][G], count[P][G];
            if (layer.words_ % 2) {
                const uint64_t* w = weights + pairs * 2 * R;
                const uint64_t* a = inputs + pairs * 2 * P;
                V_UNROLL for (int p = 0; p < P; ++p) {
                    const Reg input = V::Broadcast(a + p);
                    V_UNROLL for (int g = 0; g < G; ++g) ones[p][g] = V::Xor(input, V::Load(w + g * kLanes));
                }
            } else {
                V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g) ones[p][g] = V::Zero();
            }
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g) count[p][g] = V::Zero();
            for (int k = 0; k < pairs; ++k, weights += 2 * R, inputs += 2 * P) {
                Reg w0[G], w01[G];
                V_UNROLL for (int g = 0; g < G; ++g) {
                    w0[g] = V::Load(weights + g * kLanes);
                    w01[g] = V::Load(weights + R + g * kLanes);
                }
                V_UNROLL for (int p = 0; p < P; ++p) {
                    const Reg a0 = V::Broadcast(inputs + p), a01 = V::Broadcast(inputs + P + p);
                    V_UNROLL for (int g = 0; g < G; ++g) {
                        const Reg x0 = V::Xor(a0, w0[g]);
                        const Reg sum = V::Xor3(ones[p][g], a01, w01[g]);
                        // Where sum equals ones, x0 equals x1 and is the carry; elsewhere ones is.
                        const Reg carry = V::WhereEqual(sum, ones[p][g], x0);
                        count[p][g] = V::AddBits(count[p][g], carry);
                        ones[p][g] = sum;
                    }
                }
            }
            // The weights are stored inverted, so that what was counted are agreements.
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g)
                sink.Put(window + p, row + g * kLanes,
                         V::Weighted(V::AddBits(V::Zero(), ones[p][g]), count[p][g]));
        }
    };

    void PackMatch(const LayerParams& params) {
        constexpr int R = Match::kGroups * kLanes;
        weights_.resize(size_t(rows_) * words_);
        for (int row = 0; row < rows_; ++row) {
            const uint64_t* sign = &params.sign[size_t(row) * words_];
            uint64_t* block = &weights_[size_t(row / R) * R * words_];
            const int lane = row % R;
            for (int k = 0; k < words_; ++k) {
                // Word k of a pair's second half holds the xor of both; inverting cancels out there.
                const bool second = k % 2;
                block[size_t(k) * R + lane] = second ? sign[k - 1] ^ sign[k] : ~sign[k];
            }
        }
    }

    // ----- 2-bit inputs, 1-bit weights: signed sum -----------------------------------------------------------

    struct Signed {
        static constexpr int kInputPlanes = 2, kWeightPlanes = 1, kGroups = 2;

        // For each word: the signs of every window, then which are not zero. Returns how many are not.
        template <int P>
        V_INLINE static int32_t Arrange(const uint64_t* flat, int words, int p, uint64_t* panel) {
            int nonzero = 0;
            for (int k = 0; k < words; ++k, panel += 2 * P) {
                const uint64_t some = ~(flat[2 * k] ^ flat[2 * k + 1]);
                panel[p] = flat[2 * k + 1];
                panel[P + p] = some;
                nonzero += __builtin_popcountll(some);
            }
            return nonzero;
        }

        template <int P, class Sink>
        V_INLINE static void Tile(const WordLayer& layer, const uint64_t* weights, const uint64_t* inputs,
                                  const int32_t* nonzero, int window, int row, const Sink& sink) {
            constexpr int G = kGroups, R = kGroups * kLanes;
            Reg ones[P][G], count[P][G];
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g)
                ones[p][g] = count[p][g] = V::Zero();
            int k = 0;
            if (layer.words_ % 2) {  // an odd first word begins the carry-save sum
                V_UNROLL for (int p = 0; p < P; ++p) {
                    const Reg sign = V::Broadcast(inputs + p), some = V::Broadcast(inputs + P + p);
                    V_UNROLL for (int g = 0; g < G; ++g)
                        ones[p][g] = V::Agree(some, sign, V::Load(weights + g * kLanes));
                }
                k = 1, weights += R, inputs += 2 * P;
            }
            for (; k < layer.words_; k += 2, weights += 2 * R, inputs += 4 * P) {
                Reg w0[G], w1[G];
                V_UNROLL for (int g = 0; g < G; ++g) {
                    w0[g] = V::Load(weights + g * kLanes);
                    w1[g] = V::Load(weights + R + g * kLanes);
                }
                V_UNROLL for (int p = 0; p < P; ++p) {
                    const Reg sign0 = V::Broadcast(inputs + p), some0 = V::Broadcast(inputs + P + p);
                    const Reg sign1 = V::Broadcast(inputs + 2 * P + p), some1 = V::Broadcast(inputs + 3 * P + p);
                    V_UNROLL for (int g = 0; g < G; ++g) {
                        const Reg x0 = V::Agree(some0, sign0, w0[g]), x1 = V::Agree(some1, sign1, w1[g]);
                        count[p][g] = V::AddBits(count[p][g], V::Majority(ones[p][g], x0, x1));
                        ones[p][g] = V::Xor3(ones[p][g], x0, x1);
                    }
                }
            }
            // Agreements less disagreements: twice the former less all that are not zero.
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g) {
                const Reg agree = V::Weighted(V::AddBits(V::Zero(), ones[p][g]), count[p][g]);
                sink.Put(window + p, row + g * kLanes, V::TwiceLess(agree, nonzero[p]));
            }
        }
    };

    void PackSigned(const LayerParams& params) {
        constexpr int R = Signed::kGroups * kLanes;
        weights_.resize(size_t(rows_) * words_);
        for (int row = 0; row < rows_; ++row)
            for (int k = 0; k < words_; ++k)
                weights_[(size_t(row / R) * words_ + k) * R + row % R] = params.sign[size_t(row) * words_ + k];
    }

    // ----- 2-bit inputs, 2-bit weights: signed sum -----------------------------------------------------------

    // A product p is -1, 0 or +1; p+1 = (p > 0) + (p >= 0), two bits to be counted. With b = "neither factor is
    // zero", their xor is not b and, where b, both are "the signs agree": so the carry-save sum of (ones, both
    // bits) is ones xor not b, and its carry is "agree" where b, else ones. The value is the sum of p+1 over all
    // columns, 64 for each word more than the signed sum; the bounds allow for that.
    struct Ternary {
        static constexpr int kInputPlanes = 2, kWeightPlanes = 2, kGroups = 1;

        template <int P>
        V_INLINE static int32_t Arrange(const uint64_t* flat, int words, int p, uint64_t* panel) {
            Signed::template Arrange<P>(flat, words, p, panel);
            return 0;
        }

        template <int P, class Sink>
        V_INLINE static void Tile(const WordLayer& layer, const uint64_t* weights, const uint64_t* inputs,
                                  const int32_t*, int window, int row, const Sink& sink) {
            constexpr int R = kLanes;
            Reg ones[P], twos[P], count[P];
            V_UNROLL for (int p = 0; p < P; ++p) ones[p] = twos[p] = count[p] = V::Zero();
            int k = 0;
            if (layer.words_ % 2) {
                const Reg sign = V::Load(weights), some = V::Load(weights + R);
                V_UNROLL for (int p = 0; p < P; ++p) twos[p] = Carry(inputs, p, P, sign, some, &ones[p]);
                k = 1, weights += 2 * R, inputs += 2 * P;
            }
            for (; k < layer.words_; k += 2, weights += 4 * R, inputs += 4 * P) {
                const Reg sign0 = V::Load(weights), some0 = V::Load(weights + R);
                const Reg sign1 = V::Load(weights + 2 * R), some1 = V::Load(weights + 3 * R);
                V_UNROLL for (int p = 0; p < P; ++p) {
                    const Reg c0 = Carry(inputs, p, P, sign0, some0, &ones[p]);
                    const Reg c1 = Carry(inputs + 2 * P, p, P, sign1, some1, &ones[p]);
                    count[p] = V::AddBits(count[p], V::Majority(twos[p], c0, c1));
                    twos[p] = V::Xor3(twos[p], c0, c1);
                }
            }
            V_UNROLL for (int p = 0; p < P; ++p)
                sink.Put(window + p, row,
                         V::Weighted(V::AddBits(V::Zero(), ones[p]), V::AddBits(V::Zero(), twos[p]), count[p]));
        }

        // Adds a word's products to `ones` and returns the carries.
        V_INLINE static Reg Carry(const uint64_t* inputs, int p, int stride, Reg weight_sign, Reg weight_some,
                                  Reg* ones) {
            const Reg sign = V::Broadcast(inputs + p), some = V::Broadcast(inputs + stride + p);
            const Reg both = V::And(some, weight_some);
            const Reg plus = V::Agree(both, sign, weight_sign);
            const Reg carry = V::OrAndNot(plus, *ones, both);
            *ones = V::Xnor(*ones, both);
            return carry;
        }
    };

    void PackTernary(const LayerParams& params) {
        constexpr int R = kLanes;
        weights_.resize(size_t(rows_) * words_ * 2);
        for (int row = 0; row < rows_; ++row)
            for (int k = 0; k < words_; ++k) {
                uint64_t* at = &weights_[(size_t(row / R) * words_ + k) * 2 * R + row % R];
                at[0] = params.sign[size_t(row) * words_ + k];
                at[R] = params.nonzero[size_t(row) * words_ + k];
            }
    }

    const Arithmetic arithmetic_;
    const int rows_, words_, columns_, planes_;
    AlignedVector<uint64_t> weights_;
    AlignedVector<int64_t> low_, high_;
};

}  // namespace
}  // namespace bnn
