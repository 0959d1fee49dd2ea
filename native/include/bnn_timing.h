// What the modelled hardware would have taken: the back-end's question to the simulator.
#ifndef ACCEL_NATIVE_BNN_TIMING_H_
#define ACCEL_NATIVE_BNN_TIMING_H_

#include <cstdint>

#include "bnn_network.h"

namespace bnn {

// Modelled seconds of one call with so many images.
double CallSeconds(const Network& network, uint64_t images);

}  // namespace bnn

#endif  // ACCEL_NATIVE_BNN_TIMING_H_
