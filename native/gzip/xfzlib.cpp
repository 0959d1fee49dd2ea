// The host side of the Vitis gzip library (2020): its C ABI, framing and files. A Card does the
// work.
//
// Where the vendor's library ends the process, this one returns the failure value and keeps a text.
// No exception leaves it, it prints nothing, and an output file that could not be completed is
// removed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "gzip.h"
#include "gzip_card.h"

namespace accel_gzip {
namespace {

constexpr uint64_t kFailed = UINT64_MAX;
constexpr uint64_t kMagic = 0x78665a6c69623230;  // "xfZlib20"
constexpr size_t kMaxHeader = 64 * 1024;         // of a file to decompress, its name included
constexpr size_t kVendorPadding = 5;             // zero bytes the vendor writes behind everything

enum Quirks : int32_t { kClean = 0, kVendorGzip = 1, kVendorZlib = 2 };

// cd_flow of the constructor.
enum Flow : uint8_t { kBoth = 0, kCompressOnly = 1, kDecompressOnly = 2 };

// ---- CRC-32

// Slicing by sixteen: table k advances a byte by k further zero bytes.
constexpr std::array<std::array<uint32_t, 256>, 16> MakeCrcTables() {
    std::array<std::array<uint32_t, 256>, 16> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; ++i) {
        for (size_t k = 1; k < 16; ++k) {
            uint32_t crc = table[k - 1][i];
            table[k][i] = crc >> 8 ^ table[0][crc & 0xff];
        }
    }
    return table;
}
constexpr auto kCrcTables = MakeCrcTables();

uint32_t UpdateCrc(uint32_t crc, const uint8_t* data, size_t size) {
    const auto& t = kCrcTables;
    crc = ~crc;
    for (; size >= 16; size -= 16, data += 16) {
        const uint32_t first =
            crc ^ (data[0] | data[1] << 8 | data[2] << 16 | uint32_t{data[3]} << 24);
        crc = t[15][first & 0xff] ^ t[14][first >> 8 & 0xff] ^ t[13][first >> 16 & 0xff] ^
              t[12][first >> 24];
        for (size_t i = 4; i < 16; ++i) crc ^= t[15 - i][data[i]];
    }
    for (; size > 0; --size, ++data) crc = crc >> 8 ^ t[0][(crc ^ *data) & 0xff];
    return ~crc;
}

// ---- Memory

// Memory that only grows and is not cleared: kept between calls, so that a steady caller allocates
// nothing.
class Buffer {
  public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data_); }

    uint8_t* data() const { return data_; }
    // At least `size` bytes; the first `keep` stay as they are.
    void Reserve(size_t size) {
        if (size <= capacity_) return;
        size = std::max(size, capacity_ + capacity_ / 2);
        void* grown = std::realloc(data_, size);
        if (!grown) throw std::bad_alloc();
        data_ = static_cast<uint8_t*>(grown);
        capacity_ = size;
    }

  private:
    uint8_t* data_ = nullptr;
    size_t capacity_ = 0;
};

// ---- Files

class File {
  public:
    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (fd_ >= 0) close(fd_);
    }

    bool Open(const char* path, int flags) {
        fd_ = open(path, flags | O_CLOEXEC, 0666);
        return fd_ >= 0 && fstat(fd_, &stat_) == 0;
    }
    bool Close() {
        int fd = fd_;
        fd_ = -1;
        return close(fd) == 0;
    }
    const struct stat& status() const { return stat_; }

    // All of `size` bytes unless the file ends first; -1 on an error.
    ptrdiff_t ReadFull(uint8_t* data, size_t size) {
        size_t done = 0;
        while (done < size) {
            ssize_t got = read(fd_, data + done, size - done);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return -1;
            if (got == 0) break;
            done += static_cast<size_t>(got);
        }
        return static_cast<ptrdiff_t>(done);
    }
    bool WriteFull(const uint8_t* data, size_t size) {
        while (size > 0) {
            ssize_t put = write(fd_, data, size);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return false;
            if (put == 0) return errno = EIO, false;
            data += put;
            size -= static_cast<size_t>(put);
        }
        return true;
    }

  private:
    int fd_ = -1;
    struct stat stat_{};
};

