// What the gzip host library (native/gzip) needs from a card, and all it knows of one.
//
// The host library frames files and checks arguments; a card turns bytes into deflate blocks and
// back. sims/gzip implements a simulated card. Sizes are bytes. Nothing here is thread-safe.
#ifndef ACCEL_NATIVE_GZIP_CARD_H_
#define ACCEL_NATIVE_GZIP_CARD_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace accel_gzip {

// BLOCK_SIZE_IN_KB 1024 and PARALLEL_BLOCK 8 of the 2020 kernels: one engine compresses one block,
// one host buffer ("brick") feeds all eight engines.
constexpr size_t kBlockBytes = size_t{1} << 20;
constexpr size_t kEngines = 8;
constexpr size_t kBrickBytes = kBlockBytes * kEngines;

// The last 64 bytes of a block are never matched; the kernels count to `block size - 64` unsigned.
constexpr size_t kBlockTailBytes = 64;

// Room CompressBrick needs for its output: 2 x input as the vendor's host code gives it, and some
// bytes for wide stores behind the end.
constexpr size_t CompressedCapacity(size_t input_bytes) {
    return 2 * input_bytes + 1024 * (input_bytes / kBlockBytes + 1);
}

class ByteSource {
  public:
    virtual ~ByteSource() = default;
    // Read up to `size` bytes. Returns how many, 0 only at the end, or -1 when reading failed.
    virtual ptrdiff_t Read(uint8_t* data, size_t size) = 0;
};

class ByteSink {
  public:
    virtual ~ByteSink() = default;
    // Take all of `size` bytes. Returns false when that failed.
    virtual bool Write(const uint8_t* data, size_t size) = 0;
};

// The decompress kernel in the bitstream; the values are d_type's.
enum class DecompressKernel : uint8_t { kDynamic = 0, kFixed = 1, kFull = 2 };

struct InflateResult {
    const char* error;  // NULL when the stream ended well; static text
    uint64_t bytes_in;  // bytes from the start of the payload to the end of its last block
    uint64_t bytes_out;
};

class Card {
  public:
    virtual ~Card() = default;

    // Why the card cannot compress an input of this size, or NULL. Static text.
    virtual const char* RefusalOf(uint64_t input_bytes) const = 0;

    // One compress call is Begin, every brick in order (only the last below kBrickBytes), End.
    virtual void BeginCompress() = 0;
    // Returns the bytes written to `out`, which has CompressedCapacity(size) of them; 0 on failure.
    virtual size_t CompressBrick(const uint8_t* in, size_t size, uint8_t* out) = 0;
    virtual void EndCompress() = 0;

    // Decode one raw deflate stream. Fails beyond `max_output` bytes; the sink may have got more.
    virtual InflateResult Inflate(ByteSource& in, ByteSink& out, uint64_t max_output) = 0;

    // Modelled seconds of all finished calls.
    virtual double DeviceSeconds() const = 0;
};

// Throws std::bad_alloc. Defined by the card's own sources: a library links exactly one card.
std::unique_ptr<Card> OpenCard(DecompressKernel kernel);

}  // namespace accel_gzip

#endif  // ACCEL_NATIVE_GZIP_CARD_H_
