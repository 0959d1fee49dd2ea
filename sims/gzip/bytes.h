// Unaligned little-endian loads and stores, and a bit writer over them.
#ifndef ACCEL_SIMS_GZIP_BYTES_H_
#define ACCEL_SIMS_GZIP_BYTES_H_

#include <cstdint>
#include <cstring>

namespace accel_gzip {

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
inline uint32_t LittleEndian(uint32_t v) { return __builtin_bswap32(v); }
inline uint64_t LittleEndian(uint64_t v) { return __builtin_bswap64(v); }
#else
inline uint32_t LittleEndian(uint32_t v) { return v; }
inline uint64_t LittleEndian(uint64_t v) { return v; }
#endif

inline uint32_t Load32(const uint8_t* p) {
    uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return LittleEndian(v);
}

inline uint64_t Load64(const uint8_t* p) {
    uint64_t v;
    std::memcpy(&v, p, sizeof v);
    return LittleEndian(v);
}

inline void Store64(uint8_t* p, uint64_t v) {
    v = LittleEndian(v);
    std::memcpy(p, &v, sizeof v);
}

// Bits, least significant first, as deflate wants them. After Flush at most 7 are pending, so 56
// may be Put before the next Flush. Writes whole 8-byte words: needs 8 bytes of room behind the
// last one.
class BitWriter {
  public:
    explicit BitWriter(uint8_t* out) : out_(out) {}

    void Put(uint64_t bits, unsigned count) {
        pending_ |= bits << count_;
        count_ += count;
    }
    void Flush() {
        Store64(out_, pending_);
        out_ += count_ >> 3;
        pending_ >>= count_ & ~7u;
        count_ &= 7;
    }
    void AlignToByte() {
        count_ = (count_ + 7) & ~7u;
        Flush();
    }
    uint8_t* end() const { return out_; }

  private:
    uint8_t* out_;
    uint64_t pending_ = 0;
    unsigned count_ = 0;
};

}  // namespace accel_gzip

#endif  // ACCEL_SIMS_GZIP_BYTES_H_
