// What the Fletcher platform library (native/fletcher) needs from a card, and all it knows of one.
//
// sims/fletcher implements a simulated card. Sizes are bytes. Nothing here is thread-safe.
// Functions that return a Status keep a text for LastError when it is not kOk.
#ifndef ACCEL_NATIVE_FLETCHER_CARD_H_
#define ACCEL_NATIVE_FLETCHER_CARD_H_

#include <cstdint>
#include <memory>
#include <string>

namespace accel_fletcher {

enum class Status : uint64_t { kOk = 0, kError = 1, kOutOfMemory = 3 };

// Widest bus word the reader takes, in place: buffers start at a multiple of it.
constexpr uint64_t kBusBytes = 64;

class Card {
  public:
    virtual ~Card() = default;

    virtual Status Reset() = 0;
    virtual Status WriteRegister(uint64_t index, uint32_t value) = 0;
    virtual Status ReadRegister(uint64_t index, uint32_t* value) = 0;

    virtual Status Allocate(uint64_t size, uint64_t* address) = 0;
    virtual void Free(uint64_t address) = 0;
    // Let the device read host memory where it is; its device address is its host address.
    virtual void Lend(const uint8_t* data, uint64_t size) = 0;
    // Both ends are checked; what is lent cannot be written.
    virtual Status Write(uint64_t address, const uint8_t* data, uint64_t size) = 0;
    virtual Status Read(uint64_t address, uint8_t* data, uint64_t size) = 0;

    virtual const char* Model() const = 0;
    virtual uint64_t Cycles() const = 0;
    virtual double DeviceSeconds() const = 0;
    virtual const std::string& LastError() const = 0;
    virtual Status Fail(Status status, std::string text) = 0;  // keep a text, return the status
    virtual bool Set(const char* name, uint64_t value) = 0;
};

// Throws std::bad_alloc. Defined by the card's own sources: a library links exactly one card.
std::unique_ptr<Card> OpenCard();

}  // namespace accel_fletcher

#endif  // ACCEL_NATIVE_FLETCHER_CARD_H_
