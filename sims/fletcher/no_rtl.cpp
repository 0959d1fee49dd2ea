// Stands in for rtl.cpp where Verilator is not at hand.
#include "kernel.h"

namespace accel_fletcher {

std::unique_ptr<Kernel> MakeRtlKernel(const Memory&, const Settings&) { return nullptr; }

}  // namespace accel_fletcher
