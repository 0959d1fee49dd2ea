// What AVX2 and AVX-512 machines do alike in the first layer: planes of colours to levels side by
// side, and windows of pixels. Included inside a target region, so everything has internal linkage.
#include <immintrin.h>

#include "isa.h"

namespace bnn {
namespace {

// Which byte of 16 pixels of a channel stands where in the 48 bytes they become; 0x80 for the other
// channels'.
struct Interleaving {
    alignas(16) unsigned char from[3][3][16];  // [channel][sixteen of the result][byte]
};

constexpr Interleaving MakeInterleaving() {
    Interleaving made{};
    for (int channel = 0; channel < 3; ++channel)
        for (int at = 0; at < 48; ++at)
            made.from[channel][at / 16][at % 16] =
                static_cast<unsigned char>(at % 3 == channel ? at / 3 : 0x80);
    return made;
}
constexpr Interleaving kInterleaving = MakeInterleaving();

inline void ShuffledLevels(const uint8_t* planes, unsigned char* image) {
    constexpr int kPixels = kImageBytes / 3;
    const __m128i one = _mm_set1_epi8(1);
    for (int i = 0; i < kPixels; i += 16, image += 48) {
        __m128i out[3] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
        for (int channel = 0; channel < 3; ++channel) {
            const __m128i pixels =
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(planes + channel * kPixels + i));
            // One more from 128 on, where the byte is negative; 255 stays by saturation.
            const __m128i more = _mm_and_si128(_mm_cmpgt_epi8(_mm_setzero_si128(), pixels), one);
            const __m128i levels = _mm_adds_epu8(pixels, more);
            for (int part = 0; part < 3; ++part) {
                const __m128i from = _mm_load_si128(
                    reinterpret_cast<const __m128i*>(kInterleaving.from[channel][part]));
                out[part] = _mm_or_si128(out[part], _mm_shuffle_epi8(levels, from));
            }
        }
        for (int part = 0; part < 3; ++part)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(image + 16 * part), out[part]);
    }
}

constexpr int kPixelWindow = 32;  // bytes from one pixel's window to the next; 27 are used

// Copies the windows of a row of 30 output pixels; `image` is the first of the three rows of
// levels. Each store is longer than its 9 bytes; the next one writes over the excess. What is left
// behind byte 26 meets the weight 0.
inline void GatherPixels(const unsigned char* image, unsigned char* windows) {
    constexpr int kOut = 30, kRow = 32 * 3;
    for (int x = 0; x < kOut; ++x)
        for (int ky = 0; ky < 3; ++ky)
            _mm_storeu_si128(
                reinterpret_cast<__m128i*>(windows + x * kPixelWindow + 9 * ky),
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(image + x * 3 + ky * kRow)));
}

}  // namespace
}  // namespace bnn
