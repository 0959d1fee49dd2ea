// Sources: the Vitis data-compression documents of 2020 (`docs/source/results.rst`,
// `L1/include/hw/`), as collected in the project's notes on the Vitis gzip ABI; PCIe from measured
// DMA rates of such cards.
#include "timing.h"

#include <algorithm>

#include "gzip_card.h"

namespace accel_gzip {
namespace {

constexpr double kClockHz = 285e6;          // results.rst: 284-289 MHz on an Alveo U200
constexpr double kDictionaryCycles = 4096;  // an engine clears its 4,096 rows before each block
constexpr double kEfficiency = 0.88;        // results.rst: 2 GB/s of the peak 8 x 285 MB/s
constexpr double kPcieBytesPerS = 11e9;     // gen3 x16: 10-12 GB/s each way
constexpr double kKernelStartS = 50e-6;     // an OpenCL kernel start takes 30-100 us
constexpr double kInflateBytesPerS =
    736e6;                                 // results.rst: GZip decompress, 32-bit, bytes of output
constexpr uint64_t kInflateIn = 8u << 20;  // the FULL kernel's streams: 8 MiB in, 16 MiB out
constexpr uint64_t kInflateOut = 16u << 20;

// One byte a clock in each engine; the brick waits for the engine with the largest block. The
// Huffman kernel takes a token a clock, at worst one for each byte: the same rule.
double StageSeconds(size_t largest_block) {
    double cycles = kDictionaryCycles + static_cast<double>(largest_block);
    return kKernelStartS + cycles / kClockHz / kEfficiency;
}

double PcieSeconds(uint64_t bytes) { return static_cast<double>(bytes) / kPcieBytesPerS; }

}  // namespace

void TimingModel::BeginCompress() { pipeline_ = {}; }

// A stage starts when its input is ready, when it is done with the brick before, and when its
// output buffer is free, that is when the next stage is done with the brick before that: two bricks
// in flight.
void TimingModel::AddBrick(size_t bytes_in, size_t largest_block, size_t bytes_out) {
    const size_t now = pipeline_.brick++ & 1;
    const size_t before = now ^ 1;
    Pair& to_card = pipeline_.to_card;
    Pair& lz77 = pipeline_.lz77;
    Pair& huffman = pipeline_.huffman;
    Pair& to_host = pipeline_.to_host;
    const double stage = StageSeconds(largest_block);
    to_card[now] = std::max(to_card[before], lz77[now]) + PcieSeconds(bytes_in);
    lz77[now] = std::max({to_card[now], lz77[before], huffman[now]}) + stage;
    huffman[now] = std::max({lz77[now], huffman[before], to_host[now]}) + stage;
    to_host[now] = std::max(huffman[now], to_host[before]) + PcieSeconds(bytes_out);
}

// The host waits for both bricks before a call returns.
void TimingModel::EndCompress() {
    total_ += std::max(pipeline_.to_host[0], pipeline_.to_host[1]);
    pipeline_ = {};
}

// Transfers are hidden behind the kernel but for the first buffer in and the last one out, which is
// read back whole.
void TimingModel::AddDecompress(uint64_t bytes_in, uint64_t bytes_out) {
    total_ += kKernelStartS + PcieSeconds(std::min(bytes_in, kInflateIn)) +
              static_cast<double>(bytes_out) / kInflateBytesPerS + PcieSeconds(kInflateOut);
}

}  // namespace accel_gzip
