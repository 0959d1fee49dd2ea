// The kernel in the simulated bitstream: sums rows of one int64 column. Two models of the same
// registers.
#ifndef ACCEL_SIMS_FLETCHER_KERNEL_H_
#define ACCEL_SIMS_FLETCHER_KERNEL_H_

#include <cstdint>
#include <memory>

#include "memory.h"

namespace accel_fletcher {

// Register indices and bits of the design; fletcher_ext.abi.h says what they mean.
enum Register : uint32_t {
    kControl,
    kStatus,
    kResultLow,
    kResultHigh,
    kFirst,
    kLast,
    kAddressLow,
    kAddressHigh,
    kRegisters
};
enum ControlBit : uint32_t { kStart = 1, kStop = 2, kReset = 4 };
enum StatusBit : uint32_t { kIdle = 1, kBusy = 2, kDone = 4, kAxiError = 8 };

// Bursts the reader has under way at once, and beats of each: parameters of fletcher_sum.sv.
constexpr uint32_t kOutstanding = 16;
constexpr uint32_t kBurstBeats = 16;

// 250 MHz is what fletcher-aws designs close at; 16 GB/s is the payload of PCIe gen3 x16, rounded.
struct Settings {
    uint64_t clock_hz = 250'000'000;
    uint64_t link_bytes_per_s = 16'000'000'000;
    uint64_t latency_cycles = 128;
    uint64_t stall_seed = 0;
    uint64_t poll_cycles = 0;
};

class Kernel {
  public:
    virtual ~Kernel() = default;

    virtual const char* Model() const = 0;
    virtual void Write(uint32_t index, uint32_t value) = 0;
    virtual uint32_t Read(uint32_t index) = 0;
    // Let poll_cycles pass, or less if the kernel gets done.
    virtual void Advance() = 0;
    // As the card's reset line does, but ranges and addresses stay.
    virtual void Reset() = 0;
    virtual uint64_t Cycles() const = 0;
    // Where the last run read what it may not; 0 when it did not.
    virtual uint64_t FaultAddress() const = 0;
};

// The references must outlive the kernel.
std::unique_ptr<Kernel> MakeFunctionalKernel(const Memory& memory, const Settings& settings);
// NULL when the library was built without it.
std::unique_ptr<Kernel> MakeRtlKernel(const Memory& memory, const Settings& settings);

}  // namespace accel_fletcher

#endif  // ACCEL_SIMS_FLETCHER_KERNEL_H_