// A file to write. Unless Commit succeeds it is removed, if it is a regular file.
class OutputFile final : public ByteSink {
  public:
    ~OutputFile() override {
        if (path_ && S_ISREG(file_.status().st_mode)) unlink(path_);
    }
    bool Open(const char* path) {
        if (!file_.Open(path, O_WRONLY | O_CREAT | O_TRUNC)) return false;
        path_ = path;
        return true;
    }
    bool Write(const uint8_t* data, size_t size) override { return file_.WriteFull(data, size); }
    bool Commit() {
        if (!file_.Close()) return false;
        path_ = nullptr;
        return true;
    }

  private:
    File file_;
    const char* path_ = nullptr;
};

// The compressed payload of a file: what is left of the bytes read for the header, then the file.
class PayloadSource final : public ByteSource {
  public:
    PayloadSource(File& file, const uint8_t* head, size_t head_size, uint64_t file_left)
        : file_(file), head_(head), head_size_(head_size), file_left_(file_left) {}

    ptrdiff_t Read(uint8_t* data, size_t size) override {
        if (head_size_ > 0) {
            size = std::min(size, head_size_);
            std::memcpy(data, head_, size);
            head_ += size;
            head_size_ -= size;
            return static_cast<ptrdiff_t>(size);
        }
        ptrdiff_t got =
            file_.ReadFull(data, static_cast<size_t>(std::min<uint64_t>(size, file_left_)));
        if (got > 0) file_left_ -= static_cast<uint64_t>(got);
        return got;
    }

  private:
    File& file_;
    const uint8_t* head_;
    size_t head_size_;
    uint64_t file_left_;
};

// ---- Framing

void StoreLe32(uint8_t* to, uint32_t value) {
    for (int i = 0; i < 4; ++i) to[i] = static_cast<uint8_t>(value >> 8 * i);
}

// Write the header to `out` (room for 11 bytes and the name). `name` and `mtime` are for vendor
// gzip only.
size_t WriteHeader(Quirks quirks, const char* name, uint32_t mtime, uint8_t* out) {
    if (quirks == kVendorZlib) {
        out[0] = 0x78;
        out[1] = 0x01;
        return 2;
    }
    const bool named = quirks == kVendorGzip;
    const uint8_t fixed[10] = {0x1f, 0x8b, 8, static_cast<uint8_t>(named ? 8 : 0), 0, 0, 0,
                               0,    0,    3};
    std::memcpy(out, fixed, sizeof fixed);
    if (!named) return sizeof fixed;
    StoreLe32(out + 4, mtime);
    std::memcpy(out + sizeof fixed, name, std::strlen(name) + 1);
    return sizeof fixed + std::strlen(name) + 1;
}

constexpr size_t kMaxTrailer = 4 + 8 + kVendorPadding + 1;

// The final empty stored block, which the vendor's host code writes too, belongs to the payload.
constexpr uint8_t kFinalBlock[5] = {0x01, 0x00, 0x00, 0xff, 0xff};

size_t WriteTrailer(Quirks quirks, uint32_t crc, uint64_t input_size, uint8_t* out) {
    std::memset(out, 0, kMaxTrailer);
    if (quirks == kVendorZlib) return kVendorPadding;
    StoreLe32(out + 4, static_cast<uint32_t>(input_size));
    if (quirks == kVendorGzip) return 8 + kVendorPadding;
    StoreLe32(out, crc);
    return 8;
}

