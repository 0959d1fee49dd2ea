// Layers over 64-bit words, for any vector of such words: each lane is a neuron, the input word is
// broadcast.
//
// No sum ever runs across lanes, and a comparison with thresholds gives the output bits in their
// final order. A vector type V brings the operations; the file of an
// instruction set includes this inside its target region, so everything here has internal linkage.
//
// What limits it: vector instructions. Plain xor, population count and add take three for each word
// of 64 columns. Matching two words at a time takes five: with x0 = a0^w0 and both xors a0^a1 and
// w0^w1 made beforehand, the carry-save sum of (ones, x0, x1) is ones^(a0^a1)^(w0^w1), one
// three-input operation, and its carry is x0 where the sum equals `ones`, else `ones`, another one;
// x1 itself is never formed. Only carries are counted. So 2.5 for each word, and on a machine that
// starts two 512-bit operations per cycle 410 inputs times weights in each, against 341.
#include "isa.h"

namespace bnn {
namespace {

template <class V>
class WordLayer final : public PackedLayer {
  public:
    using Reg = typename V::Reg;
    static constexpr int kLanes = V::kLanes;
    static constexpr int kTile = 4;  // windows computed side by side

    explicit WordLayer(const LayerParams& params)
        : arithmetic_(params.arithmetic),
          rows_(params.layer->rows),
          words_(params.words),
          planes_(params.planes()),
          bias_(arithmetic_ == Arithmetic::kTernary ? 64 * words_ : 0) {
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
        for (int32_t bound : params.low) low_.push_back(bound + bias_);
        for (int32_t bound : params.high) high_.push_back(bound + bias_);
    }

    void RunBits(const Windows& windows, uint64_t* out, PanelScratch* scratch) const override {
        const int words_out = rows_ / 64 * planes_;
        for (int64_t i = 0; i < int64_t{windows.count} * words_out; ++i) out[i] = 0;
        if (planes_ == 2) {
            Run(windows, Bits<true>{out, low_.data(), high_.data(), words_out}, scratch);
        } else {
            Run(windows, Bits<false>{out, low_.data(), low_.data(), words_out}, scratch);
        }
    }

    void RunScores(const Windows& windows, int32_t* out, PanelScratch* scratch) const override {
        Run(windows, Scores{out, bias_}, scratch);
    }

  private:
    // Takes the values of P windows by G vectors of neurons and sets output bits, which are zero
    // before. Two: two planes. All pointers are copied first: what it stores could be anything to
    // the compiler.
    template <bool Two>
    struct Bits {
        uint64_t* out;
        const int64_t *low, *high;
        int64_t words_out;

        template <int P, int G>
        V_INLINE void Put(int window, int row, const Reg (&values)[P][G]) const {
            uint64_t* word = out + window * words_out + row / 64 * (Two ? 2 : 1);
            const int64_t *lows = low + row, *highs = high + row, step = words_out;
            const int shift = row % 64;
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g) {
                V::PutGreater(values[p][g], lows + g * kLanes, word + p * step, shift + g * kLanes);
                if (Two)
                    V::PutGreater(values[p][g], highs + g * kLanes, word + p * step + 1,
                                  shift + g * kLanes);
            }
        }
    };
    // Takes the same and stores the values.
    struct Scores {
        int32_t* out;
        int offset;

        template <int P, int G>
        V_INLINE void Put(int window, int row, const Reg (&values)[P][G]) const {
            for (int p = 0; p < P; ++p)
                for (int g = 0; g < G; ++g) {
                    int64_t lanes[kLanes];
                    V::Store(lanes, values[p][g]);
                    int32_t* to = out + int64_t{window + p} * kOutputs + row + g * kLanes;
                    for (int i = 0; i < kLanes; ++i)
                        to[i] = static_cast<int32_t>(lanes[i]) - offset;
                }
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

    // Gathers as many windows as half an L1 cache holds, then goes through all neurons, a block of
    // weights at a time: that block and the windows stay in L1.
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
                Gather<Op, kTile>(windows, start + i, panel + i * window_words,
                                  scratch->counts + i);
            for (int i = tiled; i < count; ++i)
                Gather<Op, 1>(windows, start + i, panel + i * window_words, scratch->counts + i);
            constexpr int kRows = Op::kGroups * kLanes;
            const int64_t block_words = int64_t{Op::kWeightPlanes} * words_ * kRows;
            for (int row = 0; row < rows_; row += kRows) {
                const uint64_t* weights = weights_.data() + row / kRows * block_words;
                for (int i = 0; i < tiled; i += kTile)
                    Op::template Tile<kTile>(*this, weights, panel + i * window_words,
                                             scratch->counts + i, start + i, row, sink);
                for (int i = tiled; i < count; ++i)
                    Op::template Tile<1>(*this, weights, panel + i * window_words,
                                         scratch->counts + i, start + i, row, sink);
            }
        }
    }

