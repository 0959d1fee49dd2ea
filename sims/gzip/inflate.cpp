// A table-driven inflate that streams: 1 MiB of input and output at a time, 32 KiB of history.
//
// Memory safety rests on two rules. The input buffer ends in kInputPad zero bytes, so a decoder
// that runs past a truncated stream reads zeros and is caught at the next Consumed() check. The
// output buffer has kOutputSlack bytes behind the mark at which it is flushed, more than one step
// of the loop can write.
#include "inflate.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "bytes.h"
#include "huffman.h"

namespace accel_gzip {
namespace {

constexpr size_t kHistory = 32768;
constexpr size_t kInputBytes = size_t{1} << 20;
constexpr size_t kInputPad = 64;
constexpr size_t kInputMargin = 32;  // one step of the loop takes fewer bytes
constexpr size_t kOutputBytes = size_t{1} << 20;
constexpr size_t kOutputSlack = 512;  // 6 literals, a match of 258 and 31 bytes of wide copy

constexpr const char* kTruncated = "the deflate stream is truncated";
constexpr const char* kUnreadable = "the input could not be read";
constexpr const char* kUnwritable = "the output could not be written";
constexpr const char* kBadCode = "invalid code in the deflate stream";
constexpr const char* kTooLarge =
    "the output is larger than input size x max_cr, or than 4 GiB - 1";

// A table entry: what a code means and how many bits it takes.
//   bits 0..7 of the code; 8..11 extra bits; 12..15 one of the kinds; 16..31 literals, base or
//   subtable
using Entry = uint32_t;
enum Kind : uint32_t {
    kLiteral = 1u << 15,
    kPair =
        kLiteral | 1u << 12,  // two literals whose codes fit one lookup; the first in the low byte
    kSpecial = 1u << 14,      // one of the three below
    kEnd = kSpecial | 1u << 13,
    kSubtable = kSpecial | 1u << 12,
    kInvalid = kSpecial,
};
constexpr uint32_t kKindMask = 0xf000;

unsigned CodeBits(Entry e) { return e & 0xff; }
unsigned ExtraBits(Entry e) { return e >> 8 & 0xf; }
uint32_t Value(Entry e) { return e >> 16; }
Entry MakeEntry(uint32_t kind, uint32_t value, unsigned extra) {
    return value << 16 | kind | extra << 8;
}

// RFC 1951, 3.2.5. Symbols 286, 287 and 30, 31 have codes in fixed blocks but no meaning.
constexpr std::array<Entry, 288> MakeLiteralMeanings() {
    std::array<Entry, 288> meaning{};
    for (uint32_t s = 0; s < 256; ++s) meaning[s] = s << 16 | kLiteral;
    meaning[256] = kEnd;
    uint32_t base = 3;
    for (uint32_t s = 257; s < 285; ++s) {
        uint32_t extra = s < 265 ? 0 : (s - 261) / 4;
        meaning[s] = base << 16 | extra << 8;
        base += 1u << extra;
    }
    meaning[285] = 258u << 16;
    meaning[286] = meaning[287] = kInvalid;
    return meaning;
}

constexpr std::array<Entry, 32> MakeDistanceMeanings() {
    std::array<Entry, 32> meaning{};
    uint32_t base = 1;
    for (uint32_t s = 0; s < 30; ++s) {
        uint32_t extra = s < 4 ? 0 : s / 2 - 1;
        meaning[s] = base << 16 | extra << 8;
        base += 1u << extra;
    }
    meaning[30] = meaning[31] = kInvalid;
    return meaning;
}

constexpr std::array<Entry, 19> MakeCodeLengthMeanings() {
    std::array<Entry, 19> meaning{};
    for (uint32_t s = 0; s < 19; ++s) meaning[s] = s << 16;
    return meaning;
}

constexpr std::array<Entry, 288> kLiteralMeanings = MakeLiteralMeanings();
constexpr std::array<Entry, 32> kDistanceMeanings = MakeDistanceMeanings();
constexpr std::array<Entry, 19> kCodeLengthMeanings = MakeCodeLengthMeanings();

uint32_t ReverseBits16(uint32_t v) {
    v = (v & 0x5555) << 1 | (v >> 1 & 0x5555);
    v = (v & 0x3333) << 2 | (v >> 2 & 0x3333);
    v = (v & 0x0f0f) << 4 | (v >> 4 & 0x0f0f);
    return (v & 0xff) << 8 | v >> 8;
}

// Lookup by the next kPrimaryBits; longer codes by a subtable of the rest. A subtable holds at
// least one symbol, so kMaxSymbols of them are always enough.
template <unsigned kPrimaryBits, unsigned kMaxBits, size_t kMaxSymbols>
class Table {
  public:
    // `lengths` and `meanings` of `count` symbols. Returns false for an over-subscribed code, and
    // for an incomplete one unless it is a single code of one bit and `allow_single` (zlib's rule).
    bool Build(const uint8_t* lengths, const Entry* meanings, size_t count, bool allow_single) {
        unsigned per_length[16] = {};
        for (size_t s = 0; s < count; ++s) ++per_length[lengths[s]];
        per_length[0] = 0;
        uint32_t next[16] = {};
        uint32_t used = 0;  // of 2^15
        unsigned longest = 0;
        for (unsigned bits = 1; bits <= 15; ++bits) {
            next[bits] = used >> (15 - bits);
            used += per_length[bits] << (15 - bits);
            if (used > 1u << 15) return false;
            if (per_length[bits]) longest = bits;
        }
        bool single = longest <= 1;  // no code at all, or one of a single bit
        if (used < 1u << 15 && !(single && allow_single)) return false;
        if (used < 1u << 15) std::fill_n(entries_, size_t{1} << kPrimaryBits, Entry{kInvalid | 1});
        subtables_end_ = 1u << kPrimaryBits;
        open_.fill(0);
        for (size_t s = 0; s < count; ++s) {
            if (lengths[s])
                Place(ReverseBits16(next[lengths[s]]++) >> (16 - lengths[s]), lengths[s],
                      meanings[s]);
        }
        return true;
    }