// Size of the header the decompress kernel accepts at `data`, or 0.
size_t GzipHeaderSize(const uint8_t* data, size_t size) {
    constexpr size_t kFixed = 10;
    if (size < kFixed || data[0] != 0x1f || data[1] != 0x8b || data[2] != 8) return 0;
    const uint8_t flags = data[3];
    const uint8_t os = data[9];
    if ((flags != 0 && flags != 8) || (os > 13 && os != 255)) return 0;
    if (flags == 0) return kFixed;
    const void* end = std::memchr(data + kFixed, 0, size - kFixed);
    return end ? static_cast<size_t>(static_cast<const uint8_t*>(end) - data) + 1 : 0;
}

size_t ZlibHeaderSize(const uint8_t* data, size_t size) {
    if (size < 2 || (data[0] & 0x0f) != 8 || data[0] >> 4 > 7) return 0;
    if ((data[0] << 8 | data[1]) % 31 != 0 || (data[1] & 0x20)) return 0;
    return 2;
}

}  // namespace

// ---- The object

class XfZlib {
  public:
    // Never fails: what is wrong is kept for every later call to report, as the vendor's does.
    XfZlib(const char* xclbin_path, uint8_t max_cr, uint8_t cd_flow, uint8_t d_type) noexcept;
    ~XfZlib() {
        *const_cast<volatile uint64_t*>(&magic_) = 0;
    }  // a plain store would be optimised away

    // The object behind a handle, or NULL if it is none (as far as that can be told).
    static XfZlib* From(void* handle) {
        auto* object = static_cast<XfZlib*>(handle);
        return object && object->magic_ == kMagic ? object : nullptr;
    }

    uint64_t CompressFile(const char* in_path, const char* out_path, uint64_t input_size);
    uint8_t* CompressBuffer(const uint8_t* in, uint64_t in_size, uint64_t* out_size);
    uint64_t DecompressFile(const char* in_path, const char* out_path, uint64_t input_size, int cu);

    double DeviceSeconds() const { return card_ ? card_->DeviceSeconds() : 0; }
    const char* last_error() const { return error_; }
    bool SetQuirks(int32_t quirks);
    void Fail(const char* format, ...) __attribute__((format(printf, 2, 3)));

  private:
    void SetUp(const char* xclbin_path, uint8_t d_type);
    bool MayCompress(uint64_t input_size);
    bool MayDecompress(uint64_t input_size, int cu);
    bool OpenInput(const char* path, uint64_t size, File* file);
    bool OpenOutput(const char* path, const File& input, OutputFile* file);
    uint64_t CompressBricks(File* input, OutputFile* output, uint64_t size, uint32_t* crc);
    bool InflatePayload(File* input, OutputFile* output, uint64_t size, uint64_t* written);

    uint64_t magic_ = kMagic;
    const uint8_t max_cr_;
    const uint8_t cd_flow_;
    bool broken_ = false;  // set-up failed; error_ says why and stays
    Quirks quirks_ = kVendorGzip;
    std::unique_ptr<Card> card_;
    Buffer brick_;   // input of one brick, or the head of a compressed file
    Buffer output_;  // output of one brick
    Buffer result_;  // of CompressBuffer; the caller reads it until the next call
    char error_[512] = "";
};

void XfZlib::Fail(const char* format, ...) {
    if (broken_) return;
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(error_, sizeof error_, format, arguments);
    va_end(arguments);
}

XfZlib::XfZlib(const char* xclbin_path, uint8_t max_cr, uint8_t cd_flow, uint8_t d_type) noexcept
    : max_cr_(max_cr), cd_flow_(cd_flow) {
    try {
        SetUp(xclbin_path, d_type);
    } catch (...) {
        Fail("out of memory while setting up the card");
    }
    broken_ = error_[0] != '\0';
}

