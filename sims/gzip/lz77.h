// The LZ77 stage of one engine: a block of up to 1 MiB becomes literals, tokens and their
// frequencies.
#ifndef ACCEL_SIMS_GZIP_LZ77_H_
#define ACCEL_SIMS_GZIP_LZ77_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "gzip_card.h"

namespace accel_gzip {

constexpr unsigned kMaxMatch =
    255;  // MAX_MATCH_LEN of the booster stage: the token has 8 bits for it

// A run of literals, then a match (length 0: none). The kernels pass one 32-bit word for each
// literal as well; runs are the same stream with less memory traffic. run: 9 bits, length: 8,
// distance: 15.
struct Token {
    static constexpr uint32_t kMaxRun = 511;
    uint32_t word;

    static Token Make(uint32_t run, uint32_t length, uint32_t distance) {
        return {run | length << 9 | distance << 17};
    }
    uint32_t run() const { return word & kMaxRun; }
    uint32_t length() const { return word >> 9 & 0xff; }
    uint32_t distance() const { return word >> 17; }
};

// Deflate's distance symbol: two symbols for each power of two (RFC 1951, 3.2.5). A table of the
// distances up to 256, and of the others divided by 128: both halves are exact.
constexpr std::array<uint8_t, 512> MakeDistanceSymbols() {
    std::array<uint8_t, 512> table{};
    for (unsigned half = 0; half < 2; ++half) {
        for (unsigned i = 0; i < 256; ++i) {
            unsigned offset = half ? i << 7 : i;
            unsigned log = 0;
            while (offset >> (log + 1)) ++log;
            unsigned symbol = offset < 2 ? offset : 2 * log + (offset >> (log - 1) & 1);
            table[half * 256 + i] = static_cast<uint8_t>(symbol);
        }
    }
    return table;
}
inline constexpr std::array<uint8_t, 512> kDistanceSymbols = MakeDistanceSymbols();

inline unsigned DistanceSymbol(uint32_t distance) {
    uint32_t offset = distance - 1;
    return kDistanceSymbols[offset < 256 ? offset : 256 + (offset >> 7)];
}

// What the stage hands to the Huffman stage. `literals` are all bytes outside matches, in order.
struct Lz77Output {
    static constexpr size_t kSlack =
        64;  // bytes that wide copies and loads may touch behind the end
    static constexpr size_t kMaxTokens = kBlockBytes / 4 + kBlockBytes / Token::kMaxRun + 2;

    std::unique_ptr<uint8_t[]> literals{new uint8_t[kBlockBytes + kSlack]()};
    std::unique_ptr<Token[]> tokens{new Token[kMaxTokens]};
    size_t literal_count = 0;
    size_t token_count = 0;
    std::array<uint32_t, kMaxMatch + 1> length_counts{};
    std::array<uint32_t, 30> distance_counts{};
};

class Lz77 {
  public:
    Lz77();
    ~Lz77();
    // `size` is kBlockTailBytes .. kBlockBytes.
    const Lz77Output& Run(const uint8_t* block, size_t size);

  private:
    struct Dictionary;
    struct Hits;

    void Parse(const uint8_t* block, size_t first, size_t count);
    void Emit(const uint8_t* block, size_t end, uint32_t length, uint32_t distance);
    void EmitTail(const uint8_t* block, size_t size);

    std::unique_ptr<Dictionary> dictionary_;
    std::unique_ptr<Hits> hits_;
    Lz77Output output_;
    size_t limit_ = 0;      // first position that is never part of a match
    size_t position_ = 0;   // next position to look for a match
    size_t run_start_ = 0;  // first literal not yet emitted
};

}  // namespace accel_gzip

#endif  // ACCEL_SIMS_GZIP_LZ77_H_
