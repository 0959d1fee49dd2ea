#include "params.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace bnn {
namespace {

constexpr int64_t kWordBytes = 8;

enum class Content { kWeights, kThresholds };

int64_t WeightWords(const Layer& layer) {
    return int64_t{NeuronFolds(layer)} * SynapseFolds(layer);
}
int64_t ThresholdWords(const Layer& layer) {
    return int64_t{NeuronFolds(layer)} * layer.thresholds;
}
int64_t Words(const Layer& layer, Content content) {
    return content == Content::kWeights ? WeightWords(layer) : ThresholdWords(layer);
}

std::string FileName(int layer, int pe, Content content) {
    return std::to_string(layer) + "-" + std::to_string(pe) +
           (content == Content::kWeights ? "-weights.bin" : "-thres.bin");
}

std::string Join(const std::string& folder, const std::string& name) {
    return !folder.empty() && folder.back() == '/' ? folder + name : folder + "/" + name;
}

// A descriptor that closes itself.
class File {
  public:
    explicit File(const std::string& path)
        : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~File() {
        if (fd_ >= 0) close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    // Its size; -1 with errno set when it is no regular file that can be read: ENODATA for a pipe
    // or a device node.
    int64_t Size() const {
        struct stat status;
        if (fd_ < 0 || fstat(fd_, &status) != 0) return -1;
        if (S_ISREG(status.st_mode)) return status.st_size;
        errno = S_ISDIR(status.st_mode) ? EISDIR : ENODATA;
        return -1;
    }

    // Reads from the start until `bytes` or the end; -1 with errno set on failure.
    int64_t Read(void* target, int64_t bytes) const {
        int64_t done = 0;
        while (done < bytes) {
            const ssize_t got = read(fd_, static_cast<char*>(target) + done, bytes - done);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return -1;
            if (got == 0) break;
            done += got;
        }
        return done;
    }

  private:
    int fd_;
};

uint64_t LittleEndian(const unsigned char* bytes) {
    uint64_t word = 0;
    for (int i = 0; i < kWordBytes; ++i) word |= uint64_t{bytes[i]} << (8 * i);
    return word;
}

int64_t SignExtended(uint64_t word, int bits) {
    const uint64_t sign = uint64_t{1} << (bits - 1);
    const uint64_t low = word & ((sign << 1) - 1);
    return static_cast<int64_t>((low ^ sign) - sign);
}

int64_t FloorHalf(int64_t value) { return value >= 0 ? value / 2 : -((1 - value) / 2); }

int32_t Clamped(int64_t value, int64_t least, int64_t most) {
    return static_cast<int32_t>(std::clamp(value, least, most));
}

class Reader {
  public:
    Reader(const Network& network, const std::string& folder, Sizes sizes, std::string* error)
        : network_(network), folder_(folder), sizes_(sizes), error_(error) {}

    bool Read(Params* params) {
        params->network = &network_;
        params->warning.clear();
        params->layers.clear();
        params->layers.resize(network_.LayerCount());
        for (int i = 0; i < network_.LayerCount(); ++i)
            if (!ReadLayer(i, &params->layers[i])) return false;
        params->warning = warning_;
        return true;
    }

  private:
    bool IsLast(int index) const { return index == network_.LayerCount() - 1; }

    bool ReadLayer(int index, LayerParams* out) {
        const Layer& layer = network_.layers[index];
        out->layer = &layer;
        out->arithmetic = layer.input_bits == 8    ? Arithmetic::kPixels
                          : layer.input_bits == 1  ? Arithmetic::kMatch
                          : layer.weight_bits == 1 ? Arithmetic::kSigned
                                                   : Arithmetic::kTernary;
        out->words = (layer.columns + 63) / 64;
        out->sign.assign(size_t(layer.rows) * out->words, 0);
        out->nonzero.assign(size_t(layer.rows) * out->words, 0);
        first_file_.clear();
        folds_found_ = NeuronFolds(layer);
        for (int pe = 0; pe < layer.pe; ++pe) {
            const std::string name = FileName(index, pe, Content::kWeights);
            if (!ReadWords(index, name, Content::kWeights) || !Unpack(name, pe, out)) return false;
        }
        if (layer.thresholds) {
            std::vector<int64_t> raw(size_t(layer.rows) * layer.thresholds);
            for (int pe = 0; pe < layer.pe; ++pe) {
                if (!ReadWords(index, FileName(index, pe, Content::kThresholds),
                               Content::kThresholds))
                    return false;
                for (int fold = 0; fold < NeuronFolds(layer); ++fold)
                    for (int t = 0; t < layer.thresholds; ++t)
                        raw[size_t(fold * layer.pe + pe) * layer.thresholds + t] = SignExtended(
                            words_[fold * layer.thresholds + t], layer.input_bits == 8 ? 24 : 16);
            }
            SetThresholds(raw, out);
        }
        if (folds_found_ < NeuronFolds(layer)) WarnOfPadding(index);
        return true;
    }

