// How fast the simulated device gets data.
#ifndef ACCEL_SIMS_FLETCHER_LINK_H_
#define ACCEL_SIMS_FLETCHER_LINK_H_

#include <cstdint>

#include "kernel.h"

namespace accel_fletcher {

// Fractions of a cycle, 16 bits behind the point.
constexpr uint64_t kCycle = 1 << 16;

// From one beat of data to the next, at least. Memory of the device's own keeps up with its bus.
uint64_t BeatCost(const Settings& settings, bool on_device);

}  // namespace accel_fletcher

#endif  // ACCEL_SIMS_FLETCHER_LINK_H_