void XfZlib::SetUp(const char* xclbin_path, uint8_t d_type) {
    if (xclbin_path && *xclbin_path) {
        File xclbin;
        uint8_t byte;
        if (!xclbin.Open(xclbin_path, O_RDONLY) || xclbin.ReadFull(&byte, 1) < 0) {
            return Fail("cannot read the xclbin %.300s: %s", xclbin_path, std::strerror(errno));
        }
    }
    if (cd_flow_ > kDecompressOnly) return Fail("cd_flow %d is none of 0, 1, 2", cd_flow_);
    if (d_type > static_cast<uint8_t>(DecompressKernel::kFull)) {
        return Fail("d_type %d is none of 0, 1, 2", d_type);
    }
    const char* quirks = std::getenv("ACCEL_GZIP_SIM_QUIRKS");
    if (quirks && *quirks && (quirks[1] != '\0' || !SetQuirks(quirks[0] - '0'))) {
        return Fail("ACCEL_GZIP_SIM_QUIRKS=%.100s is none of 0, 1, 2", quirks);
    }
    card_ = OpenCard(static_cast<DecompressKernel>(d_type));
}

bool XfZlib::SetQuirks(int32_t quirks) {
    if (quirks < kClean || quirks > kVendorZlib) return false;
    quirks_ = static_cast<Quirks>(quirks);
    return true;
}

bool XfZlib::MayCompress(uint64_t input_size) {
    if (broken_) return false;
    if (cd_flow_ == kDecompressOnly) return Fail("cd_flow 2: the object only decompresses"), false;
    if (const char* why = card_->RefusalOf(input_size)) {
        return Fail("cannot compress %llu bytes: %s", static_cast<unsigned long long>(input_size),
                    why),
               false;
    }
    return true;
}

bool XfZlib::MayDecompress(uint64_t input_size, int cu) {
    if (broken_) return false;
    if (cd_flow_ == kCompressOnly) return Fail("cd_flow 1: the object only compresses"), false;
    if (cu < 0) return Fail("compute unit %d does not exist", cu), false;
    if (input_size == 0) return Fail("the input is empty"), false;
    return true;
}

bool XfZlib::OpenInput(const char* path, uint64_t size, File* file) {
    if (!file->Open(path, O_RDONLY)) {
        return Fail("cannot read %.300s: %s", path, std::strerror(errno)), false;
    }
    const struct stat& status = file->status();
    if (S_ISREG(status.st_mode) && static_cast<uint64_t>(status.st_size) < size) {
        return Fail("%.300s has %lld bytes, not %llu", path, static_cast<long long>(status.st_size),
                    static_cast<unsigned long long>(size)),
               false;
    }
    return true;
}

bool XfZlib::OpenOutput(const char* path, const File& input, OutputFile* file) {
    struct stat status;
    const struct stat& in = input.status();
    if (stat(path, &status) == 0 && status.st_dev == in.st_dev && status.st_ino == in.st_ino) {
        return Fail("%.300s is both input and output", path), false;
    }
    if (!file->Open(path))
        return Fail("cannot write %.300s: %s", path, std::strerror(errno)), false;
    return true;
}

uint64_t XfZlib::CompressFile(const char* in_path, const char* out_path, uint64_t input_size) {
    if (!in_path || !out_path) return Fail("a path is NULL"), kFailed;
    if (!MayCompress(input_size)) return kFailed;
    File input;
    if (!OpenInput(in_path, input_size, &input)) return kFailed;
    const size_t brick = static_cast<size_t>(std::min<uint64_t>(input_size, kBrickBytes));
    brick_.Reserve(brick);
    output_.Reserve(std::max(CompressedCapacity(brick), std::strlen(in_path) + 64));
    OutputFile output;
    if (!OpenOutput(out_path, input, &output)) return kFailed;

    const auto mtime = static_cast<uint32_t>(input.status().st_mtime);
    size_t size = WriteHeader(quirks_, in_path, mtime, output_.data());
    uint32_t crc = 0;
    uint64_t payload = kFailed;
    if (output.Write(output_.data(), size)) {
        payload = CompressBricks(&input, &output, input_size, &crc);
        if (payload == kFailed) return kFailed;
        uint8_t tail[sizeof kFinalBlock + kMaxTrailer];
        std::memcpy(tail, kFinalBlock, sizeof kFinalBlock);
        size =
            sizeof kFinalBlock + WriteTrailer(quirks_, crc, input_size, tail + sizeof kFinalBlock);
        if (output.Write(tail, size) && output.Commit()) return payload + sizeof kFinalBlock;
    }
    return Fail("cannot write %.300s: %s", out_path, std::strerror(errno)), kFailed;
}

