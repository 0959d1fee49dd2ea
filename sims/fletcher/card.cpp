// The simulated card: memory, a link to the host, and one of the two models of the kernel.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "fletcher_card.h"
#include "kernel.h"
#include "memory.h"

namespace accel_fletcher {
namespace {

constexpr char kModelVariable[] = "ACCEL_FLETCHER_MODEL";

std::string Hex(uint64_t value) {
    char text[2 + 16 + 1];
    std::snprintf(text, sizeof text, "0x%" PRIx64, value);
    return text;
}

class SimulatedCard final : public Card {
  public:
    SimulatedCard() {
        const char* named = std::getenv(kModelVariable);
        const std::string wanted = named ? named : "";
        try {
            if (wanted != "functional") kernel_ = MakeRtlKernel(memory_, settings_);
        } catch (const std::runtime_error& error) {
            refusal_ = error.what();
        }
        if (wanted == "rtl" && !kernel_ && refusal_.empty()) {
            refusal_ = "ACCEL_FLETCHER_MODEL=rtl: this library was built without the RTL model";
        } else if (!wanted.empty() && wanted != "rtl" && wanted != "functional") {
            refusal_ = "ACCEL_FLETCHER_MODEL is neither rtl nor functional";
        }
        if (!kernel_) kernel_ = MakeFunctionalKernel(memory_, settings_);
    }

    Status Reset() override {
        if (!refusal_.empty()) return Fail(Status::kError, refusal_);
        kernel_->Reset();
        reported_ = false;
        return Status::kOk;
    }

    Status WriteRegister(uint64_t index, uint32_t value) override {
        if (index >= kRegisters) return NoRegister(index);
        kernel_->Write(static_cast<uint32_t>(index), value);
        return Status::kOk;
    }

    Status ReadRegister(uint64_t index, uint32_t* value) override {
        if (index >= kRegisters) return NoRegister(index);
        if (index == kStatus) kernel_->Advance();
        *value = kernel_->Read(static_cast<uint32_t>(index));
        if (index == kStatus) Report(*value);
        return Status::kOk;
    }

    Status Allocate(uint64_t size, uint64_t* address) override {
        const uint64_t found = memory_.Allocate(size);
        if (!found)
            return Fail(Status::kOutOfMemory,
                        "no device memory for " + std::to_string(size) + " bytes");
        *address = found;
        return Status::kOk;
    }
    void Free(uint64_t address) override { memory_.Free(address); }
    void Lend(const uint8_t* data, uint64_t size) override { memory_.Lend(data, size); }

    Status Write(uint64_t address, const uint8_t* data, uint64_t size) override {
        if (size == 0) return Status::kOk;
        uint8_t* own = memory_.FindOwn(address, size);
        if (!own) return NoMemory("written", address, size);
        std::memcpy(own, data, size);
        copied_bytes_ += size;
        return Status::kOk;
    }

    Status Read(uint64_t address, uint8_t* data, uint64_t size) override {
        if (size == 0) return Status::kOk;
        const View view = memory_.Find(address, size);
        if (!view.data) return NoMemory("read", address, size);
        std::memcpy(data, view.data, size);
        copied_bytes_ += size;
        return Status::kOk;
    }

    const char* Model() const override { return kernel_->Model(); }
    uint64_t Cycles() const override { return earlier_cycles_ + kernel_->Cycles(); }
    double DeviceSeconds() const override {
        return static_cast<double>(Cycles()) / static_cast<double>(settings_.clock_hz) +
               static_cast<double>(copied_bytes_) / static_cast<double>(settings_.link_bytes_per_s);
    }
    const std::string& LastError() const override { return error_; }
    Status Fail(Status status, std::string text) override {
        error_ = std::move(text);
        return status;
    }

    bool Set(const char* name, uint64_t value) override {
        const std::string key = name;
        if (key == "functional") return value <= 1 && SetModel(value == 1);
        if (key == "device_memory_bytes") {
            memory_.Limit(value);
            return true;
        }
        if ((key == "clock_hz" || key == "link_bytes_per_s") && value == 0) return false;
        uint64_t* setting = key == "clock_hz"           ? &settings_.clock_hz
                            : key == "link_bytes_per_s" ? &settings_.link_bytes_per_s
                            : key == "latency_cycles"   ? &settings_.latency_cycles
                            : key == "stall_seed"       ? &settings_.stall_seed
                            : key == "poll_cycles"      ? &settings_.poll_cycles
                                                        : nullptr;
        if (setting) *setting = value;
        return setting;
    }

  private:
    bool SetModel(bool functional) {
        auto kernel = functional ? MakeFunctionalKernel(memory_, settings_)
                                 : MakeRtlKernel(memory_, settings_);
        if (!kernel) {
            error_ = "this library was built without the RTL model";
            return false;
        }
        for (uint32_t index = kFirst; index < kRegisters; ++index)
            kernel->Write(index, kernel_->Read(index));
        earlier_cycles_ += kernel_->Cycles();
        kernel_ = std::move(kernel);
        refusal_.clear();  // the caller knows what it wants
        reported_ = false;
        return true;
    }

    // The status register has no room for an address: keep a text, once for each run.
    void Report(uint32_t status) {
        if (!(status & kAxiError)) {
            reported_ = false;
        } else if (!reported_) {
            reported_ = true;
            error_ = "AXI read error at device address " + Hex(kernel_->FaultAddress()) +
                     ": outside prepared and allocated memory";
        }
    }

    Status NoRegister(uint64_t index) {
        return Fail(Status::kError, "no register " + std::to_string(index) +
                                        ": the design has one batch of one column, registers 0 "
                                        "to 7");
    }
    Status NoMemory(const char* verb, uint64_t address, uint64_t size) {
        return Fail(Status::kError, "device address " + Hex(address) + " cannot be " + verb +
                                        ": no " + std::to_string(size) +
                                        " bytes of allocated memory there");
    }

    Memory memory_;
    Settings settings_;
    std::unique_ptr<Kernel> kernel_;
    std::string refusal_;  // why the card does not open
    std::string error_;
    bool reported_ = false;
    uint64_t earlier_cycles_ = 0;  // of models that were replaced
    uint64_t copied_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Card> OpenCard() { return std::make_unique<SimulatedCard>(); }

}  // namespace accel_fletcher
