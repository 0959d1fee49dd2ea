#include "isa.h"

namespace bnn {

const Isa* const kIsas[kIsaCount] = {&kAvx512, &kAvx2, &kNeon, &kPortable};

void PackedLayer::RunPixels(const unsigned char*, uint64_t*, PanelScratch*) const {}
void PackedLayer::RunBits(const Windows&, uint64_t*, PanelScratch*) const {}
void PackedLayer::RunScores(const Windows&, int32_t*, PanelScratch*) const {}

}  // namespace bnn
