#include "huffman.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "bytes.h"

namespace accel_gzip {
namespace {

constexpr size_t kLiteralSymbols = 286;
constexpr size_t kDistanceSymbolCount = 30;
constexpr size_t kEndOfBlock = 256;
// The format and the vendor's tree allow 15 bits. With 14, four literals fit between two flushes of
// the bit writer; in a block of 1 MiB that costs less than one byte in ten thousand.
constexpr unsigned kLiteralBits = 14;
constexpr unsigned kDistanceBits = 15;
constexpr unsigned kCodeLengthBits = 7;

// A code together with how many bits it has, in one word: code << 8 | bits.
using PackedCode = uint32_t;

inline void PutCode(BitWriter& writer, PackedCode code) { writer.Put(code >> 8, code & 0xff); }

uint32_t ReverseBits(uint32_t code, unsigned bits) {
    uint32_t reversed = 0;
    for (; bits > 0; --bits, code >>= 1) reversed = reversed << 1 | (code & 1);
    return reversed;
}

// Canonical codes (RFC 1951, 3.2.2), reversed because deflate sends codes from their top bit.
void AssignCodes(const uint8_t* lengths, size_t symbols, PackedCode* codes) {
    uint32_t next[17] = {};
    for (size_t s = 0; s < symbols; ++s) ++next[lengths[s] + 1];
    next[1] = 0;  // unused symbols
    for (unsigned bits = 1; bits < 16; ++bits) next[bits + 1] = (next[bits + 1] + next[bits]) << 1;
    for (size_t s = 0; s < symbols; ++s) {
        if (lengths[s]) codes[s] = ReverseBits(next[lengths[s]]++, lengths[s]) << 8 | lengths[s];
    }
}

struct LengthClass {
    uint16_t symbol;
    uint16_t base;
    uint8_t extra_bits;
};

// RFC 1951, 3.2.5: four symbols for each number of extra bits from 1 up; 3..10 have none.
LengthClass ClassOfLength(uint32_t length) {
    uint32_t offset = length - 3;
    if (offset < 8) return {static_cast<uint16_t>(257 + offset), static_cast<uint16_t>(length), 0};
    unsigned extra = 29 - static_cast<unsigned>(__builtin_clz(offset));
    unsigned quarter = offset >> extra & 3;
    return {static_cast<uint16_t>(261 + 4 * extra + quarter),
            static_cast<uint16_t>(3 + ((4 + quarter) << extra)), static_cast<uint8_t>(extra)};
}

// One run of the code length sequence: a length, or a repeat (16, 17, 18) with its extra bits.
struct LengthItem {
    uint8_t symbol;
    uint8_t extra;
    uint8_t extra_bits;
};

// The lengths of both codes in deflate's run-length form.
struct LengthSequence {
    std::array<LengthItem, kLiteralSymbols + kDistanceSymbolCount> items;
    size_t count = 0;

    void Add(unsigned symbol, size_t extra, unsigned extra_bits) {
        items[count++] = {static_cast<uint8_t>(symbol), static_cast<uint8_t>(extra),
                          static_cast<uint8_t>(extra_bits)};
    }
    void AddRun(uint8_t length, size_t run) {
        if (length == 0) {
            for (; run >= 11; run -= std::min<size_t>(run, 138)) {
                Add(18, std::min<size_t>(run, 138) - 11, 7);
            }
            if (run >= 3) {
                Add(17, run - 3, 3);
                return;
            }
        } else if (run >= 4) {
            Add(length, 0, 0);
            for (--run; run >= 3; run -= std::min<size_t>(run, 6)) {
                Add(16, std::min<size_t>(run, 6) - 3, 2);
            }
        }
        for (; run > 0; --run) Add(length, 0, 0);
    }
};

size_t TrimmedCount(const uint8_t* lengths, size_t count, size_t minimum) {
    while (count > minimum && lengths[count - 1] == 0) --count;
    return count;
}

// The two codes of a block, ready to encode with.
struct BlockCodes {
    uint8_t literal_lengths[kLiteralSymbols];
    uint8_t distance_lengths[kDistanceSymbolCount];
    PackedCode literals[kLiteralSymbols] = {};
    PackedCode distances[kDistanceSymbolCount] = {};
    PackedCode matches[kMaxMatch + 1] = {};  // length symbol and extra bits as one

