// What the native tests of the bnn family share: checks, random numbers, files, and a naive model
// of the networks to compare with. The model knows the layers from the library's own table, which
// the Python tests compare with the published one.
#ifndef ACCEL_TESTS_NATIVE_BNN_COMMON_H_
#define ACCEL_TESTS_NATIVE_BNN_COMMON_H_

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bnn.h"

#define CHECK(condition) Check((condition), #condition, __FILE__, __LINE__)

inline thread_local std::string g_case;

inline void Check(bool ok, const char* what, const char* file, int line) {
    if (ok) return;
    std::fprintf(stderr, "%s:%d: %s [%s]\n", file, line, what, g_case.c_str());
    std::_Exit(1);
}

// SplitMix64: the same numbers everywhere.
struct Random {
    uint64_t state;
    uint64_t Next() {
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
    uint64_t Below(uint64_t n) { return Next() % n; }
    // About normal: the sum of twelve numbers from 0 to 1, less their mean.
    double Normal() {
        double sum = -6;
        for (int i = 0; i < 12; ++i) sum += static_cast<double>(Next() >> 11) / 9007199254740992.0;
        return sum;
    }
};

// ---- Files

using Bytes = std::vector<uint8_t>;

inline void WriteFile(const std::string& path, const Bytes& data) {
    FILE* file = std::fopen(path.c_str(), "wb");
    CHECK(file != nullptr);
    CHECK(std::fwrite(data.data(), 1, data.size(), file) == data.size());
    CHECK(std::fclose(file) == 0);
}

inline Bytes ReadFile(const std::string& path) {
    struct stat status;
    CHECK(stat(path.c_str(), &status) == 0);
    Bytes data(static_cast<size_t>(status.st_size));
    FILE* file = std::fopen(path.c_str(), "rb");
    CHECK(file != nullptr);
    CHECK(std::fread(data.data(), 1, data.size(), file) == data.size());
    std::fclose(file);
    return data;
}

inline void MakeFolder(const std::string& path) { CHECK(mkdir(path.c_str(), 0700) == 0); }

inline int CountDescriptors() {
    DIR* folder = opendir("/proc/self/fd");
    CHECK(folder != nullptr);
    int count = 0;
    while (readdir(folder)) ++count;
    closedir(folder);
    return count;
}

// ---- The naive model

struct NaiveLayer {
    accel_bnn_layer facts;
    std::vector<int8_t> weights;      // rows x columns
    std::vector<int32_t> thresholds;  // rows x facts.thresholds
};

struct Naive {
    accel_bnn_network facts;
    std::vector<NaiveLayer> layers;

    explicit Naive(int network) {
        CHECK(accel_bnn_network_at(network, &facts) == ACCEL_BNN_OK);
        layers.resize(static_cast<size_t>(facts.layers));
        for (int i = 0; i < facts.layers; ++i)
            CHECK(accel_bnn_layer_at(network, i, &layers[i].facts) == ACCEL_BNN_OK);
    }

    size_t ImageBytes() const { return size_t(facts.height) * facts.width * facts.channels; }

    bool IsTwoBit() const { return layers[0].facts.thresholds == 2; }

    // Fills in parameters: any weights, thresholds where accumulators mostly are, some far outside.
    void Randomise(Random& random) {
        for (NaiveLayer& layer : layers) {
            const accel_bnn_layer& f = layer.facts;
            layer.weights.resize(size_t(f.rows) * f.columns);
            for (int8_t& weight : layer.weights) {
                weight = f.weight_bits == 1 ? static_cast<int8_t>(random.Below(2) * 2) - 1
                                            : static_cast<int8_t>(random.Below(3)) - 1;
            }
            layer.thresholds.resize(size_t(f.rows) * f.thresholds);
            const double root = std::sqrt(f.columns);
            const bool pixels = f.input_bits == 8, counts = !pixels && !IsTwoBit();
            for (int32_t& threshold : layer.thresholds) {
                double value = random.Normal() * (pixels ? 148 * root : counts ? root / 2 : root);
                if (counts) value += f.columns / 2;
                const int32_t ends[] = {-32768, -1, 0, 32767};
                threshold = random.Below(20) ? static_cast<int32_t>(std::lround(value))
                                             : ends[random.Below(4)];
            }
        }
    }

    void Write(const std::string& folder) const {
        for (size_t i = 0; i < layers.size(); ++i) WriteLayer(folder, i);
    }

    // All 64 outputs of an image, after thresholds where the last layer has any.
    std::vector<int32_t> Run(const uint8_t* image) const {
        std::vector<int32_t> values(image, image + ImageBytes());
        for (int32_t& value : values) {
            if (!facts.has_scores) {
                value = value >= 128 ? 1 : -1;
            } else {
                value = value < 128 ? value - 128 : std::min(value - 127, 127);
            }
        }
        if (!facts.has_scores) values.resize(832, -1);
        for (const NaiveLayer& layer : layers) values = Apply(layer, values);
        CHECK(values.size() == 64);
        return values;
    }

    static uint64_t Word(const std::vector<int32_t>& outputs) {
        uint64_t word = 0;
        for (int i = 0; i < 64; ++i) word |= uint64_t{outputs[i] > 0} << i;
        return word;
    }

