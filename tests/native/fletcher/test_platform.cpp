// Checks the simulated Fletcher platform, with its functional model, through its C ABI; meant to
// run under the sanitizers.
//
// Exits with 1 and names the check that failed.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "fletcher.h"

namespace {

#define CHECK(condition) Check((condition), #condition, __LINE__)

void Check(bool ok, const char* what, int line) {
    if (ok) return;
    std::fprintf(stderr, "test_platform.cpp:%d: %s\n", line, what);
    std::exit(1);
}

// A column `skew` bytes behind a multiple of 64, in memory that ends with its last row: the
// sanitizer sees a read behind it.
struct Column {
    Column(size_t rows, size_t skew) : size(rows * 8), skew_(skew) {
        void* memory = nullptr;
        CHECK(posix_memalign(&memory, 64, skew + size) == 0);
        memory_.reset(static_cast<uint8_t*>(memory));
        for (size_t i = 0; i < rows; ++i) {
            const uint64_t row = i * 0x9E3779B97F4A7C15u;
            std::memcpy(memory_.get() + skew + i * 8, &row, 8);
        }
    }
    const uint8_t* data() const { return memory_.get() + skew_; }
    uint64_t Sum(size_t first, size_t last) const {
        uint64_t sum = 0;
        for (size_t i = first; i < last; ++i) sum += i * 0x9E3779B97F4A7C15u;
        return sum;
    }
    const size_t size;

  private:
    struct Free {
        void operator()(uint8_t* data) const { std::free(data); }
    };
    size_t skew_;
    std::unique_ptr<uint8_t, Free> memory_;
};

uint32_t Read(uint64_t index) {
    uint32_t value = 0;
    CHECK(platformReadMMIO(index, &value) == 0);
    return value;
}

void Write(uint64_t index, uint32_t value) { CHECK(platformWriteMMIO(index, value) == 0); }

uint32_t Run(uint64_t address, size_t first, size_t last) {
    Write(4, static_cast<uint32_t>(first));
    Write(5, static_cast<uint32_t>(last));
    Write(6, static_cast<uint32_t>(address));
    Write(7, static_cast<uint32_t>(address >> 32));
    Write(0, 4);
    Write(0, 1);
    Write(0, 0);
    uint32_t status = 0;
    while (!(status & 4)) status = Read(1);
    return status;
}

uint64_t Result() { return Read(2) | uint64_t{Read(3)} << 32; }

void TestSums() {
    for (size_t rows : {1, 7, 8, 9, 31, 32, 33, 1000}) {
        for (size_t skew : {0, 8, 24}) {
            const Column column(rows, skew);
            uint64_t address = 0;
            int alloced = -1;
            CHECK(platformPrepareHostBuffer(column.data(), &address,
                                            static_cast<int64_t>(column.size), &alloced) == 0);
            CHECK(alloced == (skew != 0));
            for (size_t first = 0; first < rows; first += 3) {
                CHECK(Run(address, first, rows) == 5);
                CHECK(Result() == column.Sum(first, rows));
            }
            if (alloced) CHECK(platformDeviceFree(address) == 0);
        }
    }
}

void TestFaults() {
    uint64_t address = 0;
    CHECK(platformDeviceMalloc(&address, 64) == 0);
    const std::vector<uint8_t> zeros(64);
    CHECK(platformCopyHostToDevice(zeros.data(), address, 64) == 0);
    CHECK(Run(address, 0, 8) == 5);
    CHECK(Run(address, 0, 9) == 13);
    CHECK(std::strlen(accel_fletcher_last_error()) > 0);
    CHECK(platformTerminate(nullptr) == 0);
    CHECK(platformDeviceFree(address) == 0);
    CHECK(platformDeviceFree(address) == 0);
    CHECK(Run(address, 0, 8) == 13);
    for (uint64_t wild : {uint64_t{0}, uint64_t{64}, UINT64_MAX - 63})
        CHECK(Run(wild, 0, 99) == 13);
    CHECK(Run(0, UINT32_MAX, 0) == 5 && Result() == 0);
}

void TestArguments() {
    char name[4] = "???";
    CHECK(platformGetName(name, 4) == 0 && std::strcmp(name, "sim") == 0);
    CHECK(platformGetName(name, 1) == 0 && name[0] == '\0');
    CHECK(platformGetName(nullptr, 64) == 1 && platformGetName(name, 0) == 1);
    uint64_t address = 1;
    int alloced = 1;
    CHECK(platformPrepareHostBuffer(nullptr, &address, 0, &alloced) == 0);
    CHECK(address == 0 && alloced == 0);
    CHECK(platformPrepareHostBuffer(nullptr, &address, 8, &alloced) == 1);
    CHECK(platformPrepareHostBuffer(nullptr, nullptr, 0, nullptr) == 1);
    CHECK(platformCacheHostBuffer(nullptr, &address, 0) == 0 && address == 0);
    CHECK(platformDeviceMalloc(&address, INT64_MAX) == 3);
    CHECK(platformDeviceMalloc(&address, -1) == 1);
    CHECK(platformDeviceMalloc(nullptr, 1) == 1);
    CHECK(platformCopyDeviceToHost(0, nullptr, 0) == 0);
    CHECK(platformCopyDeviceToHost(UINT64_MAX - 7, reinterpret_cast<uint8_t*>(name), 4) == 1);
    CHECK(platformReadMMIO(0, nullptr) == 1);
    CHECK(accel_fletcher_sim_set(nullptr, 0) == -1);
    CHECK(accel_fletcher_sim_set("functional", 0) == -1);  // this program has no RTL
    CHECK(accel_fletcher_sim_set("functional", 1) == 0);
}

}  // namespace

int main() {
    CHECK(platformTerminate(nullptr) == 0);
    CHECK(std::strcmp(accel_fletcher_model(), "functional") == 0);
    CHECK(platformInit(nullptr) == 0 && platformInit(nullptr) == 0);
    TestSums();
    TestFaults();
    TestArguments();
    uint64_t kept = 0;  // freed by nobody: the library's own end does
    CHECK(platformDeviceMalloc(&kept, 1000) == 0);
    return 0;
}
