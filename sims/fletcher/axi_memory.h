// The memory side of the RTL's bus: an AXI4 slave in front of Memory, with latency, limited
// bandwidth and random back-pressure.
#ifndef ACCEL_SIMS_FLETCHER_AXI_MEMORY_H_
#define ACCEL_SIMS_FLETCHER_AXI_MEMORY_H_

#include <array>
#include <cstdint>

#include "fletcher_card.h"
#include "kernel.h"
#include "link.h"

namespace accel_fletcher {

enum class Response : uint8_t { kOkay = 0, kSlaveError = 2, kDecodeError = 3 };

// One beat on the read data channel; `data` holds kBusBytes, or is NULL in a beat with an error.
struct Beat {
    const uint8_t* data;
    Response response;
    bool last;
};

class AxiMemory {
  public:
    AxiMemory(const Memory& memory, const Settings& settings)
        : memory_(memory), settings_(settings) {}

    // The host has been at work: what is under way is looked up again, settings are read.
    void Refresh();
    void Clear();  // forget what is under way, and the fault
    uint64_t FaultAddress() const { return fault_; }

    // One clock cycle: is a request taken, and is there a beat?
    bool Ready() { return count_ < kOutstanding && !Stalls(); }
    void Request(uint64_t address, uint32_t beats);
    bool NextBeat(Beat* beat);
    void EndCycle() { ++now_; }

  private:
    struct Burst {
        uint64_t address;
        uint32_t beats;
        uint32_t given;
        uint32_t good;  // beats before the first that cannot be read
        bool legal;
        View view;  // of the first beat
        uint64_t ready;
    };
    void Locate(Burst* burst);
    View Find(uint64_t address, uint64_t size);
    bool Stalls();

    const Memory& memory_;
    const Settings& settings_;
    std::array<Burst, kOutstanding> bursts_{};
    uint32_t head_ = 0;
    uint32_t count_ = 0;
    uint64_t now_ = 0;
    uint64_t due_ = 0;  // when the link has the next beat, of kCycle parts
    uint64_t link_cost_ = kCycle;
    uint64_t fault_ = 0;
    View window_{nullptr, 0, false};  // the last memory found, at address window_start_
    uint64_t window_start_ = 0;
    uint64_t seed_ = 0;
    uint64_t random_ = 0;
};

// Here, because they run in every cycle.

// SplitMix64, two bits of each number: a stall in a quarter of the cycles.
inline bool AxiMemory::Stalls() {
    if (seed_ == 0) return false;
    uint64_t z = random_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z >> 62 == 0;
}

inline bool AxiMemory::NextBeat(Beat* beat) {
    if (count_ == 0) return false;
    Burst& burst = bursts_[head_];
    const uint64_t time = now_ * kCycle;
    if (burst.ready > now_ || due_ >= time + kCycle || Stalls()) return false;
    const uint64_t cost = burst.view.on_device ? kCycle : link_cost_;
    due_ = (due_ > time ? due_ : time) + cost;  // the fraction is kept, spare time is not
    const bool good = burst.given < burst.good;
    beat->data = good ? burst.view.data + burst.given * kBusBytes : nullptr;
    beat->response = good          ? Response::kOkay
                     : burst.legal ? Response::kDecodeError
                                   : Response::kSlaveError;
    if (!good && fault_ == 0) fault_ = burst.address + burst.given * kBusBytes;
    beat->last = ++burst.given == burst.beats;
    if (beat->last) {
        head_ = (head_ + 1) % kOutstanding;
        --count_;
    }
    return true;
}

}  // namespace accel_fletcher

#endif  // ACCEL_SIMS_FLETCHER_AXI_MEMORY_H_
