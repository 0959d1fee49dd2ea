// The kernel in Verilog, cycle by cycle: Verilator's model of fletcher_sum between a bus master for
// the registers and AxiMemory.
#include <Vfletcher_sum.h>
#include <verilated.h>
#include <verilated_fst_c.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "axi_memory.h"
#include "kernel.h"

// Verilator's run time ends the process on errors of its own; a library must not.
void vl_finish(const char*, int, const char*) VL_MT_UNSAFE {}
void vl_stop(const char* file, int line, const char*) VL_MT_UNSAFE {
    throw std::runtime_error(std::string("the RTL stopped at ") + file + ":" +
                             std::to_string(line));
}
void vl_fatal(const char*, int, const char*, const char* text) VL_MT_UNSAFE {
    throw std::runtime_error(text);
}

namespace accel_fletcher {
namespace {

constexpr char kTraceVariable[] = "ACCEL_SIM_TRACE";
constexpr uint64_t kDefaultPollCycles = 1 << 13;  // about a millisecond
constexpr int kBusTimeout = 100;                  // cycles a register access takes at most
constexpr uint64_t kHalfPeriod = 1;

class RtlKernel final : public Kernel {
  public:
    RtlKernel(const Memory& memory, const Settings& settings)
        : settings_(settings), bus_(memory, settings), top_(&context_) {
        OpenTrace();
        Reset();
    }
    ~RtlKernel() override {
        if (trace_) trace_->close();
        top_.final();
    }

    const char* Model() const override { return "rtl"; }
    uint64_t Cycles() const override { return cycles_; }
    uint64_t FaultAddress() const override { return bus_.FaultAddress(); }

    void Write(uint32_t index, uint32_t value) override {
        bus_.Refresh();
        if (index >= kFirst) kept_[index] = value;
        WriteBus(index, value);
        Tick();  // the strobes reach the states
        if (!top_.busy && index == kControl && value & kReset) bus_.Clear();
    }

    uint32_t Read(uint32_t index) override {
        bus_.Refresh();
        top_.s_axil_araddr = index * 4;
        top_.s_axil_arvalid = 1;
        Tick();
        top_.s_axil_arvalid = 0;
        for (int i = 0; !top_.s_axil_rvalid; ++i) TickInTime(i);
        const uint32_t value = top_.s_axil_rdata;
        top_.s_axil_rready = 1;
        Tick();
        top_.s_axil_rready = 0;
        return value;
    }

    void Advance() override {
        bus_.Refresh();
        uint64_t left = settings_.poll_cycles ? settings_.poll_cycles : kDefaultPollCycles;
        if (trace_) {
            for (; left > 0 && top_.busy; --left) Tick();
        } else {
            for (; left > 0 && top_.busy; --left) TickUntraced();
        }
    }

    void Reset() override {
        bus_.Clear();
        bus_.Refresh();
        top_.aresetn = 0;
        for (int i = 0; i < 4; ++i) Tick();
        bus_.Clear();  // the first edge may have taken a request that the reader has forgotten
        top_.aresetn = 1;
        for (uint32_t index = kFirst; index < kRegisters; ++index) WriteBus(index, kept_[index]);
    }

  private:
    void OpenTrace() {
        const char* path = std::getenv(kTraceVariable);
        if (!path || !*path) return;
        // The writer takes a file that it cannot open for a good one.
        FILE* file = std::fopen(path, "wb");
        if (!file) throw std::runtime_error(std::string(kTraceVariable) + ": cannot write " + path);
        std::fclose(file);
        context_.traceEverOn(true);
        trace_ = std::make_unique<VerilatedFstC>();
        top_.trace(trace_.get(), 99);
        trace_->open(path);
    }

    void WriteBus(uint32_t index, uint32_t value) {
        top_.s_axil_awaddr = index * 4;
        top_.s_axil_awvalid = 1;
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 0xf;
        top_.s_axil_wvalid = 1;
        Tick();
        top_.s_axil_awvalid = top_.s_axil_wvalid = 0;
        for (int i = 0; !top_.s_axil_bvalid; ++i) TickInTime(i);
        top_.s_axil_bready = 1;
        Tick();
        top_.s_axil_bready = 0;
    }

    void TickInTime(int cycle) {
        if (cycle == kBusTimeout) throw std::runtime_error("the RTL does not answer on its bus");
        Tick();
    }

    void Tick() {
        TickUntraced();
        if (!trace_) return;
        trace_->dump(context_.time());
        context_.timeInc(kHalfPeriod);
    }

    // All outputs follow from registers, so that before an edge they are what they were behind the
    // last one, and inputs may change together with the rising clock: two evaluations in all, of
    // which the falling one finds nothing to do.
    void TickUntraced() {
        cycles_ += top_.busy;
        top_.aclk = 0;
        top_.eval();
        if (trace_) {
            trace_->dump(context_.time());
            context_.timeInc(kHalfPeriod);
        }
        top_.m_axi_arready = bus_.Ready();
        if (top_.m_axi_arvalid && top_.m_axi_arready)
            bus_.Request(top_.m_axi_araddr, uint32_t{top_.m_axi_arlen} + 1);
        Beat beat;
        top_.m_axi_rvalid = bus_.NextBeat(&beat);
        if (top_.m_axi_rvalid) {
            if (beat.data) std::memcpy(top_.m_axi_rdata.data(), beat.data, kBusBytes);
            top_.m_axi_rresp = static_cast<uint8_t>(beat.response);
            top_.m_axi_rlast = beat.last;
        }
        top_.aclk = 1;
        top_.eval();
        bus_.EndCycle();
    }

    const Settings& settings_;
    AxiMemory bus_;
    VerilatedContext context_;
    Vfletcher_sum top_;
    std::unique_ptr<VerilatedFstC> trace_;
    uint32_t kept_[kRegisters] = {};  // what the card's reset would lose
    uint64_t cycles_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> MakeRtlKernel(const Memory& memory, const Settings& settings) {
    return std::make_unique<RtlKernel>(memory, settings);
}

}  // namespace accel_fletcher