// The vendor's CRC field is zero, so a checksum is only computed for clean output.
uint64_t XfZlib::CompressBricks(File* input, OutputFile* output, uint64_t size, uint32_t* crc) {
    uint64_t payload = 0;
    card_->BeginCompress();
    for (uint64_t left = size; left > 0;) {
        const size_t brick = static_cast<size_t>(std::min<uint64_t>(left, kBrickBytes));
        const ptrdiff_t got = input->ReadFull(brick_.data(), brick);
        if (got < 0) return Fail("cannot read the input: %s", std::strerror(errno)), kFailed;
        if (static_cast<size_t>(got) < brick) return Fail("the input ended early"), kFailed;
        if (quirks_ == kClean) *crc = UpdateCrc(*crc, brick_.data(), brick);
        const size_t packed = card_->CompressBrick(brick_.data(), brick, output_.data());
        if (packed == 0) return Fail("the card failed"), kFailed;
        if (!output->Write(output_.data(), packed)) {
            return Fail("cannot write the output: %s", std::strerror(errno)), kFailed;
        }
        payload += packed;
        left -= brick;
    }
    card_->EndCompress();
    return payload;
}

uint8_t* XfZlib::CompressBuffer(const uint8_t* in, uint64_t in_size, uint64_t* out_size) {
    if (!in || !out_size) return Fail("a pointer is NULL"), nullptr;
    if (!MayCompress(in_size)) return nullptr;
    result_.Reserve(64);
    size_t used = WriteHeader(quirks_, "buffer", 0, result_.data());
    uint32_t crc = 0;
    card_->BeginCompress();
    for (uint64_t at = 0; at < in_size;) {
        const size_t brick = static_cast<size_t>(std::min<uint64_t>(in_size - at, kBrickBytes));
        result_.Reserve(used + CompressedCapacity(brick) + sizeof kFinalBlock + kMaxTrailer);
        if (quirks_ == kClean) crc = UpdateCrc(crc, in + at, brick);
        const size_t packed = card_->CompressBrick(in + at, brick, result_.data() + used);
        if (packed == 0) return Fail("the card failed"), nullptr;
        used += packed;
        at += brick;
    }
    card_->EndCompress();
    std::memcpy(result_.data() + used, kFinalBlock, sizeof kFinalBlock);
    used += sizeof kFinalBlock;
    used += WriteTrailer(quirks_, crc, in_size, result_.data() + used);
    *out_size = used;
    return result_.data();
}

uint64_t XfZlib::DecompressFile(const char* in_path, const char* out_path, uint64_t input_size,
                                int cu) {
    if (!in_path || !out_path) return Fail("a path is NULL"), 0;
    if (!MayDecompress(input_size, cu)) return 0;
    File input;
    if (!OpenInput(in_path, input_size, &input)) return 0;
    OutputFile output;
    if (!OpenOutput(out_path, input, &output)) return 0;
    uint64_t written = 0;
    if (!InflatePayload(&input, &output, input_size, &written)) return 0;
    if (!output.Commit()) return Fail("cannot write %.300s: %s", out_path, std::strerror(errno)), 0;
    return written;
}

