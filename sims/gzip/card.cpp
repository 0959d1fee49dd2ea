// The simulated card: the two compress kernels, the decompress kernel and their modelled time.
//
// It computes in the calling thread. The kernels keep their faults: what hangs on the card is
// refused here, with a text that says so, because a caller must not send it.
#include <algorithm>

#include "gzip_card.h"
#include "huffman.h"
#include "inflate.h"
#include "lz77.h"
#include "timing.h"

namespace accel_gzip {
namespace {

class SimulatedCard final : public Card {
  public:
    explicit SimulatedCard(DecompressKernel kernel) : inflater_(kernel) {}

    const char* RefusalOf(uint64_t input_bytes) const override {
        if (input_bytes == 0) return "the input is empty: the card would encode zero bytes";
        if (input_bytes > UINT32_MAX)
            return "the input is above 4 GiB - 1: the card's offsets are 32 bit";
        uint64_t last = input_bytes % kBlockBytes;
        if (last != 0 && last < kBlockTailBytes) {
            return "the last block is shorter than 64 bytes: the LZ77 kernel would run away";
        }
        return nullptr;
    }

    void BeginCompress() override { timing_.BeginCompress(); }

    size_t CompressBrick(const uint8_t* in, size_t size, uint8_t* out) override {
        if (size > kBrickBytes || RefusalOf(size)) return 0;
        size_t written = 0;
        for (size_t at = 0; at < size; at += kBlockBytes) {
            size_t block = std::min(kBlockBytes, size - at);
            written += EncodeBlock(lz77_.Run(in + at, block), out + written);
        }
        timing_.AddBrick(size, std::min(size, kBlockBytes), written);
        return written;
    }

    void EndCompress() override { timing_.EndCompress(); }

    InflateResult Inflate(ByteSource& in, ByteSink& out, uint64_t max_output) override {
        InflateResult result = inflater_.Run(in, out, max_output);
        timing_.AddDecompress(result.bytes_in, result.bytes_out);
        return result;
    }

    double DeviceSeconds() const override { return timing_.Seconds(); }

  private:
    Lz77 lz77_;
    Inflater inflater_;
    TimingModel timing_;
};

}  // namespace

std::unique_ptr<Card> OpenCard(DecompressKernel kernel) {
    return std::make_unique<SimulatedCard>(kernel);
}

}  // namespace accel_gzip
