#include "bnn_network.h"

namespace bnn {
namespace {

// A table's row as published (FINN's folding of BNN-PYNQ): dims and channels are the same in all
// networks of a topology; precisions follow from the network's name, WxAy: x weight bits, y
// activation bits.
struct Shape {
    int kernel, input_dim, input_channels, output_dim, rows, columns, pool;
};
struct Folding {
    int simd, pe;
};

constexpr Shape kCnv[] = {
    {3, 32, 3, 30, 64, 27, 1},      {3, 30, 64, 28, 64, 576, 2},  {3, 14, 64, 12, 128, 576, 1},
    {3, 12, 128, 10, 128, 1152, 2}, {3, 5, 128, 3, 256, 1152, 1}, {3, 3, 256, 1, 256, 2304, 1},
    {1, 1, 256, 1, 512, 256, 1},    {1, 1, 512, 1, 512, 512, 1},  {1, 1, 512, 1, 64, 512, 1},
};
constexpr Folding kCnvW1[] = {{3, 16}, {32, 32}, {32, 16}, {32, 16}, {32, 4},
                              {32, 1}, {4, 1},   {8, 1},   {1, 4}};
constexpr Folding kCnvW2[] = {{3, 8}, {16, 16}, {16, 8}, {16, 8}, {8, 4},
                              {8, 1}, {2, 1},   {2, 2},  {1, 4}};

// 784 pixels in 832 columns: the last 48 always see the input -1.
constexpr Shape kLfc[] = {
    {1, 1, 832, 1, 1024, 832, 1},
    {1, 1, 1024, 1, 1024, 1024, 1},
    {1, 1, 1024, 1, 1024, 1024, 1},
    {1, 1, 1024, 1, 64, 1024, 1},
};
constexpr Folding kLfcW1[] = {{64, 32}, {32, 64}, {64, 32}, {8, 16}};

template <int N>
constexpr Network Describe(const char* name, const Shape (&shapes)[N], const Folding (&folds)[N],
                           int weight_bits, int activation_bits, accel_bnn_network image) {
    Network network{};
    network.facts = {name, N, image.height, image.width, image.channels, image.has_scores};
    for (int i = 0; i < N; ++i) {
        const Shape& s = shapes[i];
        const bool first = i == 0, last = i == N - 1;
        // An LFC's pixels are made -1 or +1 before the first layer, and its last layer gives one
        // bit.
        const int input_bits = !first ? activation_bits : image.has_scores ? 8 : 1;
        const int thresholds = !last ? activation_bits : image.has_scores ? 0 : 1;
        network.layers[i] = {s.kernel,    s.input_dim, s.input_channels, s.output_dim,
                             s.rows,      s.columns,   s.pool,           folds[i].simd,
                             folds[i].pe, input_bits,  weight_bits,      thresholds};
    }
    return network;
}

constexpr accel_bnn_network kColour{nullptr, 0, 32, 32, 3, 1};
constexpr accel_bnn_network kDigit{nullptr, 0, 28, 28, 1, 0};

constexpr Network kNetworks[] = {
    Describe("cnvW1A1", kCnv, kCnvW1, 1, 1, kColour),
    Describe("cnvW1A2", kCnv, kCnvW1, 1, 2, kColour),
    Describe("cnvW2A2", kCnv, kCnvW2, 2, 2, kColour),
    Describe("lfcW1A1", kLfc, kLfcW1, 1, 1, kDigit),
    Describe("lfcW1A2", kLfc, kLfcW1, 1, 2, kDigit),
};

// What the engine counts on, checked for every row when this file is compiled.
constexpr bool Sound(const Network& network) {
    for (int i = 0; i < network.LayerCount(); ++i) {
        const Layer& l = network.layers[i];
        const bool whole_words =
            l.input_bits == 8 ? l.columns == 27 && l.rows == 64 : l.columns % 64 == 0;
        if (l.columns % l.simd || l.rows % l.pe || l.rows % 64 || !whole_words) return false;
        if (l.kernel == 3 && l.columns != 9 * l.input_channels) return false;
        if (l.input_bits < 8 && l.columns < 2 * 64) return false;
        if (l.columns > 60 * 64 || l.weight_bits * l.simd > 64) return false;
    }
    return network.layers[network.LayerCount() - 1].rows == kOutputs;
}
template <int N>
constexpr bool AllSound(const Network (&networks)[N]) {
    for (const Network& network : networks)
        if (!Sound(network)) return false;
    return true;
}
static_assert(AllSound(kNetworks), "a layer that the kernels cannot run");

}  // namespace

int NetworkCount() { return static_cast<int>(sizeof kNetworks / sizeof kNetworks[0]); }

const Network& NetworkAt(int index) { return kNetworks[index]; }

const Network* FindNetwork(std::string_view name) {
    for (const Network& network : kNetworks)
        if (name == network.facts.name) return &network;
    return nullptr;
}

}  // namespace bnn
