#include "link.h"

#include <algorithm>

#include "fletcher_card.h"

namespace accel_fletcher {

uint64_t BeatCost(const Settings& settings, bool on_device) {
    if (on_device) return kCycle;
    const double cycles = static_cast<double>(kBusBytes) * static_cast<double>(settings.clock_hz) /
                          static_cast<double>(settings.link_bytes_per_s);
    const double capped = std::min(cycles, 1e9);  // keeps the products of beats within 64 bits
    return std::max(kCycle, static_cast<uint64_t>(capped * static_cast<double>(kCycle)));
}

}  // namespace accel_fletcher