bool XfZlib::InflatePayload(File* input, OutputFile* output, uint64_t size, uint64_t* written) {
    brick_.Reserve(kMaxHeader);
    const ptrdiff_t got =
        input->ReadFull(brick_.data(), static_cast<size_t>(std::min<uint64_t>(size, kMaxHeader)));
    if (got < 0) return Fail("cannot read the input: %s", std::strerror(errno)), false;
    const auto head = static_cast<size_t>(got);
    const bool zlib = quirks_ == kVendorZlib;
    const size_t header =
        zlib ? ZlibHeaderSize(brick_.data(), head) : GzipHeaderSize(brick_.data(), head);
    if (header == 0)
        return Fail("the %s header is not one the kernel accepts", zlib ? "zlib" : "gzip"), false;

    // Sizes are 32 bit on the card.
    const uint64_t limit =
        std::min<uint64_t>(std::min<uint64_t>(size, UINT32_MAX) * max_cr_, UINT32_MAX);
    PayloadSource source(*input, brick_.data() + header, head - header, size - head);
    const InflateResult result = card_->Inflate(source, *output, limit);
    if (result.error) return Fail("cannot decompress: %s", result.error), false;
    const size_t trailer = zlib ? 4 : 8;  // not verified, but it must be there
    if (header + result.bytes_in + trailer > size) return Fail("the trailer is truncated"), false;
    if (result.bytes_out == 0)
        return Fail("the member is empty: 0 is this call's failure value"), false;
    *written = result.bytes_out;
    return true;
}

namespace {

// Run `body` on the object behind `handle`; its failure value when there is none or anything is
// thrown.
template <class Result, class Body>
Result Guarded(void* handle, Result failed, Body body) noexcept {
    XfZlib* object = XfZlib::From(handle);
    if (!object) return failed;
    try {
        return body(*object);
    } catch (const std::bad_alloc&) {
        object->Fail("out of memory");
    } catch (...) {
        object->Fail("internal error");
    }
    return failed;
}

}  // namespace
}  // namespace accel_gzip

// ---- The ABI

using accel_gzip::Guarded;
using accel_gzip::XfZlib;

// `device_id` and `profile` change nothing: every id is a card of its own, and profiling costs
// nothing.
void* xfZlib_constructor_wrapper(char* xclbin_path, uint8_t max_cr, uint8_t cd_flow,
                                 uint8_t /*device_id*/, uint8_t /*profile*/, uint8_t d_type) {
    return new (std::nothrow) XfZlib(xclbin_path, max_cr, cd_flow, d_type);
}

void xfZlib_destructor_wrapper(void* obj) { delete XfZlib::From(obj); }

void DeleteInstanceOfClass(void* obj) { delete XfZlib::From(obj); }

uint64_t compress_file_wrapper(void* obj, char* in_path, char* out_path, uint64_t input_size) {
    return Guarded(obj, accel_gzip::kFailed,
                   [=](XfZlib& x) { return x.CompressFile(in_path, out_path, input_size); });
}

uint64_t decompress_file_wrapper(void* obj, char* in_path, char* out_path, uint64_t input_size,
                                 int cu_run) {
    return Guarded(obj, uint64_t{0}, [=](XfZlib& x) {
        return x.DecompressFile(in_path, out_path, input_size, cu_run);
    });
}

uint8_t* compress_buffer_wrapper(void* obj, const uint8_t* in, uint64_t in_size,
                                 uint64_t* out_size) {
    return Guarded(obj, static_cast<uint8_t*>(nullptr),
                   [=](XfZlib& x) { return x.CompressBuffer(in, in_size, out_size); });
}

double accel_gzip_device_seconds(void* obj) {
    return Guarded(obj, 0.0, [](XfZlib& x) { return x.DeviceSeconds(); });
}

const char* accel_gzip_last_error(void* obj) {
    return Guarded(obj, "not an object of this library", [](XfZlib& x) { return x.last_error(); });
}

int32_t accel_gzip_sim_set_quirks(void* obj, int32_t quirks) {
    return Guarded(obj, int32_t{-1}, [=](XfZlib& x) { return x.SetQuirks(quirks) ? 0 : -1; });
}
