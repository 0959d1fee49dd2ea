// The kernel's registers and states in C++: as fast as memory, with an estimate of its cycles.
#include <algorithm>

#include "fletcher_card.h"
#include "kernel.h"
#include "link.h"

namespace accel_fletcher {
namespace {

constexpr uint64_t kRowBytes = 8;
constexpr uint64_t kBeatRows = kBusBytes / kRowBytes;
// Command, unlock and the adder tree: what the RTL takes beside its reads.
constexpr uint64_t kOverheadCycles = 10;
// About a millisecond of summing.
constexpr uint64_t kDefaultPollCycles = 1 << 17;

// Several sums side by side, so that the compiler can use the widest registers there are.
uint64_t SumRows(const uint64_t* rows, uint64_t count) {
    uint64_t lanes[32] = {};
    uint64_t i = 0;
    for (; i + 32 <= count; i += 32) {
        for (uint64_t lane = 0; lane < 32; ++lane) lanes[lane] += rows[i + lane];
    }
    uint64_t sum = 0;
    for (uint64_t lane : lanes) sum += lane;
    for (; i < count; ++i) sum += rows[i];
    return sum;
}

class FunctionalKernel final : public Kernel {
  public:
    FunctionalKernel(const Memory& memory, const Settings& settings)
        : memory_(memory), settings_(settings) {}

    const char* Model() const override { return "functional"; }
    uint64_t Cycles() const override { return cycles_ / kCycle; }
    uint64_t FaultAddress() const override { return fault_; }

    void Write(uint32_t index, uint32_t value) override {
        if (index >= kFirst) {
            registers_[index] = value;
        } else if (index == kControl) {
            Control(value);
        }
    }

    uint32_t Read(uint32_t index) override {
        switch (index) {
            case kControl:
                return 0;  // its bits are strobes
            case kStatus:
                return status_;
            case kResultLow:
                return static_cast<uint32_t>(sum_);
            case kResultHigh:
                return static_cast<uint32_t>(sum_ >> 32);
            default:
                return registers_[index];
        }
    }

    void Advance() override {
        if (status_ != kBusy) return;
        const uint64_t poll = settings_.poll_cycles ? settings_.poll_cycles : kDefaultPollCycles;
        const uint64_t before = cycles_;
        do {
            if (row_ >= end_) {
                status_ = kIdle | kDone;
            } else if (!SumNext()) {
                status_ = kIdle | kDone | kAxiError;
            }
        } while (status_ == kBusy && (cycles_ - before) / kCycle < poll);
    }

    void Reset() override {
        status_ = kIdle;
        sum_ = 0;
        fault_ = 0;
    }

  private:
    void Control(uint32_t value) {
        if (status_ == kIdle && value & kStart) {
            Begin();
        } else if (status_ & kDone && value & kReset) {
            Reset();
        }
    }

    // Registers may be written while the kernel runs: the command has taken its copy by then.
    void Begin() {
        status_ = kBusy;
        base_ = uint64_t{registers_[kAddressHigh]} << 32 | registers_[kAddressLow];
        base_ -= base_ % kBusBytes;
        row_ = registers_[kFirst];
        end_ = std::max<uint64_t>(row_, registers_[kLast]);
        cycles_ += (kOverheadCycles + (row_ < end_ ? settings_.latency_cycles : 0)) * kCycle;
    }

    // Sum up to a poll's share of what lies in one piece of memory. False: it may not be read.
    bool SumNext() {
        const uint64_t word = base_ + row_ / kBeatRows * kBusBytes;
        const View view = memory_.Find(word, kBusBytes);
        if (!view.data) {
            fault_ = word;
            return false;
        }
        const uint64_t skipped = row_ % kBeatRows;
        const uint64_t beats = std::min(view.size / kBusBytes, kDefaultPollCycles);
        const uint64_t capped = std::min(beats, PollBeats(view.on_device));
        const uint64_t rows = std::min(capped * kBeatRows - skipped, end_ - row_);
        sum_ += SumRows(reinterpret_cast<const uint64_t*>(view.data) + skipped, rows);
        row_ += rows;
        cycles_ += (skipped + rows + kBeatRows - 1) / kBeatRows * Cost(view.on_device);
        return true;
    }

    uint64_t PollBeats(bool on_device) const {
        if (!settings_.poll_cycles) return kDefaultPollCycles;
        const uint64_t cycles = std::min(settings_.poll_cycles, kDefaultPollCycles);
        return std::max<uint64_t>(1, cycles * kCycle / Cost(on_device));
    }

    // The link, or the bursts under way when the latency is long; back-pressure by its mean.
    uint64_t Cost(bool on_device) const {
        const uint64_t latency = std::min<uint64_t>(settings_.latency_cycles, 1'000'000);
        const uint64_t by_latency = latency * kCycle / (kOutstanding * kBurstBeats);
        const uint64_t cost = std::max(BeatCost(settings_, on_device), by_latency);
        return settings_.stall_seed ? cost + kCycle / 3
                                    : cost;  // stalls in a quarter of all cycles
    }

    const Memory& memory_;
    const Settings& settings_;
    uint32_t registers_[kRegisters] = {};
    uint32_t status_ = kIdle;
    uint64_t base_ = 0;
    uint64_t row_ = 0;
    uint64_t end_ = 0;
    uint64_t sum_ = 0;
    uint64_t fault_ = 0;
    uint64_t cycles_ = 0;  // of kCycle parts
};

}  // namespace

std::unique_ptr<Kernel> MakeFunctionalKernel(const Memory& memory, const Settings& settings) {
    return std::make_unique<FunctionalKernel>(memory, settings);
}

}  // namespace accel_fletcher