    // Copies P windows into the panel in the order the operation reads them. The shapes of the
    // largest layers are unrolled.
    template <class Op, int P>
    V_INLINE void Gather(const Windows& windows, int first, uint64_t* panel,
                         int32_t* counts) const {
        constexpr int kPlanes = Op::kInputPlanes;
        if (windows.rows == 3 && windows.run == 3 * kPlanes) {
            GatherRuns<Op, P>(windows, 3, 3 * kPlanes, first, panel, counts);
        } else if (windows.rows == 3 && windows.run == 6 * kPlanes) {
            GatherRuns<Op, P>(windows, 3, 6 * kPlanes, first, panel, counts);
        } else {
            GatherRuns<Op, P>(windows, windows.rows, windows.run, first, panel, counts);
        }
    }
    template <class Op, int P>
    V_INLINE static void GatherRuns(const Windows& windows, int rows, int run, int first,
                                    uint64_t* panel, int32_t* counts) {
        const uint64_t* base = windows.base;
        const int64_t stride = windows.row_stride;
        for (int p = 0; p < P; ++p) {
            typename Op::Arranger arranger;
            const uint64_t* row = base + windows.offsets[first + p];
            uint64_t* to = panel + p;
            V_UNROLL for (int r = 0; r < rows; ++r, row += stride) {
                V_UNROLL for (int i = 0; i < run; i += Op::kInputPlanes, to += Op::kInputPlanes * P)
                    arranger.Put(row + i, to, P);
            }
            counts[p] = arranger.nonzero;
        }
    }

    // 1-bit inputs, 1-bit weights: the value is how many agree.

    struct Match {
        static constexpr int kInputPlanes = 1, kWeightPlanes = 1, kGroups = 2;

        // For each pair of words: a0 of every window, then a0^a1 of every window. An odd last word
        // alone.
        struct Arranger {
            uint64_t before = 0;  // the word before, where this is a pair's second
            uint64_t second = 0;  // all ones there
            int32_t nonzero = 0;
            V_INLINE void Put(const uint64_t* from, uint64_t* to, int) {
                *to = *from ^ (before & second);
                before = *from;
                second = ~second;
            }
        };

        // Counts a pair of words.
        template <int P, bool First>
        V_INLINE static void Pair(const uint64_t* weights, const uint64_t* inputs,
                                  Reg (&ones)[P][kGroups], Reg (&count)[P][kGroups]) {
            constexpr int G = kGroups, R = kGroups * kLanes;
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
                    count[p][g] = First ? V::CountBits(carry) : V::AddBits(count[p][g], carry);
                    ones[p][g] = sum;
                }
            }
        }