  private:
    void WriteLayer(const std::string& folder, size_t index) const {
        const NaiveLayer& layer = layers[index];
        const accel_bnn_layer& f = layer.facts;
        const std::string stem = folder + "/" + std::to_string(index) + "-";
        for (int pe = 0; pe < f.pe; ++pe) {
            Bytes weights, thresholds;
            for (int row = pe; row < f.rows; row += f.pe) {
                for (int first = 0; first < f.columns; first += f.simd) {
                    uint64_t word = 0;
                    for (int lane = 0; lane < f.simd; ++lane) {
                        const int weight = layer.weights[size_t(row) * f.columns + first + lane];
                        const uint64_t code = f.weight_bits == 1 ? weight > 0 : weight & 3;
                        word |= code << (lane * f.weight_bits);
                    }
                    Append(word, &weights);
                }
                for (int t = 0; t < f.thresholds; ++t) {
                    const int32_t threshold = layer.thresholds[size_t(row) * f.thresholds + t];
                    Append(static_cast<uint64_t>(int64_t{threshold}), &thresholds);
                }
            }
            WriteFile(stem + std::to_string(pe) + "-weights.bin", weights);
            if (f.thresholds) WriteFile(stem + std::to_string(pe) + "-thres.bin", thresholds);
        }
    }

    static void Append(uint64_t word, Bytes* data) {
        for (int i = 0; i < 8; ++i) data->push_back(static_cast<uint8_t>(word >> 8 * i));
    }

    std::vector<int32_t> Apply(const NaiveLayer& layer, const std::vector<int32_t>& in) const {
        const accel_bnn_layer& f = layer.facts;
        const int dim = f.kernel == 3 ? f.output_dim : 1;
        std::vector<int32_t> out(size_t(dim) * dim * f.rows);
        std::vector<int32_t> window(static_cast<size_t>(f.columns));
        for (int y = 0; y < dim; ++y) {
            for (int x = 0; x < dim; ++x) {
                if (f.kernel == 3) {
                    for (int ky = 0; ky < 3; ++ky) {
                        const size_t from = (size_t(y + ky) * f.input_dim + x) * f.input_channels;
                        std::copy_n(&in[from], 3 * f.input_channels,
                                    &window[size_t(ky) * 3 * f.input_channels]);
                    }
                } else {
                    window = in;
                }
                for (int row = 0; row < f.rows; ++row)
                    out[(size_t(y) * dim + x) * f.rows + row] = Neuron(layer, row, window);
            }
        }
        return f.pool == 2 ? Pool(out, dim, f.rows) : out;
    }

    int32_t Neuron(const NaiveLayer& layer, int row, const std::vector<int32_t>& window) const {
        const accel_bnn_layer& f = layer.facts;
        const int8_t* weights = &layer.weights[size_t(row) * f.columns];
        const int32_t* inputs = window.data();
        int32_t sum = 0;
        for (int k = 0; k < f.columns; ++k) sum += weights[k] * inputs[k];
        if (f.input_bits == 8) {
            sum *= 2;
        } else if (!IsTwoBit()) {
            sum = (sum + f.columns) / 2;
        }
        if (f.thresholds == 0) return sum;
        int exceeded = 0;
        for (int t = 0; t < f.thresholds; ++t)
            exceeded += sum > layer.thresholds[size_t(row) * f.thresholds + t];
        return f.thresholds == 1 ? 2 * exceeded - 1 : exceeded - 1;
    }

    static std::vector<int32_t> Pool(const std::vector<int32_t>& in, int dim, int channels) {
        const int half = dim / 2;
        std::vector<int32_t> out(size_t(half) * half * channels, -1);
        for (int y = 0; y < dim; ++y)
            for (int x = 0; x < dim; ++x)
                for (int c = 0; c < channels; ++c) {
                    int32_t& best = out[(size_t(y / 2) * half + x / 2) * channels + c];
                    best = std::max(best, in[(size_t(y) * dim + x) * channels + c]);
                }
        return out;
    }
};

// A picture of one of several kinds.
inline Bytes Picture(const Naive& naive, Random& random) {
    Bytes image(naive.ImageBytes());
    const uint64_t kind = random.Below(4), level = random.Below(256);
    for (size_t i = 0; i < image.size(); ++i) {
        const uint64_t value = kind == 0   ? random.Next()
                               : kind == 1 ? random.Below(2) * 255
                               : kind == 2 ? i * 256 / image.size() + random.Below(40)
                                           : level;
        image[i] = static_cast<uint8_t>(value);
    }
    return image;
}

// ---- Decisions, word by word from the description

inline int FirstMaximum(const std::vector<int32_t>& scores, int count) {
    return static_cast<int>(std::max_element(scores.begin(), scores.begin() + count) -
                            scores.begin());
}

inline int FirstPositiveMaximum(const std::vector<int32_t>& scores, int count) {
    const int best = FirstMaximum(scores, count);
    return scores[best] > 0 ? best : 0;
}

inline int HighestBit(uint64_t word) {
    int bit = 0;
    for (int i = 0; i < 64; ++i)
        if (word >> i & 1) bit = i;
    return bit;
}

// log2 rounded to nearest: one more than the highest bit where the word is above 2^(bit + 1/2).
inline int RoundedLog2(uint64_t word) {
    const int bit = HighestBit(word);
    return bit + (std::ldexp(static_cast<long double>(word), -bit) > std::sqrt(2.0L) ? 1 : 0);
}

inline int Decide(const std::vector<int32_t>& outputs, bool has_scores, int number_class,
                  int decision) {
    if (has_scores) {
        return decision == ACCEL_BNN_MULTIPLE ? FirstPositiveMaximum(outputs, number_class)
                                              : FirstMaximum(outputs, number_class);
    }
    const uint64_t mask = number_class == 64 ? ~uint64_t{0} : (uint64_t{1} << number_class) - 1;
    const uint64_t word = Naive::Word(outputs) & mask;
    return decision == ACCEL_BNN_MULTIPLE ? HighestBit(word) : RoundedLog2(word);
}

#endif  // ACCEL_TESTS_NATIVE_BNN_COMMON_H_
