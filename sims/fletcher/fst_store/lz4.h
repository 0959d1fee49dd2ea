// Stands in for LZ4 in Verilator's waveform writer: blocks of nothing but literals, as LZ4's block
// format allows. Waveforms are for looking at; no compression library is worth a dependency.
#ifndef ACCEL_SIMS_FLETCHER_FST_STORE_LZ4_H_
#define ACCEL_SIMS_FLETCHER_FST_STORE_LZ4_H_

#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

// A token whose upper half is the number of literals, the rest of that number in bytes of up to
// 255, the literals.
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (size < 0 || capacity < LZ4_compressBound(size)) return 0;
    char* out = target;
    int rest = size - 15;
    *out++ = static_cast<char>(rest >= 0 ? 15 << 4 : size << 4);
    for (; rest >= 255; rest -= 255) *out++ = static_cast<char>(255);
    if (rest >= 0) *out++ = static_cast<char>(rest);
    if (size > 0) std::memcpy(out, source, static_cast<size_t>(size));
    return static_cast<int>(out - target) + size;
}

#endif  // ACCEL_SIMS_FLETCHER_FST_STORE_LZ4_H_