    // Reads a file into words_, filled up with zeros.
    bool ReadWords(int index, const std::string& name, Content content) {
        const Layer& layer = network_.layers[index];
        const int64_t wanted = Words(layer, content) * kWordBytes;
        words_.assign(wanted / kWordBytes, 0);
        if (sizes_ == Sizes::kNoFiles) return true;
        const std::string path = Join(folder_, name);
        const File file(path);
        const int64_t size = file.Size();
        if (size < 0)
            return Fail("cannot read parameter file " + path + ": " +
                        (errno == ENODATA ? "not a regular file" : strerror(errno)));
        if (sizes_ == Sizes::kChecked && !CheckSize(index, content, path, size)) return false;
        bytes_.assign(wanted, 0);
        const int64_t got = file.Read(bytes_.data(), std::min(size, wanted));
        if (got < 0) return Fail("cannot read parameter file " + path + ": " + strerror(errno));
        if (sizes_ == Sizes::kChecked && got < std::min(size, wanted))
            return Fail("parameter file " + path + " became shorter while it was being read");
        for (size_t i = 0; i < words_.size(); ++i)
            words_[i] = LittleEndian(&bytes_[i * kWordBytes]);
        return true;
    }

    // A file must have its nominal size; or, in the last layer, that of fewer neurons (whole
    // folds), the same in all the layer's files.
    bool CheckSize(int index, Content content, const std::string& path, int64_t size) {
        const Layer& layer = network_.layers[index];
        const int64_t fold_bytes = Words(layer, content) / NeuronFolds(layer) * kWordBytes;
        const int64_t folds = size / fold_bytes;
        const bool fewer = IsLast(index) && folds >= 1 && folds < NeuronFolds(layer);
        if (size % fold_bytes || (folds != NeuronFolds(layer) && !fewer))
            return Fail("parameter file " + path + " has " + std::to_string(size) +
                        " bytes, expected " + std::to_string(fold_bytes * NeuronFolds(layer)) +
                        " for layer " + std::to_string(index) + " of " + network_.facts.name);
        if (first_file_.empty()) {
            first_file_ = path;
            folds_found_ = folds;
        }
        if (folds != folds_found_)
            return Fail("parameter file " + path + " has " + std::to_string(size) + " bytes, for " +
                        std::to_string(folds * layer.pe) + " neurons, but " + first_file_ +
                        " is for " + std::to_string(folds_found_ * layer.pe));
        return true;
    }

    void WarnOfPadding(int index) {
        const Layer& layer = network_.layers[index];
        warning_ += "layer " + std::to_string(index) + " has parameters for " +
                    std::to_string(folds_found_ * layer.pe) + " of its " +
                    std::to_string(layer.rows) + " neurons; the others read as zero\n";
    }

    // Puts words_, a file of weights, into its neurons' rows.
    bool Unpack(const std::string& name, int pe, LayerParams* out) {
        const Layer& layer = *out->layer;
        const int folds = SynapseFolds(layer);
        for (int fold = 0; fold < NeuronFolds(layer); ++fold) {
            const size_t row = size_t(fold * layer.pe + pe) * out->words;
            for (int sf = 0; sf < folds; ++sf) {
                const uint64_t word = words_[size_t(fold) * folds + sf];
                for (int lane = 0; lane < layer.simd; ++lane) {
                    const int column = sf * layer.simd + lane;
                    const uint64_t bit = uint64_t{1} << (column % 64);
                    const unsigned code =
                        static_cast<unsigned>(word >> (lane * layer.weight_bits)) &
                        ((1u << layer.weight_bits) - 1);
                    if (layer.weight_bits == 2 && code == 2)
                        return Fail("parameter file " + Join(folder_, name) +
                                    " has the weight -2 in word " +
                                    std::to_string(size_t(fold) * folds + sf) +
                                    "; only -1, 0 and 1 are weights");
                    if (code == 1) out->sign[row + column / 64] |= bit;
                    if (code || layer.weight_bits == 1) out->nonzero[row + column / 64] |= bit;
                }
            }
        }
        return true;
    }