    explicit BlockCodes(const Lz77Output& tokens);
};

// Four tables, so that equal neighbours do not wait for each other's store.
void CountLiterals(const uint8_t* literals, size_t count, uint32_t* counts) {
    std::array<std::array<uint32_t, 256>, 4> part{};
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word = Load64(literals + i);
        for (unsigned byte = 0; byte < 8; ++byte) ++part[byte & 3][word >> 8 * byte & 0xff];
    }
    for (; i < count; ++i) ++part[0][literals[i]];
    for (size_t s = 0; s < 256; ++s) counts[s] = part[0][s] + part[1][s] + part[2][s] + part[3][s];
}

BlockCodes::BlockCodes(const Lz77Output& tokens) {
    uint32_t counts[kLiteralSymbols] = {};
    CountLiterals(tokens.literals.get(), tokens.literal_count, counts);
    counts[kEndOfBlock] = 1;
    for (uint32_t n = 3; n <= kMaxMatch; ++n) {
        counts[ClassOfLength(n).symbol] += tokens.length_counts[n];
    }
    LimitedCodeLengths(counts, kLiteralSymbols, kLiteralBits, literal_lengths);
    LimitedCodeLengths(tokens.distance_counts.data(), kDistanceSymbolCount, kDistanceBits,
                       distance_lengths);
    AssignCodes(literal_lengths, kLiteralSymbols, literals);
    AssignCodes(distance_lengths, kDistanceSymbolCount, distances);
    for (uint32_t n = 3; n <= kMaxMatch; ++n) {
        LengthClass c = ClassOfLength(n);
        PackedCode symbol = literals[c.symbol];
        unsigned bits = symbol & 0xff;
        matches[n] = ((symbol >> 8) | (n - c.base) << bits) << 8 | (bits + c.extra_bits);
    }
}

// RFC 1951, 3.2.7.
void WriteHeader(BitWriter& writer, const BlockCodes& codes) {
    size_t literals = TrimmedCount(codes.literal_lengths, kLiteralSymbols, 257);
    size_t distances = TrimmedCount(codes.distance_lengths, kDistanceSymbolCount, 1);
    uint8_t all[kLiteralSymbols + kDistanceSymbolCount];
    std::copy_n(codes.literal_lengths, literals, all);
    std::copy_n(codes.distance_lengths, distances, all + literals);

    LengthSequence sequence;
    for (size_t i = 0, end; i < literals + distances; i = end) {
        for (end = i + 1; end < literals + distances && all[end] == all[i];) ++end;
        sequence.AddRun(all[i], end - i);
    }
    uint32_t counts[19] = {};
    for (size_t i = 0; i < sequence.count; ++i) ++counts[sequence.items[i].symbol];
    uint8_t lengths[19];
    PackedCode code[19] = {};
    LimitedCodeLengths(counts, 19, kCodeLengthBits, lengths);
    AssignCodes(lengths, 19, code);
    size_t sent = 19;
    while (sent > 4 && lengths[kCodeLengthOrder[sent - 1]] == 0) --sent;

    writer.Put(2 << 1, 3);  // BFINAL 0, BTYPE 2
    writer.Put(literals - 257, 5);
    writer.Put(distances - 1, 5);
    writer.Put(sent - 4, 4);
    writer.Flush();
    for (size_t i = 0; i < sent; ++i) {
        writer.Put(lengths[kCodeLengthOrder[i]], 3);
        writer.Flush();
    }
    for (size_t i = 0; i < sequence.count; ++i) {
        PutCode(writer, code[sequence.items[i].symbol]);
        writer.Put(sequence.items[i].extra, sequence.items[i].extra_bits);
        writer.Flush();
    }
}

// The body. Runs are short in text and their lengths unforeseeable: the up to three literals that
// are left after whole fours are written without a branch, those beyond the run with no bits.
void WriteTokens(BitWriter& out, const Lz77Output& tokens, const BlockCodes& codes) {
    BitWriter writer = out;  // a local copy stays in registers
    const uint8_t* literal = tokens.literals.get();
    for (size_t t = 0; t < tokens.token_count; ++t) {
        const Token token = tokens.tokens[t];
        uint32_t run = token.run();
        for (; run >= 4; run -= 4, literal += 4) {
            for (unsigned i = 0; i < 4; ++i) PutCode(writer, codes.literals[literal[i]]);
            writer.Flush();
        }
        for (unsigned i = 0; i < 3; ++i) {
            PutCode(writer, i < run ? codes.literals[literal[i]] : 0);
        }
        literal += run;
        writer.Flush();
        if (token.length() == 0) continue;
        const uint32_t distance = token.distance();
        const unsigned symbol = DistanceSymbol(distance);
        const unsigned extra_bits = symbol < 4 ? 0 : symbol / 2 - 1;
        PutCode(writer, codes.matches[token.length()]);
        PutCode(writer, codes.distances[symbol]);
        writer.Put((distance - 1) & ((1u << extra_bits) - 1), extra_bits);
        writer.Flush();
    }
    out = writer;
}

struct PackageList {
    // Items by weight: leaves (`true`) in order of weight, and packages of the level below in
    // order.
    uint64_t weight[2 * kLiteralSymbols];
    bool is_leaf[2 * kLiteralSymbols];
    size_t size = 0;
};

}  // namespace