    // Join literals with the literal behind them where both codes fit a lookup. Downwards, because
    // the entry of what follows has a smaller index and must still be single.
    void PairLiterals() {
        for (size_t i = size_t{1} << kPrimaryBits; i-- > 0;) {
            const Entry first = entries_[i];
            if (!(first & kLiteral)) continue;
            const Entry second = entries_[i >> CodeBits(first)];
            const unsigned bits = CodeBits(first) + CodeBits(second);
            if (!(second & kLiteral) || bits > kPrimaryBits) continue;
            entries_[i] = (Value(first) | Value(second) << 8) << 16 | kPair | bits;
        }
    }

    Entry Find(uint64_t bits) const {
        Entry e = entries_[bits & ((1u << kPrimaryBits) - 1)];
        if (__builtin_expect((e & kKindMask) == kSubtable, 0)) {
            e = entries_[Value(e) + (bits >> kPrimaryBits & ((1u << kRestBits) - 1))];
        }
        return e;
    }

  private:
    static constexpr unsigned kRestBits = kMaxBits - kPrimaryBits;

    void Place(uint32_t code, unsigned bits, Entry meaning) {
        const Entry entry = meaning | bits;
        if (bits <= kPrimaryBits) {
            for (size_t i = code; i < size_t{1} << kPrimaryBits; i += size_t{1} << bits)
                entries_[i] = entry;
            return;
        }
        const uint32_t prefix = code & ((1u << kPrimaryBits) - 1);
        if (!(open_[prefix / 64] >> prefix % 64 & 1)) {
            open_[prefix / 64] |= uint64_t{1} << prefix % 64;
            entries_[prefix] = MakeEntry(kSubtable, subtables_end_, 0);
            subtables_end_ += 1u << kRestBits;
        }
        Entry* sub = entries_ + Value(entries_[prefix]);
        for (size_t i = code >> kPrimaryBits; i < size_t{1} << kRestBits;
             i += size_t{1} << (bits - kPrimaryBits)) {
            sub[i] = entry;
        }
    }

