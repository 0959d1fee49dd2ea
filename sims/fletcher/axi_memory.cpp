#include "axi_memory.h"

namespace accel_fletcher {
namespace {

constexpr uint64_t kPage = 4096;  // AXI4: no burst crosses such a boundary

bool IsLegal(uint64_t address, uint32_t beats) {
    return address % kBusBytes == 0 && beats <= kBurstBeats &&
           address % kPage + beats * kBusBytes <= kPage;
}

}  // namespace

void AxiMemory::Refresh() {
    window_ = {nullptr, 0, false};
    link_cost_ = BeatCost(settings_, false);
    if (seed_ != settings_.stall_seed) seed_ = random_ = settings_.stall_seed;
    for (uint32_t i = 0; i < count_; ++i) Locate(&bursts_[(head_ + i) % kOutstanding]);
}

void AxiMemory::Clear() {
    head_ = count_ = 0;
    fault_ = 0;
    due_ = 0;
}

void AxiMemory::Request(uint64_t address, uint32_t beats) {
    Burst& burst = bursts_[(head_ + count_++) % kOutstanding];
    burst = {address,
             beats,
             0,
             0,
             IsLegal(address, beats),
             {nullptr, 0, false},
             now_ + settings_.latency_cycles};
    Locate(&burst);
}

void AxiMemory::Locate(Burst* burst) {
    burst->good = 0;
    burst->view = {nullptr, 0, false};
    if (!burst->legal) return;
    burst->view = Find(burst->address, burst->beats * kBusBytes);
    if (burst->view.data) {
        burst->good = burst->beats;
        return;
    }
    // The burst runs out of memory on its way, or some of it has gone: as far as it is good.
    for (; burst->good < burst->beats; ++burst->good) {
        const View beat = Find(burst->address + burst->good * kBusBytes, kBusBytes);
        if (!beat.data) return;
        if (burst->good == 0) burst->view = beat;
        // Two regions that touch at device addresses do so in the host's memory, too.
    }
}

View AxiMemory::Find(uint64_t address, uint64_t size) {
    const uint64_t offset = address - window_start_;
    if (!window_.data || offset >= window_.size || size > window_.size - offset) {
        const View found = memory_.Find(address, size);
        if (!found.data) return found;
        window_ = found;
        window_start_ = address;
        return found;
    }
    return {window_.data + offset, window_.size - offset, window_.on_device};
}

}  // namespace accel_fletcher
