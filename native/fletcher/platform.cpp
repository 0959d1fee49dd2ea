// A Fletcher platform library: the C ABI that Fletcher's runtime loads, over a Card.
//
// The runtime ends its process when a call fails, so calls fail only for what cannot be right, and
// whatever a Context or Platform that outlives the other does is harmless. No exception leaves.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>

#include "fletcher.h"
#include "fletcher_card.h"

namespace accel_fletcher {
namespace {

constexpr char kName[] = "sim";

// The ABI has no handle, so there is one card to a library; a second one is a second copy of the
// file.
struct Library {
    std::mutex mutex;
    std::unique_ptr<Card> card = OpenCard();
};

Library& TheLibrary() {
    static Library library;
    return library;
}

// Run `call` on the card, alone. Memory can run out below this, or the RTL's run time give up.
template <typename Call>
Status WithCard(Call call) noexcept {
    try {
        Library& library = TheLibrary();
        std::lock_guard<std::mutex> lock(library.mutex);
        try {
            return call(*library.card);
        } catch (const std::runtime_error& error) {
            return library.card->Fail(Status::kError, error.what());
        }
    } catch (const std::bad_alloc&) {
        return Status::kOutOfMemory;
    } catch (...) {
        return Status::kError;
    }
}

template <typename Call>
uint64_t Answer(Call call) noexcept {
    return static_cast<uint64_t>(WithCard(call));
}

Status CopyIn(Card& card, const uint8_t* src, uint64_t* dst, uint64_t size) {
    uint64_t address = 0;
    Status status = card.Allocate(size, &address);
    if (status != Status::kOk) return status;
    status = card.Write(address, src, size);
    if (status != Status::kOk) {
        card.Free(address);  // the runtime forgets buffers whose call failed
        return status;
    }
    *dst = address;
    return Status::kOk;
}

// Why arguments that describe host memory cannot be right, or NULL.
const char* Objection(const void* data, int64_t size) {
    if (size < 0) return "a negative size";
    if (!data && size > 0) return "a null pointer with a size";
    return nullptr;
}

}  // namespace
}  // namespace accel_fletcher

using accel_fletcher::Answer;
using accel_fletcher::Card;
using accel_fletcher::Status;

uint64_t platformGetName(char* name, size_t size) {
    if (!name || size == 0) return static_cast<uint64_t>(Status::kError);
    const size_t length = std::min(size - 1, sizeof(accel_fletcher::kName) - 1);
    std::memcpy(name, accel_fletcher::kName, length);
    name[length] = '\0';
    return 0;
}

uint64_t platformInit(void*) {
    return Answer([](Card& card) { return card.Reset(); });
}

uint64_t platformWriteMMIO(uint64_t offset, uint32_t value) {
    return Answer([=](Card& card) { return card.WriteRegister(offset, value); });
}

uint64_t platformReadMMIO(uint64_t offset, uint32_t* value) {
    return Answer([=](Card& card) {
        if (!value) return card.Fail(Status::kError, "platformReadMMIO: a null pointer");
        return card.ReadRegister(offset, value);
    });
}

uint64_t platformCopyHostToDevice(const uint8_t* src, uint64_t dst, int64_t size) {
    return Answer([=](Card& card) {
        const char* objection = accel_fletcher::Objection(src, size);
        if (objection)
            return card.Fail(Status::kError, std::string("platformCopyHostToDevice: ") + objection);
        return card.Write(dst, src, static_cast<uint64_t>(size));
    });
}

uint64_t platformCopyDeviceToHost(uint64_t src, uint8_t* dst, int64_t size) {
    return Answer([=](Card& card) {
        const char* objection = accel_fletcher::Objection(dst, size);
        if (objection)
            return card.Fail(Status::kError, std::string("platformCopyDeviceToHost: ") + objection);
        return card.Read(src, dst, static_cast<uint64_t>(size));
    });
}

uint64_t platformDeviceMalloc(uint64_t* addr, int64_t size) {
    return Answer([=](Card& card) {
        if (!addr) return card.Fail(Status::kError, "platformDeviceMalloc: a null pointer");
        if (size < 0) return card.Fail(Status::kError, "platformDeviceMalloc: a negative size");
        return card.Allocate(static_cast<uint64_t>(size), addr);
    });
}

uint64_t platformDeviceFree(uint64_t addr) {
    return Answer([=](Card& card) {
        card.Free(addr);
        return Status::kOk;
    });
}

uint64_t platformPrepareHostBuffer(const uint8_t* src, uint64_t* dst, int64_t size, int* alloced) {
    return Answer([=](Card& card) {
        const char* objection = accel_fletcher::Objection(src, size);
        if (!dst || !alloced) objection = "a null pointer";
        if (objection)
            return card.Fail(Status::kError,
                             std::string("platformPrepareHostBuffer: ") + objection);
        const uint64_t address = reinterpret_cast<uintptr_t>(src);
        *alloced = 0;
        if (address % accel_fletcher::kBusBytes == 0 || size == 0) {
            *dst = size ? address : 0;
            card.Lend(src, static_cast<uint64_t>(size));
            return Status::kOk;
        }
        // The reader finds a row's lane from its index, not from its address.
        const Status status = accel_fletcher::CopyIn(card, src, dst, static_cast<uint64_t>(size));
        *alloced = status == Status::kOk;
        return status;
    });
}

uint64_t platformCacheHostBuffer(const uint8_t* src, uint64_t* dst, int64_t size) {
    return Answer([=](Card& card) {
        const char* objection = accel_fletcher::Objection(src, size);
        if (!dst) objection = "a null pointer";
        if (objection)
            return card.Fail(Status::kError, std::string("platformCacheHostBuffer: ") + objection);
        if (size == 0) {
            *dst = 0;
            return Status::kOk;
        }
        return accel_fletcher::CopyIn(card, src, dst, static_cast<uint64_t>(size));
    });
}

// Device memory stays: the runtime's Context frees it when it dies, which may be later. So does the
// kernel's state: another Platform object may be using it.
uint64_t platformTerminate(void*) { return 0; }

const char* accel_fletcher_model(void) {
    const char* model = "";
    accel_fletcher::WithCard([&](Card& card) {
        model = card.Model();
        return Status::kOk;
    });
    return model;
}

uint64_t accel_fletcher_cycles(void) {
    uint64_t cycles = 0;
    accel_fletcher::WithCard([&](Card& card) {
        cycles = card.Cycles();
        return Status::kOk;
    });
    return cycles;
}

double accel_fletcher_device_seconds(void) {
    double seconds = 0;
    accel_fletcher::WithCard([&](Card& card) {
        seconds = card.DeviceSeconds();
        return Status::kOk;
    });
    return seconds;
}

const char* accel_fletcher_last_error(void) {
    const char* text = "out of memory";
    accel_fletcher::WithCard([&](Card& card) {
        text = card.LastError().c_str();
        return Status::kOk;
    });
    return text;
}

int32_t accel_fletcher_sim_set(const char* name, uint64_t value) {
    bool done = false;
    accel_fletcher::WithCard([&](Card& card) {
        done = name && card.Set(name, value);
        return Status::kOk;
    });
    return done ? 0 : -1;
}
