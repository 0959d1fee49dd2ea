// What the simulated device may read and write: memory of its own, and host memory lent to it.
#ifndef ACCEL_SIMS_FLETCHER_MEMORY_H_
#define ACCEL_SIMS_FLETCHER_MEMORY_H_

#include <cstdint>
#include <map>
#include <memory>

namespace accel_fletcher {

// A stretch of memory at a device address, good until the host runs again.
struct View {
    const uint8_t* data;  // NULL: an access fails
    uint64_t size;        // bytes from here on
    bool on_device;       // not behind the host link
};

class Memory {
  public:
    // Both sizes are rounded up to the bus word: a reader fetches whole words. Allocate returns 0
    // when there is not enough.
    uint64_t Allocate(uint64_t size);
    void Free(uint64_t address);
    void Lend(const uint8_t* data, uint64_t size);
    void Limit(uint64_t bytes) { limit_ = bytes; }

    // At least `size` bytes at `address`, or a view that fails.
    View Find(uint64_t address, uint64_t size) const;
    // The same in memory of the device's own; NULL if it is not.
    uint8_t* FindOwn(uint64_t address, uint64_t size) const;

  private:
    struct Release {
        void operator()(uint8_t* data) const;
    };
    struct Own {
        std::unique_ptr<uint8_t, Release> data;
        uint64_t size;
    };
    std::map<uint64_t, Own> own_;        // by address
    std::map<uint64_t, uint64_t> lent_;  // first address, address behind the last; none touch
    uint64_t limit_ = UINT64_MAX;
    uint64_t used_ = 0;
};

}  // namespace accel_fletcher

#endif  // ACCEL_SIMS_FLETCHER_MEMORY_H_
