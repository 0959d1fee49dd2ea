// LZ77 as the 2020 kernels do it: 4,096 rows of 6 candidates, greedy, every position inserted.
//
// The kernel looks up and inserts every position, also those inside a match, so what it finds does not
// depend on what it emits. The software uses that: FindHits goes over a few thousand positions without a
// branch and lists those with a candidate; Parse then visits only these.
#include "lz77.h"

#include <algorithm>
#include <cstring>

#include "bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace accel_gzip {
namespace {

constexpr unsigned kRowBits = 12;             // 4,096 rows
constexpr unsigned kCandidates = 6;           // MATCH_LEVEL
constexpr unsigned kCompareBytes = 6;         // width of the kernel's compare window
constexpr unsigned kHashBytes = 4;            //
constexpr uint32_t kWindowBytes = 32768;      // distances stay below
constexpr uint32_t kBoosterBytes = 16384;     // distances that the booster stage can extend
constexpr uint32_t kMinDistance = 2;          // the pipeline writes a row one position too late for 1
constexpr size_t kChunk = 1024;               // positions between FindHits and Parse: fits the L1 cache

// Eight 16-bit lanes. SSE2 is part of every x86-64; elsewhere GCC's vectors become NEON or plain code.
#if defined(__SSE2__)
using Lanes = __m128i;
inline Lanes First(uint16_t v) { return _mm_cvtsi32_si128(v); }
inline Lanes Add(Lanes a, Lanes b) { return _mm_add_epi16(a, b); }
inline Lanes BroadcastFirst(Lanes v) {
    Lanes low = _mm_shufflelo_epi16(v, 0);
    return _mm_unpacklo_epi64(low, low);
}
// Lane i+1 = lane i, lane 0 = the only lane of `first` that is not zero.
inline Lanes Push(Lanes lanes, Lanes first) { return _mm_or_si128(_mm_slli_si128(lanes, 2), first); }
// Two bits for each equal lane of the six candidates.
inline uint32_t EqualCandidates(Lanes a, Lanes b) {
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi16(a, b))) &
           ((1u << 2 * kCandidates) - 1);
}
#else
typedef uint16_t Lanes __attribute__((vector_size(16)));
inline Lanes First(uint16_t v) { return Lanes{v, 0, 0, 0, 0, 0, 0, 0}; }
inline Lanes Add(Lanes a, Lanes b) { return a + b; }
inline Lanes BroadcastFirst(Lanes v) { return __builtin_shuffle(v, Lanes{}); }
inline Lanes Push(Lanes lanes, Lanes first) {
    return __builtin_shuffle(lanes, first, Lanes{8, 0, 1, 2, 3, 4, 5, 6});
}
inline uint32_t EqualCandidates(Lanes a, Lanes b) {
    // Give each equal lane its own two bits, then add the lanes of either half in its top lane.
    Lanes bits = reinterpret_cast<Lanes>(a == b) & Lanes{3, 12, 48, 192, 768, 3072, 0, 0};
    uint16_t lane[8];
    std::memcpy(lane, &bits, sizeof lane);
    return static_cast<uint32_t>(lane[0] | lane[1] | lane[2] | lane[3] | lane[4] | lane[5]);
}
#endif

// A bijection of the four bytes, so that row and tag together say nearly all about them. Two keys that
// differ only in the last byte always differ in the top 8 bits: a candidate shares four bytes or, by
// chance, none in particular. Hence matches of 3 bytes (MIN_MATCH) do not arise, as they do not from the
// vendor's xor of four shifted bytes; at distances beyond 4,096 they would cost more than literals.
inline uint32_t Mix(uint32_t key) { return key * 0x9E3779B1u; }

// Equal bytes at a and b, at most kCompareBytes. Reads 8 bytes at both.
inline uint32_t CompareWindow(const uint8_t* a, const uint8_t* b) {
    uint64_t difference = (Load64(a) ^ Load64(b)) | uint64_t{1} << 8 * kCompareBytes;
    return static_cast<uint32_t>(__builtin_ctzll(difference)) >> 3;
}

// The booster: how far the match at `a` goes on, at most `max` bytes.
inline uint32_t Extend(const uint8_t* a, const uint8_t* b, uint32_t length, uint32_t max) {
    while (length < max) {
        uint64_t difference = Load64(a + length) ^ Load64(b + length);
        if (difference) {
            length += static_cast<uint32_t>(__builtin_ctzll(difference)) >> 3;
            break;
        }
        length += 8;
    }
    return std::min(length, max);
}

}  // namespace

// One row is half a cache line: 16 hash bits and 16 position bits of each candidate, newest first. The
// whole table is 128 KiB. Both are hints: a position is good modulo 64 Ki, and bytes are always compared,
// so an empty or stale lane can at worst name a true match. Lanes 6 and 7 are what fell out of the FIFO.
struct Lz77::Dictionary {
    struct alignas(32) Row {
        Lanes tags;
        Lanes positions;
    };
    Row rows[size_t{1} << kRowBits];
};

// What Find saw at each position of one chunk: the row's candidates (lanes 0..5) and which of them have
// the tag (lane 6, two bits each), and the positions with any, the first in the highest bit.
struct Lz77::Hits {
    struct Hit {
        Lanes candidates;