        template <int P, class Sink>
        V_INLINE static void Tile(const WordLayer& layer, const uint64_t* weights,
                                  const uint64_t* inputs, const int32_t*, int window, int row,
                                  const Sink& sink) {
            constexpr int G = kGroups, R = kGroups * kLanes;
            // An odd last word begins the carry-save sum.
            const int pairs = layer.words_ / 2;
            Reg ones[P][G], count[P][G];
            if (layer.words_ % 2) {
                const uint64_t* w = weights + pairs * 2 * R;
                const uint64_t* a = inputs + pairs * 2 * P;
                V_UNROLL for (int p = 0; p < P; ++p) {
                    const Reg input = V::Broadcast(a + p);
                    V_UNROLL for (int g = 0; g < G; ++g) ones[p][g] =
                        V::Xor(input, V::Load(w + g * kLanes));
                }
            } else {
                V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g)
                    ones[p][g] = V::Zero();
            }
            Pair<P, true>(weights, inputs, ones, count);
            for (int k = 1; k < pairs; ++k)
                Pair<P, false>(weights + k * 2 * R, inputs + k * 2 * P, ones, count);
            // The weights are stored inverted, so that what was counted are agreements.
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g) ones[p][g] =
                V::Weighted(V::CountBits(ones[p][g]), count[p][g]);
            sink.Put(window, row, ones);
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
                // Word k of a pair's second half holds the xor of both; inverting cancels out
                // there.
                const bool second = k % 2;
                block[size_t(k) * R + lane] = second ? sign[k - 1] ^ sign[k] : ~sign[k];
            }
        }
    }

    // 2-bit inputs, 1-bit weights: the value is the signed sum.

    struct Signed {
        static constexpr int kInputPlanes = 2, kWeightPlanes = 1, kGroups = 2;

        // For each word: the signs of every window, then which are not zero; those are counted.
        struct Arranger {
            int32_t nonzero = 0;
            V_INLINE void Put(const uint64_t* from, uint64_t* to, int tile) {
                const uint64_t some = ~(from[0] ^ from[1]);
                to[0] = from[1];
                to[tile] = some;
                nonzero += __builtin_popcountll(some);
            }
        };

        template <int P, class Sink>
        V_INLINE static void Tile(const WordLayer& layer, const uint64_t* weights,
                                  const uint64_t* inputs, const int32_t* nonzero, int window,
                                  int row, const Sink& sink) {
            constexpr int G = kGroups, R = kGroups * kLanes;
            Reg ones[P][G], count[P][G];
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g) ones[p][g] =
                count[p][g] = V::Zero();
            int k = 0;
            if (layer.words_ % 2) {  // an odd first word begins the carry-save sum
                V_UNROLL for (int p = 0; p < P; ++p) {
                    const Reg sign = V::Broadcast(inputs + p), some = V::Broadcast(inputs + P + p);
                    V_UNROLL for (int g = 0; g < G; ++g) ones[p][g] =
                        V::Agree(some, sign, V::Load(weights + g * kLanes));
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
                    const Reg sign0 = V::Broadcast(inputs + p),
                              some0 = V::Broadcast(inputs + P + p);
                    const Reg sign1 = V::Broadcast(inputs + 2 * P + p),
                              some1 = V::Broadcast(inputs + 3 * P + p);
                    V_UNROLL for (int g = 0; g < G; ++g) {
                        const Reg x0 = V::Agree(some0, sign0, w0[g]),
                                  x1 = V::Agree(some1, sign1, w1[g]);
                        count[p][g] = V::AddBits(count[p][g], V::Majority(ones[p][g], x0, x1));
                        ones[p][g] = V::Xor3(ones[p][g], x0, x1);
                    }
                }
            }
            // Agreements less disagreements: twice the former less all that are not zero.
            V_UNROLL for (int p = 0; p < P; ++p) V_UNROLL for (int g = 0; g < G; ++g) {
                const Reg agree = V::Weighted(V::CountBits(ones[p][g]), count[p][g]);
                ones[p][g] = V::TwiceLess(agree, nonzero[p]);
            }
            sink.Put(window, row, ones);
        }
    };

    void PackSigned(const LayerParams& params) {
        constexpr int R = Signed::kGroups * kLanes;
        weights_.resize(size_t(rows_) * words_);
        for (int row = 0; row < rows_; ++row)
            for (int k = 0; k < words_; ++k)
                weights_[(size_t(row / R) * words_ + k) * R + row % R] =
                    params.sign[size_t(row) * words_ + k];
    }

    // 2-bit inputs, 2-bit weights: the value is the signed sum and 64 for each word.

    // A product p is -1, 0 or +1; p+1 = (p > 0) + (p >= 0), two bits to be counted. With b =
    // "neither factor is zero", their xor is not b and, where b, both are "the signs agree": so the
    // carry-save sum of (ones, both bits) is ones xor not b, and its carry is "agree" where b, else
    // ones. The value is the sum of p+1 over all columns, 64 for each word more than the signed
    // sum; the bounds allow for that.
    struct Ternary {
        static constexpr int kInputPlanes = 2, kWeightPlanes = 2, kGroups = 1;

        using Arranger = typename Signed::Arranger;

        template <int P, class Sink>
        V_INLINE static void Tile(const WordLayer& layer, const uint64_t* weights,
                                  const uint64_t* inputs, const int32_t*, int window, int row,
                                  const Sink& sink) {
            constexpr int R = kLanes;
            Reg ones[P], twos[P], count[P];
            V_UNROLL for (int p = 0; p < P; ++p) ones[p] = twos[p] = count[p] = V::Zero();
            int k = 0;
            if (layer.words_ % 2) {
                const Reg sign = V::Load(weights), some = V::Load(weights + R);
                V_UNROLL for (int p = 0; p < P; ++p) twos[p] =
                    Carry(inputs, p, P, sign, some, &ones[p]);
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
            Reg values[P][1];
            V_UNROLL for (int p = 0; p < P; ++p) values[p][0] =
                V::Weighted(V::CountBits(ones[p]), V::CountBits(twos[p]), count[p]);
            sink.Put(window, row, values);
        }

        // Adds a word's products to `ones` and returns the carries.
        V_INLINE static Reg Carry(const uint64_t* inputs, int p, int stride, Reg weight_sign,
                                  Reg weight_some, Reg* ones) {
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
    const int rows_, words_, planes_;
    const int bias_;  // what Ternary's values are more than the sum
    AlignedVector<uint64_t> weights_;
    AlignedVector<int64_t> low_, high_;
};

}  // namespace
}  // namespace bnn
