#include "isa.h"

namespace bnn {

const Isa* const kIsas[kIsaCount] = {&kAvx512, &kAvx2, &kNeon, &kPortable};

void PackedLayer::PlanesToLevels(const uint8_t* planes, unsigned char* image) const {
    constexpr int kPixels = kImageBytes / 3;
    for (int i = 0; i < kPixels; ++i)
        for (int channel = 0; channel < 3; ++channel)
            image[3 * i + channel] = Level(planes[channel * kPixels + i]);
}

void PackedLayer::RunPixels(const unsigned char*, uint64_t*, PanelScratch*) const {}
void PackedLayer::RunBits(const Windows&, uint64_t*, PanelScratch*) const {}
void PackedLayer::RunScores(const Windows&, int32_t*, PanelScratch*) const {}

}  // namespace bnn
