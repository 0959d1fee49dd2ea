// Parameters as they are read from a folder, before any instruction set repacks them.
#ifndef ACCEL_NATIVE_BNN_PARAMS_H_
#define ACCEL_NATIVE_BNN_PARAMS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bnn_network.h"

namespace bnn {

// How the quantity that thresholds are compared with is formed.
enum class Arithmetic {
    kPixels,   // 8-bit pixels times -1, 0 or +1
    kMatch,    // 1-bit inputs and weights: how many agree
    kSigned,   // 2-bit inputs times -1 or +1
    kTernary,  // 2-bit inputs times -1, 0 or +1
};

struct LayerParams {
    const Layer* layer = nullptr;
    Arithmetic arithmetic = Arithmetic::kMatch;

    // Words for each row; 64 columns a word, the first one in bit 0. kPixels: one word holds all
    // columns.
    int words = 0;
    std::vector<uint64_t> sign;  // 1: the weight is +1. rows x words
    std::vector<uint64_t>
        nonzero;  // 1: the weight is not 0; all ones for 1-bit weights. rows x words

    // A neuron's output level is (value > low) + (value > high), where value is: for kPixels the
    // sum of weight times pixel level 0..255; for kMatch how many columns agree; else the signed
    // sum. One threshold: high is not used. No thresholds: both are empty.
    std::vector<int32_t> low, high;
    int planes() const { return layer->thresholds; }
};

struct Params {
    const Network* network = nullptr;
    std::vector<LayerParams> layers;
    std::string warning;  // lines; "" for none
};

enum class Sizes {
    kChecked,  // only a last layer with fewer neurons may be short
    kAny,  // as the reference: what is missing is zero, what is too much is ignored; but -2 is no
           // weight
    kNoFiles,  // nothing is read, everything is zero: a reference library before its first load
};

// Reads a folder. On failure returns false and says why; `params` is then of no use.
bool ReadParams(const Network& network, const std::string& folder, Sizes sizes, Params* params,
                std::string* error);

}  // namespace bnn

#endif  // ACCEL_NATIVE_BNN_PARAMS_H_