    // Thresholds as cut from the file become bounds of LayerParams' value.
    void SetThresholds(const std::vector<int64_t>& raw, LayerParams* out) {
        const Layer& layer = *out->layer;
        const int count = layer.thresholds;
        out->low.resize(layer.rows);
        if (count == 2) out->high.resize(layer.rows);
        for (int row = 0; row < layer.rows; ++row) {
            // The output level counts thresholds that are exceeded, so their order does not matter.
            int64_t low = raw[size_t(row) * count], high = raw[size_t(row) * count + count - 1];
            if (low > high) std::swap(low, high);
            out->low[row] = Bound(*out, row, low);
            if (count == 2) out->high[row] = Bound(*out, row, high);
        }
    }

    int32_t Bound(const LayerParams& params, int row, int64_t threshold) const {
        const Layer& layer = *params.layer;
        const int64_t most = layer.input_bits == 8 ? 32767 : layer.columns;
        switch (params.arithmetic) {
            case Arithmetic::kPixels: {
                // Twice the sum of w*q is compared, and q is the pixel's level less 128.
                const uint64_t plus = params.sign[row], minus = params.nonzero[row] & ~plus;
                const int sum = __builtin_popcountll(plus) - __builtin_popcountll(minus);
                return Clamped(FloorHalf(threshold) + 128 * sum, -32768, most);
            }
            case Arithmetic::kMatch:
                // A network of 1-bit activations counts; one of 2-bit ones takes the signed sum
                // here too.
                if (network_.layers[0].thresholds == 2)
                    threshold = FloorHalf(threshold + layer.columns);
                return Clamped(threshold, -1, most);
            default:
                return Clamped(threshold, -layer.columns - 1, most);
        }
    }

    bool Fail(std::string text) {
        *error_ = std::move(text);
        return false;
    }

    const Network& network_;
    const std::string& folder_;
    const Sizes sizes_;
    std::string* error_;
    std::string warning_;
    std::vector<unsigned char> bytes_;
    std::vector<uint64_t> words_;
    std::string first_file_;   // of the layer that is being read
    int64_t folds_found_ = 0;  // neuron folds in it
};

// Whether a folder has a network's files in their nominal sizes, all layers but the last, which may
// have fewer neurons.
bool Fits(const Network& network, const std::string& folder) {
    for (int i = 0; i < network.LayerCount(); ++i) {
        const Layer& layer = network.layers[i];
        for (int pe = 0; pe < layer.pe; ++pe) {
            for (Content content : {Content::kWeights, Content::kThresholds}) {
                const int64_t wanted = Words(layer, content) * kWordBytes;
                if (wanted == 0 || i == network.LayerCount() - 1) continue;
                struct stat status;
                if (stat(Join(folder, FileName(i, pe, content)).c_str(), &status) != 0)
                    return false;
                if (status.st_size != wanted) return false;
            }
        }
    }
    return true;
}

std::string OtherNetwork(const Network& network, const std::string& folder) {
    for (int i = 0; i < NetworkCount(); ++i)
        if (&NetworkAt(i) != &network && Fits(NetworkAt(i), folder)) return NetworkAt(i).facts.name;
    return "";
}

}  // namespace

bool ReadParams(const Network& network, const std::string& folder, Sizes sizes, Params* params,
                std::string* error) {
    if (Reader(network, folder, sizes, error).Read(params)) return true;
    const std::string other = OtherNetwork(network, folder);
    if (!other.empty()) *error += "; the folder holds parameters of " + other;
    return false;
}

}  // namespace bnn
