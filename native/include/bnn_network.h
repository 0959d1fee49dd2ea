// The networks: one table, from which loading, inference and the timing model are derived.
#ifndef ACCEL_NATIVE_BNN_NETWORK_H_
#define ACCEL_NATIVE_BNN_NETWORK_H_

#include <cstdint>
#include <string_view>

#include "bnn.h"

namespace bnn {

using Layer = accel_bnn_layer;

constexpr int kOutputs = 64;  // neurons of every last layer
constexpr int kMaxLayers = 9;
constexpr int kRecordLabel = 1;  // bytes before the planes of a CIFAR-10 record

struct Network {
    accel_bnn_network facts;
    Layer layers[kMaxLayers];

    constexpr int LayerCount() const { return facts.layers; }
    constexpr bool HasScores() const { return facts.has_scores != 0; }
    constexpr int64_t PixelBytes() const {
        return int64_t{facts.height} * facts.width * facts.channels;
    }
};

constexpr int NeuronFolds(const Layer& layer) { return layer.rows / layer.pe; }
constexpr int SynapseFolds(const Layer& layer) { return layer.columns / layer.simd; }
constexpr int OutputPixels(const Layer& layer) { return layer.output_dim * layer.output_dim; }

int NetworkCount();
const Network& NetworkAt(int index);
const Network* FindNetwork(std::string_view name);  // nullptr: there is none

}  // namespace bnn

#endif  // ACCEL_NATIVE_BNN_NETWORK_H_