    Entry entries_[(size_t{1} << kPrimaryBits) + (kRestBits ? kMaxSymbols << kRestBits : 0)];
    std::array<uint64_t, ((size_t{1} << kPrimaryBits) + 63) / 64>
        open_;  // prefixes with a subtable
    uint32_t subtables_end_ = 0;
};

}  // namespace

struct Inflater::State {
    explicit State(DecompressKernel k)
        : kernel(k),
          input(new uint8_t[kInputBytes + kInputPad]),
          output(new uint8_t[kHistory + kOutputBytes + kOutputSlack]) {}

    const char* Blocks();
    const char* StoredBlock();
    const char* DynamicTables();
    const char* FixedTables();
    const char* Symbols();

    void Reset(ByteSource& s, ByteSink& k, uint64_t limit);
    const char* RefillInput();
    const char* FlushOutput();

    // Bit input. At least 56 bits are valid after Refill; those beyond `valid` are lookahead of the
    // same bytes, which makes the refill free of branches.
    void Refill() {
        bits |= Load64(next) << valid;
        next += (63 - valid) >> 3;
        valid |= 56;
    }
    uint32_t Take(unsigned count) {
        uint32_t value = static_cast<uint32_t>(bits & ((uint64_t{1} << count) - 1));
        bits >>= count;
        valid -= count;
        return value;
    }
    // One or two literals; the second byte is overwritten if there is only one.
    void PutLiterals(Entry e) {
        out[0] = static_cast<uint8_t>(e >> 16);
        out[1] = static_cast<uint8_t>(e >> 24);
        out += 1 + (e >> 12 & 1);
    }
    const uint8_t* Consumed() const { return next - (valid >> 3); }
    // Give whole unused bytes back to the input.
    void Unread() {
        next -= valid >> 3;
        valid &= 7;
        bits &= (uint64_t{1} << valid) - 1;
    }
    bool Overrun() const { return Consumed() > input_end; }

    const DecompressKernel kernel;
    ByteSource* source = nullptr;
    ByteSink* sink = nullptr;
    uint64_t max_output = 0;

    std::unique_ptr<uint8_t[]> input;
    const uint8_t* next = nullptr;
    const uint8_t* input_end = nullptr;
    uint64_t input_before = 0;  // bytes that were in the buffer earlier
    bool at_end = false;
    uint64_t bits = 0;
    unsigned valid = 0;

    std::unique_ptr<uint8_t[]> output;
    uint8_t* out = nullptr;      // next byte to write
    uint8_t* pending = nullptr;  // first byte not yet given to the sink
    uint64_t flushed = 0;