        void SetEqual(uint32_t equal) {
            std::memcpy(reinterpret_cast<uint8_t*>(this) + 12, &equal, sizeof equal);
        }
    };
    Hit hit[kChunk];
    uint64_t any[kChunk / 64];

    void Find(Dictionary& dictionary, const uint8_t* block, size_t first, size_t count) {
        for (size_t i = 0; i < count; i += 64) {
            const size_t group = std::min<size_t>(64, count - i);
            const uint64_t found = FindGroup(dictionary, block + first + i, first + i, group, hit + i);
            any[i / 64] = found << (64 - group);
        }
    }

    // HOT_LOOP_COMMENT
    static uint64_t FindGroup(Dictionary& dictionary, const uint8_t* bytes, size_t first, size_t count, Hit* hit) {
        uint64_t found = 0;
        Lanes position = First(static_cast<uint16_t>(first));
        const Lanes one = First(1);
        for (size_t i = 0; i < count; ++i) {
            const uint32_t mixed = Mix(Load32(bytes + i));
            Dictionary::Row& row = dictionary.rows[mixed >> (32 - kRowBits)];
            const Lanes tag = First(static_cast<uint16_t>(mixed >> (16 - kRowBits)));
            const Lanes tags = row.tags;
            const Lanes positions = row.positions;
            const uint32_t equal = EqualCandidates(tags, BroadcastFirst(tag));
            hit[i].candidates = positions;
            hit[i].SetEqual(equal);
            found = found * 2 + (equal != 0);
            row.tags = Push(tags, tag);
            row.positions = Push(positions, position);
            position = Add(position, one);
        }
        return found;
    }
};

Lz77::Lz77() : dictionary_(new Dictionary), hits_(new Hits) {}
Lz77::~Lz77() = default;

const Lz77Output& Lz77::Run(const uint8_t* block, size_t size) {
    std::memset(static_cast<void*>(dictionary_.get()), 0, sizeof(Dictionary));
    output_.literal_count = output_.token_count = 0;
    output_.length_counts.fill(0);
    output_.distance_counts.fill(0);
    position_ = run_start_ = 0;
    limit_ = size - kBlockTailBytes;
    for (size_t first = 0; first < limit_; first += kChunk) {
        Parse(block, first, std::min(kChunk, limit_ - first));
    }
    EmitTail(block, size);
    return output_;
}

void Lz77::Parse(const uint8_t* block, size_t first, size_t count) {
    hits_->Find(*dictionary_, block, first, count);
    const size_t end = first + count;
    while (position_ < end) {
        const size_t offset = position_ - first;
        const uint64_t ahead = hits_->any[offset / 64] << offset % 64;
        if (ahead == 0) {
            position_ = first + (offset | 63) + 1;
            continue;
        }
        const size_t here = position_ + static_cast<size_t>(__builtin_clzll(ahead));
        uint16_t lane[8];
        std::memcpy(lane, &hits_->hit[here - first], sizeof lane);
        const uint8_t* bytes = block + here;

        // The newest of the longest candidates within the compare window, as the kernel's reduction.
        uint32_t length = 0;
        uint32_t distance = 0;
        for (uint32_t equal = lane[6]; equal && length < kCompareBytes; equal &= equal - 1, equal &= equal - 1) {
            uint32_t back = static_cast<uint16_t>(here - lane[__builtin_ctz(equal) >> 1]);
            if (back < kMinDistance || back >= kWindowBytes) continue;
            uint32_t same = CompareWindow(bytes, bytes - back);
            if (same > length) {
                length = same;
                distance = back;
            }
        }
        uint32_t room = static_cast<uint32_t>(std::min<size_t>(kMaxMatch, limit_ - here));
        if (length == kCompareBytes && distance < kBoosterBytes) {
            length = Extend(bytes, bytes - distance, length, room);
        }
        length = std::min(length, room);
        if (length < kHashBytes) {
            position_ = here + 1;
            continue;
        }
        Emit(block, here, length, distance);
        position_ = run_start_ = here + length;
    }
    position_ = std::max(position_, end);
}

void Lz77::Emit(const uint8_t* block, size_t end, uint32_t length, uint32_t distance) {
    size_t run = end - run_start_;
    const uint8_t* from = block + run_start_;
    uint8_t* to = output_.literals.get() + output_.literal_count;
    // Always 16 bytes: runs are mostly short, and kBlockTailBytes and kSlack make room for the rest.
    for (size_t done = 0; done < run || done == 0; done += 16) std::memcpy(to + done, from + done, 16);
    output_.literal_count += run;
    for (; run > Token::kMaxRun; run -= Token::kMaxRun) {
        output_.tokens[output_.token_count++] = Token::Make(Token::kMaxRun, 0, 0);
    }
    output_.tokens[output_.token_count++] =
        Token::Make(static_cast<uint32_t>(run), length, distance);
    ++output_.length_counts[length];
    ++output_.distance_counts[DistanceSymbol(distance)];
}

void Lz77::EmitTail(const uint8_t* block, size_t size) {
    size_t run = size - run_start_;
    std::memcpy(output_.literals.get() + output_.literal_count, block + run_start_, run);
    output_.literal_count += run;
    while (run > 0) {
        size_t part = std::min<size_t>(run, Token::kMaxRun);
        output_.tokens[output_.token_count++] = Token::Make(static_cast<uint32_t>(part), 0, 0);
        run -= part;
    }
}

}  // namespace accel_gzip
