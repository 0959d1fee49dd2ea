#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

namespace bnn {
namespace {

// A block's activations stay in L2; the weights of the fully connected layers, read once for each
// block, are shared by more images the more there are.
constexpr int kCnvBlock = 16;
constexpr int kLfcBlock = 128;

// Words of a pixel's activations (or of a fully connected layer's) in one plane.
int ChannelWords(const Layer& layer) {
    return layer.kernel == 3 ? layer.input_channels / 64 : layer.columns / 64;
}

int PooledDim(const Layer& layer) { return layer.output_dim / layer.pool; }

// Words of a layer's output for one image, before pooling.
int64_t OutputWords(const Layer& layer) {
    return int64_t{OutputPixels(layer)} * (layer.rows / 64) * layer.thresholds;
}

void LevelsOfPixels(const uint8_t* pixels, unsigned char* out) {
    for (int i = 0; i < kImageBytes; ++i) out[i] = Level(pixels[i]);
}

// Binarises an LFC's image: 784 pixels, bit 1 for 128 and more; columns behind them are 0.
void PackDigit(const uint8_t* pixels, int words, uint64_t* out) {
    constexpr int kPixels = 28 * 28;
    static_assert(kPixels % 8 == 0, "read in words");
    for (int k = 0; k < words; ++k) out[k] = 0;
    for (int i = 0; i < kPixels; i += 8) {
        uint64_t eight = 0;
        for (int j = 0; j < 8; ++j) eight |= uint64_t{pixels[i + j]} << (8 * j);
        // The top bits of eight bytes, brought side by side by a multiplication.
        const uint64_t bits = ((eight >> 7 & 0x0101010101010101) * 0x0102040810204080) >> 56;
        out[i / 64] |= bits << (i % 64);
    }
}

// Max-pool 2x2: the OR of activations' planes.
void Pool(const uint64_t* in, int dim, int words, uint64_t* out) {
    for (int y = 0; y < dim; y += 2)
        for (int x = 0; x < dim; x += 2) {
            const uint64_t* top = in + (int64_t{y} * dim + x) * words;
            const uint64_t* bottom = top + int64_t{dim} * words;
            for (int k = 0; k < words; ++k)
                *out++ = top[k] | top[words + k] | bottom[k] | bottom[words + k];
        }
}

}  // namespace

int BlockImages(const Network& network) { return network.HasScores() ? kCnvBlock : kLfcBlock; }

Scratch::Scratch(const Network& network) {
    int64_t most = network.HasScores() ? 0 : network.layers[0].columns / 64;
    for (int i = 0; i < network.LayerCount(); ++i)
        most = std::max(most, OutputWords(network.layers[i]));
    const int block = BlockImages(network);
    memset(image, 0, sizeof image);
    input.resize(most * block);
    output.resize(most * block);
    scores.resize(network.HasScores() ? int64_t{kOutputs} * block : 0);
    words.resize(network.HasScores() ? 0 : block);
}

Model::Model(const Params& params, const Isa& isa)
    : network_(*params.network), block_(BlockImages(*params.network)) {
    const int count = network_.LayerCount();
    layers_.resize(count);
    planes_in_.resize(count);
    offsets_.resize(count);
    for (int i = 0; i < count; ++i) {
        const Layer& layer = network_.layers[i];
        layers_[i] = isa.pack(params.layers[i]);
        if (layer.input_bits == 8) continue;
        planes_in_[i] = layer.input_bits;
        const int pixel_words = ChannelWords(layer) * planes_in_[i];
        const int image_words = pixel_words * layer.input_dim * layer.input_dim;
        for (int image = 0; image < block_; ++image)
            for (int y = 0; y < layer.output_dim; ++y)
                for (int x = 0; x < layer.output_dim; ++x)
                    offsets_[i].push_back(image * image_words +
                                          (y * layer.input_dim + x) * pixel_words);
    }
}

void Model::Run(const uint8_t* images, int64_t stride, bool planar, int count, Scratch* scratch,
                int32_t* scores, uint64_t* words) const {
    RunFirst(images, stride, planar, count, scratch);
    const int last = network_.LayerCount() - 1;
    for (int i = network_.HasScores() ? 1 : 0; i <= last; ++i) {
        if (network_.layers[i].thresholds) {
            RunLayer(i, count, scratch);
            continue;
        }
        const int run = ChannelWords(network_.layers[i]) * planes_in_[i];
        layers_[i]->RunScores({scratch->input.data(), offsets_[i].data(), count, 1, run, 0}, scores,
                              &scratch->panel);
    }
    if (!network_.HasScores()) std::copy_n(scratch->input.data(), count, words);
}

// From images to the first layer's inputs of bit planes.
void Model::RunFirst(const uint8_t* images, int64_t stride, bool planar, int count,
                     Scratch* scratch) const {
    const Layer& layer = network_.layers[0];
    for (int i = 0; i < count; ++i, images += stride) {
        if (!network_.HasScores()) {
            const int words = layer.columns / 64;
            PackDigit(images, words, scratch->input.data() + int64_t{i} * words);
            continue;
        }
        if (planar) {
            layers_[0]->PlanesToLevels(images, scratch->image);
        } else {
            LevelsOfPixels(images, scratch->image);
        }
        layers_[0]->RunPixels(scratch->image, scratch->input.data() + i * OutputWords(layer),
                              &scratch->panel);
    }
}

// A layer of bit planes: from scratch->input to scratch->input.
void Model::RunLayer(int index, int count, Scratch* scratch) const {
    const Layer& layer = network_.layers[index];
    const int pixel_words = ChannelWords(layer) * planes_in_[index];
    const Windows windows = {scratch->input.data(),       offsets_[index].data(),
                             count * OutputPixels(layer), layer.kernel,
                             layer.kernel * pixel_words,  layer.input_dim * pixel_words};
    layers_[index]->RunBits(windows, scratch->output.data(), &scratch->panel);
    if (layer.pool == 1) {
        scratch->input.swap(scratch->output);
        return;
    }
    const int words = layer.rows / 64 * layer.thresholds;
    for (int i = 0; i < count; ++i)
        Pool(scratch->output.data() + i * OutputWords(layer), layer.output_dim, words,
             scratch->input.data() + int64_t{i} * PooledDim(layer) * PooledDim(layer) * words);
}

int32_t DecideScores(const int32_t* scores, int count, int decision) {
    int32_t best = decision == ACCEL_BNN_MULTIPLE ? 0 : scores[0], chosen = 0;
    for (int i = 0; i < count; ++i) {
        if (scores[i] > best) {
            best = scores[i];
            chosen = i;
        }
    }
    return chosen;
}

int32_t DecideWord(uint64_t word, int count, int decision) {
    const uint64_t masked = count >= 64 ? word : word & ((uint64_t{1} << count) - 1);
    if (masked == 0) return 0;
    if (decision != ACCEL_BNN_SINGLE) return 63 - __builtin_clzll(masked);
    return static_cast<int32_t>(lround(log2(static_cast<double>(masked))));
}

std::unique_ptr<Scratch> ScratchPool::Take() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!free_.empty()) {
            std::unique_ptr<Scratch> scratch = std::move(free_.back());
            free_.pop_back();
            return scratch;
        }
        free_.reserve(made_ + 1);
        ++made_;
    }
    return std::make_unique<Scratch>(network_);
}

void ScratchPool::Give(std::unique_ptr<Scratch> scratch) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(scratch));
}

const Isa* ChooseIsa(const char* name, std::string* error) {
    const char* wanted = name ? name : getenv("ACCEL_BNN_ISA");
    std::string supported;
    for (const Isa* isa : kIsas) {
        if (!isa->supported()) {
            if (wanted && strcmp(wanted, isa->name) == 0) {
                *error = std::string("this CPU does not have ") + isa->name;
                continue;
            }
            continue;
        }
        if (!wanted || (!name && !*wanted) || strcmp(wanted, isa->name) == 0) return isa;
        supported += std::string(supported.empty() ? "" : ", ") + isa->name;
    }
    if (error->empty()) *error = std::string("there is no instruction set ") + wanted;
    *error += "; it can use " + supported;
    return nullptr;
}

}  // namespace bnn