    // 12 and 9 bits hold nearly every code of a text (12 also pairs of base64's 6-bit literals),
    // and both primary tables fit the L1 cache.
    Table<12, 15, 288> literals;
    Table<9, 15, 32> distances;
    Table<7, 7, 19> code_lengths;
};

void Inflater::State::Reset(ByteSource& s, ByteSink& k, uint64_t limit) {
    source = &s;
    sink = &k;
    max_output = limit;
    next = input_end = input.get();
    std::memset(input.get(), 0, kInputPad);
    input_before = flushed = 0;
    at_end = false;
    bits = 0;
    valid = 0;
    out = pending = output.get();
}

// Make sure that kInputMargin bytes or the end of the input are in the buffer.
const char* Inflater::State::RefillInput() {
    Unread();
    if (Overrun()) return kTruncated;
    size_t left = static_cast<size_t>(input_end - next);
    if (at_end || left >= kInputMargin) return nullptr;
    std::memmove(input.get(), next, left);
    input_before += static_cast<uint64_t>(next - input.get());
    while (!at_end && left < kInputBytes) {
        ptrdiff_t got = source->Read(input.get() + left, kInputBytes - left);
        if (got < 0) return kUnreadable;
        at_end = got == 0;
        left += static_cast<size_t>(got);
    }
    next = input.get();
    input_end = next + left;
    std::memset(input.get() + left, 0, kInputPad);
    return nullptr;
}

const char* Inflater::State::FlushOutput() {
    size_t fresh = static_cast<size_t>(out - pending);
    if (flushed + fresh > max_output) return kTooLarge;
    if (fresh && !sink->Write(pending, fresh)) return kUnwritable;
    flushed += fresh;
    size_t keep = std::min<size_t>(kHistory, static_cast<size_t>(out - output.get()));
    std::memmove(output.get(), out - keep, keep);
    out = pending = output.get() + keep;
    return nullptr;
}

const char* Inflater::State::Blocks() {
    for (bool last = false; !last;) {
        if (const char* error = RefillInput()) return error;
        Refill();
        last = Take(1) != 0;
        const uint32_t type = Take(2);
        const char* error = nullptr;
        // Stored blocks pass in every kernel: the card's own output has one behind each dynamic
        // block.
        if (type == 0) {
            error = StoredBlock();
        } else if (type == 3) {
            error = "invalid block type in the deflate stream";
        } else if ((type == 1 && kernel == DecompressKernel::kDynamic) ||
                   (type == 2 && kernel == DecompressKernel::kFixed)) {
            error = "the decompress kernel (d_type) cannot decode this block's type";
        } else {
            error = type == 1 ? FixedTables() : DynamicTables();
            if (!error) error = Symbols();
        }
        if (error) return error;
    }
    Unread();
    if (Overrun()) return kTruncated;
    return FlushOutput();
}

const char* Inflater::State::StoredBlock() {
    Take(valid & 7);
    Unread();
    if (const char* error = RefillInput()) return error;
    if (input_end - next < 4) return kTruncated;
    uint32_t word = Load32(next);
    next += 4;
    size_t left = word & 0xffff;
    if (left != (~word >> 16)) return "invalid stored block lengths";
    while (left > 0) {
        if (next == input_end) {
            if (const char* error = RefillInput()) return error;
            if (next == input_end) return kTruncated;
        }
        uint8_t* mark = output.get() + kHistory + kOutputBytes;
        if (out >= mark) {
            if (const char* error = FlushOutput()) return error;
        }
        size_t part = std::min(
            {left, static_cast<size_t>(input_end - next), static_cast<size_t>(mark - out)});
        std::memcpy(out, next, part);
        out += part;
        next += part;
        left -= part;
    }
    return nullptr;
}

const char* Inflater::State::FixedTables() {
    uint8_t lengths[288];
    std::fill_n(lengths, 144, uint8_t{8});
    std::fill_n(lengths + 144, 112, uint8_t{9});
    std::fill_n(lengths + 256, 24, uint8_t{7});
    std::fill_n(lengths + 280, 8, uint8_t{8});
    literals.Build(lengths, kLiteralMeanings.data(), 288, false);
    std::fill_n(lengths, 32, uint8_t{5});
    distances.Build(lengths, kDistanceMeanings.data(), 32, false);
    return nullptr;
}

const char* Inflater::State::DynamicTables() {
    const size_t literal_count = Take(5) + 257;
    const size_t distance_count = Take(5) + 1;
    const size_t code_length_count = Take(4) + 4;
    if (literal_count > 286 || distance_count > 30) return "too many length or distance symbols";
    uint8_t lengths[288 + 32] = {};
    for (size_t i = 0; i < code_length_count; ++i) {
        Refill();
        lengths[kCodeLengthOrder[i]] = static_cast<uint8_t>(Take(3));
    }
    if (!code_lengths.Build(lengths, kCodeLengthMeanings.data(), 19, false)) {
        return "invalid code lengths set";
    }
    std::fill(std::begin(lengths), std::end(lengths), uint8_t{0});
    for (size_t i = 0; i < literal_count + distance_count;) {
        if (const char* error = RefillInput()) return error;
        Refill();
        Entry e = code_lengths.Find(bits);
        Take(CodeBits(e));
        uint32_t symbol = Value(e);
        if (symbol < 16) {
            lengths[i++] = static_cast<uint8_t>(symbol);
            continue;
        }
        if (symbol == 16 && i == 0) return "invalid bit length repeat";
        const uint8_t value = symbol == 16 ? lengths[i - 1] : uint8_t{0};
        size_t run = symbol == 16 ? 3 + Take(2) : symbol == 17 ? 3 + Take(3) : 11 + Take(7);
        if (i + run > literal_count + distance_count) return "invalid bit length repeat";
        for (; run > 0; --run) lengths[i++] = value;
    }
    if (lengths[256] == 0) return "invalid code: no end of block";
    if (!literals.Build(lengths, kLiteralMeanings.data(), literal_count, true)) {
        return "invalid literal/lengths set";
    }
    literals.PairLiterals();
    if (!distances.Build(lengths + literal_count, kDistanceMeanings.data(), distance_count, true)) {
        return "invalid distances set";
    }
    return nullptr;
}

namespace {

// Copy a match; writes up to 31 bytes behind it.
inline uint8_t* CopyMatch(uint8_t* out, uint32_t distance, uint32_t length) {
    const uint8_t* from = out - distance;
    uint8_t* const end = out + length;
    if (distance >= 16) {
        do {
            std::memcpy(out, from, 16);
            out += 16;
            from += 16;
        } while (out < end);
        return end;
    }
    if (distance == 1) {
        std::memset(out, *from, length);
        return end;
    }
    // A period below 16: lay down one multiple of it that is at least 8 bytes, then copy words from
    // there.
    while (distance < 8) {
        Store64(
            out,
            Load64(from));  // its first `distance` bytes are right, which is what doubling needs
        out += distance;
        distance *= 2;
        if (out >= end) return end;
    }
    do {
        std::memcpy(out, from, 8);
        out += 8;
        from += 8;
    } while (out < end);
    return end;
}

}  // namespace

const char* Inflater::State::Symbols() {
    uint8_t* const mark = output.get() + kHistory + kOutputBytes;
    for (;;) {
        if (out >= mark) {
            if (const char* error = FlushOutput()) return error;
        }
        if (const char* error = RefillInput()) return error;
        // At the end of the input the loop may run into the pad; a step takes fewer than 16 bytes.
        const uint8_t* safe = at_end ? input_end + 1 : input_end - kInputMargin + 1;
        while (next < safe && out < mark) {
            Refill();
            Entry e = literals.Find(bits);
            Take(CodeBits(e));
            if (e & kLiteral) {
                PutLiterals(e);
                e = literals.Find(bits);
                Take(CodeBits(e));
                if (e & kLiteral) {
                    PutLiterals(e);
                    e = literals.Find(bits);
                    Take(CodeBits(e));
                    if (e & kLiteral) {
                        PutLiterals(e);
                        continue;
                    }
                }
                Refill();
            }
            if (e & kSpecial) return (e & kKindMask) == kEnd ? nullptr : kBadCode;
            const uint32_t length = Value(e) + Take(ExtraBits(e));
            e = distances.Find(bits);
            Take(CodeBits(e));
            if (e & kSpecial) return kBadCode;
            const uint32_t distance = Value(e) + Take(ExtraBits(e));
            if (distance > static_cast<size_t>(out - output.get())) {
                return "invalid distance too far back";
            }
            out = CopyMatch(out, distance, length);
        }
    }
}

Inflater::Inflater(DecompressKernel kernel) : state_(new State(kernel)) {}
Inflater::~Inflater() = default;

InflateResult Inflater::Run(ByteSource& in, ByteSink& out, uint64_t max_output) {
    State& s = *state_;
    s.Reset(in, out, max_output);
    const char* error = s.Blocks();
    uint64_t bytes_in = s.input_before + static_cast<uint64_t>(s.Consumed() - s.input.get());
    return {error, bytes_in, s.flushed};
}

}  // namespace accel_gzip
