// How long the FPGA design of a network takes: a pipeline with a stage for each layer (FINN's
// dataflow style).
//
// A layer's stage takes (neuron folds) x (synapse folds) cycles for each output pixel. The images
// follow each other through the stages, so the slowest stage sets the rate: 32,768 cycles in
// cnvW1A1, 3,052 images a second at 100 MHz, where 2,945 to 3,021 were published for a U50. The
// first image's way through all stages comes on top once for each call.
#include <algorithm>

#include "bnn_timing.h"

namespace bnn {
namespace {

constexpr double kClockHz = 100e6;  // of the published boards
constexpr int64_t kBusBytes = 8;    // per cycle, from memory into the first stage

int64_t Cycles(const Layer& layer) {
    return int64_t{NeuronFolds(layer)} * SynapseFolds(layer) * OutputPixels(layer);
}

int64_t TransferCycles(const Network& network) {
    return (network.PixelBytes() + kBusBytes - 1) / kBusBytes;
}

int64_t SlowestStage(const Network& network) {
    int64_t slowest = TransferCycles(network);
    for (int i = 0; i < network.LayerCount(); ++i)
        slowest = std::max(slowest, Cycles(network.layers[i]));
    return slowest;
}

// When the last result of one image leaves the last stage, with all stages idle before. A
// convolution starts when the first window of its input is there, which is two rows and three
// pixels; a fully connected layer when all of it is. No stage ends before its input did and the
// last pixel's work was done on it.
int64_t FirstImageCycles(const Network& network) {
    int64_t input_start = 0, input_end = TransferCycles(network);
    for (int i = 0; i < network.LayerCount(); ++i) {
        const Layer& layer = network.layers[i];
        const int64_t pixels = int64_t{layer.input_dim} * layer.input_dim;
        const int64_t needed = layer.kernel == 1 ? pixels : 2 * layer.input_dim + 3;
        const int64_t start = input_start + (input_end - input_start) * needed / pixels;
        const int64_t end =
            std::max(start + Cycles(layer), input_end + Cycles(layer) / OutputPixels(layer));
        input_start = start;
        input_end = end;
    }
    return input_end;
}

}  // namespace

double CallSeconds(const Network& network, uint64_t images) {
    if (images == 0) return 0;
    const double cycles =
        static_cast<double>(FirstImageCycles(network)) +
        static_cast<double>(images - 1) * static_cast<double>(SlowestStage(network));
    return cycles / kClockHz;
}

}  // namespace bnn
