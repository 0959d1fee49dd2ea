// The Huffman stage of one engine: tree generation and bit packing of one block.
#ifndef ACCEL_SIMS_GZIP_HUFFMAN_H_
#define ACCEL_SIMS_GZIP_HUFFMAN_H_

#include <cstddef>
#include <cstdint>

#include "lz77.h"

namespace accel_gzip {

// The order in which the code length code's own lengths are sent (RFC 1951, 3.2.7).
inline constexpr uint8_t kCodeLengthOrder[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                 11, 4,  12, 3, 13, 2, 14, 1, 15};

// Optimal code lengths of at most `max_bits` for `symbols` (up to 286) counts, by package-merge; 0
// for a symbol that does not occur. At least two symbols get a code: a code of fewer is incomplete,
// which some decoders refuse.
void LimitedCodeLengths(const uint32_t* counts, size_t symbols, unsigned max_bits,
                        uint8_t* lengths);

// Write one dynamic block (BFINAL 0) and an empty stored one, which ends on a byte. Returns the
// bytes. `out` has room for CompressedCapacity of the block.
size_t EncodeBlock(const Lz77Output& tokens, uint8_t* out);

}  // namespace accel_gzip

#endif  // ACCEL_SIMS_GZIP_HUFFMAN_H_
