#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "fletcher_card.h"

namespace accel_fletcher {
namespace {

constexpr uint64_t kAlignment = 4096;             // as all known platforms allocate
constexpr uint64_t kLargest = uint64_t{1} << 47;  // no x86-64 process has more
constexpr uint64_t kWindow = uint64_t{64} << 20;  // checked with the host's tables at a time

uint64_t RoundUp(uint64_t size) { return (size + kBusBytes - 1) / kBusBytes * kBusBytes; }

// Whether the host still has all of this memory: the runtime never says when it gives lent memory
// back. msync with MS_ASYNC writes nothing and fails for what is not mapped.
bool IsMapped(uint64_t address, uint64_t size) {
    static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t start = address / page * page;
    return msync(reinterpret_cast<void*>(start), address - start + size, MS_ASYNC) == 0;
}

}  // namespace

void Memory::Release::operator()(uint8_t* data) const { std::free(data); }

uint64_t Memory::Allocate(uint64_t size) {
    if (size > kLargest) return 0;
    size = RoundUp(std::max<uint64_t>(size, 1));
    if (used_ > limit_ || size > limit_ - used_) return 0;
    void* data = nullptr;
    if (posix_memalign(&data, kAlignment, size) != 0) return 0;
    std::unique_ptr<uint8_t, Release> owner(static_cast<uint8_t*>(data));
    const uint64_t address = reinterpret_cast<uintptr_t>(data);
    // What lies behind the last whole word is read by the bus, and added by nobody.
    std::fill_n(owner.get() + size - kBusBytes, kBusBytes, uint8_t{0});
    own_[address] = Own{std::move(owner), size};
    used_ += size;
    return address;
}

void Memory::Free(uint64_t address) {
    const auto found = own_.find(address);
    if (found == own_.end()) return;
    used_ -= found->second.size;
    own_.erase(found);
}

// Lent memory is never given back, so neighbours become one: the map stays as small as the parts of
// the address space that were ever lent.
void Memory::Lend(const uint8_t* data, uint64_t size) {
    if (size == 0) return;
    uint64_t first = reinterpret_cast<uintptr_t>(data);
    uint64_t end = first + RoundUp(size);
    auto next = lent_.upper_bound(end);
    while (next != lent_.begin()) {
        const auto before = std::prev(next);
        if (before->second < first) break;
        first = std::min(first, before->first);
        end = std::max(end, before->second);
        next = lent_.erase(before);
    }
    lent_[first] = end;
}

uint8_t* Memory::FindOwn(uint64_t address, uint64_t size) const {
    auto found = own_.upper_bound(address);
    if (found == own_.begin()) return nullptr;
    const auto& [start, own] = *std::prev(found);
    const uint64_t offset = address - start;
    if (offset > own.size || size > own.size - offset) return nullptr;
    return own.data.get() + offset;
}

View Memory::Find(uint64_t address, uint64_t size) const {
    if (const uint8_t* own = FindOwn(address, size)) {
        const auto& [start, region] = *std::prev(own_.upper_bound(address));
        return {own, start + region.size - address, true};
    }
    const View none{nullptr, 0, false};
    const auto found = lent_.upper_bound(address);
    if (found == lent_.begin()) return none;
    const uint64_t end = std::prev(found)->second;
    if (end <= address || size > end - address) return none;
    uint64_t window = std::max(size, std::min(end - address, kWindow));
    if (!IsMapped(address, window)) {
        window = size;
        if (!IsMapped(address, window)) return none;
    }
    return {reinterpret_cast<const uint8_t*>(static_cast<uintptr_t>(address)), window, false};
}

}  // namespace accel_fletcher