// Package-merge (Larmore and Hirschberg, 1990). The list of a level is the leaves merged with the
// pairs of the list below; the first 2(n-1) items of the top level are the solution. A leaf's
// length is the number of levels on which it is among the chosen, and the chosen leaves are the
// lightest of each level.
void LimitedCodeLengths(const uint32_t* counts, size_t symbols, unsigned max_bits,
                        uint8_t* lengths) {
    struct Leaf {
        uint32_t count;
        uint32_t symbol;
    };
    Leaf leaves[kLiteralSymbols];
    size_t n = 0;
    for (uint32_t s = 0; s < symbols; ++s) {
        lengths[s] = 0;
        if (counts[s]) leaves[n++] = {counts[s], s};
    }
    for (uint32_t s = 0; n < 2; ++s) {
        if (!counts[s]) leaves[n++] = {1, s};
    }
    std::sort(leaves, leaves + n, [](const Leaf& a, const Leaf& b) {
        return a.count != b.count ? a.count < b.count : a.symbol < b.symbol;
    });

    PackageList levels[15];  // [0] is the deepest, where only leaves are
    for (unsigned level = 0; level < max_bits; ++level) {
        PackageList& list = levels[level];
        const PackageList* below = level ? &levels[level - 1] : nullptr;
        const size_t pairs = below ? below->size / 2 : 0;
        for (size_t leaf = 0, pair = 0; leaf < n || pair < pairs;) {
            uint64_t package =
                pair < pairs ? below->weight[2 * pair] + below->weight[2 * pair + 1] : UINT64_MAX;
            bool take_leaf = leaf < n && leaves[leaf].count <= package;
            list.is_leaf[list.size] = take_leaf;
            list.weight[list.size++] = take_leaf ? leaves[leaf++].count : (++pair, package);
        }
    }
    size_t chosen = 2 * (n - 1);
    for (unsigned level = max_bits; level-- > 0;) {
        size_t chosen_leaves = 0;
        for (size_t i = 0; i < chosen; ++i) chosen_leaves += levels[level].is_leaf[i];
        for (size_t i = 0; i < chosen_leaves; ++i) ++lengths[leaves[i].symbol];
        chosen = 2 * (chosen - chosen_leaves);
    }
}

size_t EncodeBlock(const Lz77Output& tokens, uint8_t* out) {
    const BlockCodes codes(tokens);
    BitWriter writer(out);
    WriteHeader(writer, codes);
    WriteTokens(writer, tokens, codes);
    PutCode(writer, codes.literals[kEndOfBlock]);
    writer.Put(0, 3);  // an empty stored block: BFINAL 0, BTYPE 0, then LEN 0 and its complement
    writer.AlignToByte();
    writer.Put(0xffff0000u, 32);
    writer.Flush();
    return static_cast<size_t>(writer.end() - out);
}

}  // namespace accel_gzip
