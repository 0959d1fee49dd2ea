// Checks the simulated gzip accelerator library through its C ABI; meant to run under the
// sanitizers.
//
//   g++ -std=c++17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Inative/include
//       tests/native/gzip/test_xfzlib.cpp native/gzip/xfzlib.cpp sims/gzip/*.cpp -o test && ./test
//
// Exits with 1 and names the check that failed. All randomness is seeded. zlib is not linked: the
// Python tests compare with it; here the library's own inflate reads what its deflate wrote.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "gzip.h"

namespace {

using Bytes = std::vector<uint8_t>;

#define CHECK(condition) Check((condition), #condition, __LINE__)

std::string g_case;

void Check(bool ok, const char* what, int line) {
    if (ok) return;
    std::fprintf(stderr, "test_xfzlib.cpp:%d: %s [%s]\n", line, what, g_case.c_str());
    std::exit(1);
}

constexpr size_t kBlock = size_t{1} << 20;

// SplitMix64: the same numbers everywhere.
struct Random {
    uint64_t state;
    uint64_t Next() {
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
    uint64_t Below(uint64_t n) { return Next() % n; }
};

// ---- Files

std::string g_dir;

std::string PathOf(const char* name) { return g_dir + "/" + name; }

void WriteFile(const std::string& path, const Bytes& data) {
    FILE* f = std::fopen(path.c_str(), "wb");
    CHECK(f != nullptr);
    CHECK(std::fwrite(data.data(), 1, data.size(), f) == data.size());
    CHECK(std::fclose(f) == 0);
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Bytes ReadFile(const std::string& path) {
    struct stat status;
    CHECK(stat(path.c_str(), &status) == 0);
    Bytes data(static_cast<size_t>(status.st_size));
    FILE* f = std::fopen(path.c_str(), "rb");
    CHECK(f != nullptr);
    CHECK(std::fread(data.data(), 1, data.size(), f) == data.size());
    std::fclose(f);
    return data;
}

// ---- The library

struct Object {
    void* handle;

    explicit Object(uint8_t max_cr = 255, uint8_t cd_flow = 0, uint8_t d_type = 2,
                    const char* xclbin = nullptr)
        : handle(xfZlib_constructor_wrapper(const_cast<char*>(xclbin), max_cr, cd_flow, 0, 0,
                                            d_type)) {
        CHECK(handle != nullptr);
    }
    ~Object() { xfZlib_destructor_wrapper(handle); }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    void SetQuirks(int32_t quirks) { CHECK(accel_gzip_sim_set_quirks(handle, quirks) == 0); }
    bool HasError() { return *accel_gzip_last_error(handle) != '\0'; }
    bool ErrorSays(const char* text) {
        return std::strstr(accel_gzip_last_error(handle), text) != nullptr;
    }

    // An exact copy on the heap, so that the sanitizer sees a read beyond either end.
    bool Compress(const Bytes& in, Bytes* out) {
        uint8_t* exact = new uint8_t[in.size()];
        std::copy(in.begin(), in.end(), exact);
        uint64_t size = 5;
        uint8_t* result = compress_buffer_wrapper(handle, exact, in.size(), &size);
        delete[] exact;
        if (!result) return false;
        out->assign(result, result + size);
        return true;
    }
    uint64_t CompressFile(const std::string& in, const std::string& out, uint64_t size) {
        return compress_file_wrapper(handle, const_cast<char*>(in.c_str()),
                                     const_cast<char*>(out.c_str()), size);
    }
    uint64_t DecompressFile(const std::string& in, const std::string& out, uint64_t size) {
        return decompress_file_wrapper(handle, const_cast<char*>(in.c_str()),
                                       const_cast<char*>(out.c_str()), size, 0);
    }
    uint64_t Decompress(const Bytes& in, Bytes* out) {
        std::string from = PathOf("packed"), to = PathOf("unpacked");
        WriteFile(from, in);
        uint64_t size = DecompressFile(from, to, in.size());
        CHECK(Exists(to) == (size != 0));
        out->clear();
        if (size) {
            *out = ReadFile(to);
            CHECK(out->size() == size);
            CHECK(unlink(to.c_str()) == 0);
        } else {
            CHECK(HasError());
        }
        return size;
    }
};

uint32_t Crc32(const Bytes& data) {
    uint32_t crc = ~0u;
    for (uint8_t byte : data) {
        crc ^= byte;
        for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

uint32_t Le32(const uint8_t* p) { return p[0] | p[1] << 8 | p[2] << 16 | uint32_t{p[3]} << 24; }

// ---- Contents

Bytes Periodic(size_t size, size_t period, uint64_t seed) {
    Random random{seed};
    Bytes data(size);
    for (size_t i = 0; i < size; ++i) {
        data[i] = i < period ? static_cast<uint8_t>(random.Next()) : data[i - period];
    }
    return data;
}

Bytes Noise(size_t size, unsigned symbols, uint64_t seed) {
    Random random{seed};
    Bytes data(size);
    for (uint8_t& byte : data) byte = static_cast<uint8_t>(random.Below(symbols));
    return data;
}

Bytes Runs(size_t size, uint64_t seed) {
    Random random{seed};
    Bytes data;
    while (data.size() < size)
        data.insert(data.end(), 1 + random.Below(300), static_cast<uint8_t>(random.Next()));
    data.resize(size);
    return data;
}

Bytes Text(size_t size, uint64_t seed) {
    Random random{seed};
    Bytes data;
    while (data.size() < size) {
        Random word{random.Below(40) * random.Below(40)};
        for (uint64_t letters = 2 + word.Below(8); letters > 0; --letters) {
            data.push_back(static_cast<uint8_t>('a' + word.Below(26)));
        }
        data.push_back(random.Below(9) ? ' ' : '\n');
    }
    data.resize(size);
    return data;
}

// Fibonacci counts make the deepest Huffman tree: the length limits have to hold.
Bytes Fibonacci(size_t size, uint64_t seed) {
    Bytes data;
    size_t a = 1, b = 1;
    for (unsigned s = 0; data.size() < size && s < 32; ++s) {
        data.insert(data.end(), std::min(a, size), static_cast<uint8_t>(s * 7));
        size_t next = a + b;
        a = b;
        b = next;
    }
    data.resize(size);
    Random random{seed};
    for (size_t i = size; i > 1; --i) std::swap(data[i - 1], data[random.Below(i)]);
    return data;
}

constexpr int kKinds = 12;

Bytes Content(int kind, size_t size, uint64_t seed) {
    switch (kind) {
        case 0:
            return Bytes(size, 0);
        case 1:
            return Noise(size, 256, seed);
        case 2:
            return Text(size, seed);
        case 3:
            return Runs(size, seed);
        case 4:
            return Periodic(size, 2, seed);
        case 5:
            return Periodic(size, 3, seed);
        case 6:
            return Periodic(size, 255, seed);
        case 7:
            return Periodic(size, 16384, seed);
        case 8:
            return Periodic(size, 32767, seed);
        case 9:
            return Periodic(size, 65536, seed);
        case 10:
            return Noise(size, 2, seed);
        default:
            return Fibonacci(size, seed);
    }
}

// ---- Checks

void RoundTrip(Object& clean, const Bytes& data) {
    Bytes packed, back;
    CHECK(clean.Compress(data, &packed));
    CHECK(packed.size() <= 2 * data.size() + 300);
    CHECK(Le32(&packed[packed.size() - 8]) == Crc32(data));
    CHECK(Le32(&packed[packed.size() - 4]) == data.size());
    uint64_t size = clean.Decompress(packed, &back);
    if (data.size() > packed.size() * 255) {
        CHECK(size == 0);
    } else {
        CHECK(size == data.size());
        CHECK(back == data);
    }
}

void TestRoundTrips() {
    Object clean;
    clean.SetQuirks(0);
    const size_t small[] = {64,  65,   66,   71,   127,  128,  129,   318,  319,
                            320, 1023, 1087, 1088, 1089, 2111, 65536, 70001};
    for (int kind = 0; kind < kKinds; ++kind) {
        for (size_t size : small) {
            g_case = "kind " + std::to_string(kind) + ", size " + std::to_string(size);
            RoundTrip(clean, Content(kind, size, size));
        }
    }
    const size_t large[] = {kBlock - 1,  kBlock,         kBlock + 64,
                            kBlock + 65, 2 * kBlock - 1, 2 * kBlock + 64};
    int kind = 0;
    for (size_t size : large) {
        for (int i = 0; i < 3; ++i, kind = (kind + 1) % kKinds) {
            g_case = "kind " + std::to_string(kind) + ", size " + std::to_string(size);
            RoundTrip(clean, Content(kind, size, size + 1));
        }
    }
    g_case = "more than two bricks";
    RoundTrip(clean, Content(2, 16 * kBlock + 64, 3));
    Random random{99};
    for (int i = 0; i < 150; ++i) {
        size_t size = 64 + random.Below(size_t{1} << random.Below(17));
        kind = static_cast<int>(random.Below(kKinds));
        g_case = "kind " + std::to_string(kind) + ", size " + std::to_string(size);
        RoundTrip(clean, Content(kind, size, random.Next()));
    }
}

// The result buffer is the object's own and is used again.
void TestBufferReuse() {
    g_case = "buffer reuse";
    Object object;
    Bytes data = Text(3 * kBlock, 5);
    uint64_t size = 0;
    uint8_t* first = compress_buffer_wrapper(object.handle, data.data(), data.size(), &size);
    for (int i = 0; i < 3; ++i) {
        CHECK(compress_buffer_wrapper(object.handle, data.data(), data.size() - kBlock * i,
                                      &size) == first);
    }
}

void TestQuirks() {
    Bytes data = Text(100000, 1), clean_out, gzip_out, zlib_out, back;
    std::string in = PathOf("plain"), out = PathOf("out");
    WriteFile(in, data);
    struct stat status;
    CHECK(stat(in.c_str(), &status) == 0);

    g_case = "quirks 0";
    Object object;
    object.SetQuirks(0);
    CHECK(object.Compress(data, &clean_out));
    const uint8_t clean_header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    CHECK(std::memcmp(clean_out.data(), clean_header, 10) == 0);
    CHECK(object.CompressFile(in, out, data.size()) == clean_out.size() - 18);
    CHECK(ReadFile(out) == clean_out);
    const Bytes payload(clean_out.begin() + 10, clean_out.end() - 8);

    g_case = "quirks 1";
    Object vendor;  // the default
    CHECK(vendor.CompressFile(in, out, data.size()) == payload.size());
    gzip_out = ReadFile(out);
    Bytes expected = {0x1f, 0x8b, 8, 8};
    for (int i = 0; i < 4; ++i) expected.push_back(static_cast<uint8_t>(status.st_mtime >> 8 * i));
    expected.push_back(0);
    expected.push_back(3);
    expected.insert(expected.end(), in.begin(), in.end());
    expected.push_back(0);
    expected.insert(expected.end(), payload.begin(), payload.end());
    expected.insert(expected.end(), 4, 0);
    for (int i = 0; i < 4; ++i) expected.push_back(static_cast<uint8_t>(data.size() >> 8 * i));
    expected.insert(expected.end(), 5, 0);
    CHECK(gzip_out == expected);
    CHECK(vendor.Decompress(gzip_out, &back) == data.size());
    CHECK(back == data);
    CHECK(vendor.Compress(data, &gzip_out));
    CHECK(std::memcmp(gzip_out.data() + 4, "\0\0\0\0\0\3buffer\0", 13) == 0);

    g_case = "quirks 2";
    object.SetQuirks(2);
    CHECK(object.Compress(data, &zlib_out));
    expected = {0x78, 0x01};
    expected.insert(expected.end(), payload.begin(), payload.end());
    expected.insert(expected.end(), 5, 0);
    CHECK(zlib_out == expected);
    CHECK(object.Decompress(zlib_out, &back) == data.size());
    CHECK(back == data);
    CHECK(object.Decompress(gzip_out, &back) == 0);
    CHECK(accel_gzip_sim_set_quirks(object.handle, 3) == -1);
    CHECK(accel_gzip_sim_set_quirks(object.handle, -1) == -1);

    g_case = "quirks from the environment";
    setenv("ACCEL_GZIP_SIM_QUIRKS", "0", 1);
    {
        Object from_environment;
        CHECK(from_environment.Compress(data, &gzip_out));
        CHECK(gzip_out == clean_out);
    }
    setenv("ACCEL_GZIP_SIM_QUIRKS", "9", 1);
    {
        Object broken;
        CHECK(broken.ErrorSays("ACCEL_GZIP_SIM_QUIRKS"));
        CHECK(!broken.Compress(data, &gzip_out));
    }
    unsetenv("ACCEL_GZIP_SIM_QUIRKS");
}

void CheckUnusable(Object& object, const char* why) {
    Bytes out;
    std::string in = PathOf("plain");
    WriteFile(in, Text(1000, 1));
    CHECK(object.ErrorSays(why));
    CHECK(!object.Compress(Text(1000, 1), &out));
    CHECK(object.CompressFile(in, PathOf("none"), 1000) == UINT64_MAX);
    CHECK(object.DecompressFile(in, PathOf("none"), 1000) == 0);
    CHECK(!Exists(PathOf("none")));
    CHECK(object.ErrorSays(why));
    CHECK(accel_gzip_device_seconds(object.handle) == 0);
}

void TestConstructor() {
    g_case = "xclbin";
    std::string missing = PathOf("missing.xclbin"), present = PathOf("present.xclbin");
    Object no_file(10, 0, 2, missing.c_str());
    CheckUnusable(no_file, "missing.xclbin");
    Object directory(10, 0, 2, g_dir.c_str());
    CheckUnusable(directory, "xclbin");
    WriteFile(present, Bytes(10, 1));
    Object file(10, 0, 2, present.c_str());
    CHECK(!file.HasError());
    Object empty(10, 0, 2, "");
    CHECK(!empty.HasError());

    g_case = "constructor arguments";
    Object flow(10, 3);
    CheckUnusable(flow, "cd_flow");
    Object type(10, 0, 3);
    CheckUnusable(type, "d_type");

    g_case = "cd_flow";
    Bytes data = Text(5000, 2), packed, back;
    Object compressor(10, 1), decompressor(10, 2);
    CHECK(compressor.Compress(data, &packed));
    CHECK(compressor.Decompress(packed, &back) == 0);
    CHECK(decompressor.Decompress(packed, &back) == data.size());
    CHECK(!decompressor.Compress(data, &packed));

    g_case = "d_type";
    Object dynamic(10, 0, 0), fixed(10, 0, 1);
    // "aaa" in a fixed block and in a stored one.
    const Bytes fixed_member = {0x1f, 0x8b, 8,    0, 0, 0, 0, 0, 0, 3, 0x4b, 0x4c,
                                0x4c, 0x04, 0x00, 0, 0, 0, 0, 0, 0, 0, 0};
    const Bytes stored_member = {0x1f, 0x8b, 8,   0,   0,   0, 0, 0, 0, 3, 1, 3, 0,
                                 0xfc, 0xff, 'a', 'a', 'a', 0, 0, 0, 0, 0, 0, 0, 0};
    CHECK(fixed.Decompress(fixed_member, &back) == 3);
    CHECK(back == Bytes(3, 'a'));
    CHECK(dynamic.Decompress(fixed_member, &back) == 0);
    CHECK(fixed.Decompress(packed, &back) == 0);
    CHECK(dynamic.Decompress(packed, &back) == data.size());
    CHECK(dynamic.Decompress(stored_member, &back) == 3);
    CHECK(fixed.Decompress(stored_member, &back) == 3);
}

void TestBadArguments() {
    g_case = "bad handles";
    alignas(16) uint8_t wrong[4096] = {};
    char path[] = "x";
    uint64_t size = 0;
    for (void* handle : {static_cast<void*>(nullptr), static_cast<void*>(wrong)}) {
        CHECK(compress_file_wrapper(handle, path, path, 100) == UINT64_MAX);
        CHECK(decompress_file_wrapper(handle, path, path, 100, 0) == 0);
        CHECK(compress_buffer_wrapper(handle, wrong, 100, &size) == nullptr);
        CHECK(accel_gzip_device_seconds(handle) == 0);
        CHECK(accel_gzip_sim_set_quirks(handle, 0) == -1);
        CHECK(*accel_gzip_last_error(handle) != '\0');
        xfZlib_destructor_wrapper(handle);
        DeleteInstanceOfClass(handle);
    }
    DeleteInstanceOfClass(xfZlib_constructor_wrapper(nullptr, 10, 0, 0, 0, 2));

    g_case = "bad paths";
    Object object;
    CHECK(!object.HasError());
    std::string in = PathOf("plain"), out = PathOf("out"), none = PathOf("none/none");
    WriteFile(in, Text(1000, 1));
    CHECK(compress_file_wrapper(object.handle, nullptr, path, 100) == UINT64_MAX);
    CHECK(compress_file_wrapper(object.handle, path, nullptr, 100) == UINT64_MAX);
    CHECK(decompress_file_wrapper(object.handle, nullptr, path, 100, 0) == 0);
    CHECK(decompress_file_wrapper(object.handle, path, nullptr, 100, 0) == 0);
    CHECK(compress_buffer_wrapper(object.handle, nullptr, 100, &size) == nullptr);
    CHECK(compress_buffer_wrapper(object.handle, wrong, 100, nullptr) == nullptr);
    CHECK(object.CompressFile(none, out, 1000) == UINT64_MAX);
    CHECK(object.CompressFile(in, none, 1000) == UINT64_MAX);
    CHECK(object.CompressFile(in, in, 1000) == UINT64_MAX);
    CHECK(object.CompressFile(in, PathOf(std::string(5000, 'x').c_str()), 1000) == UINT64_MAX);
    CHECK(object.CompressFile(g_dir, out, 1000) == UINT64_MAX);
    unlink(out.c_str());
    CHECK(object.CompressFile(in, out, 1001) == UINT64_MAX);
    CHECK(!Exists(out));
    CHECK(ReadFile(in) == Text(1000, 1));
    CHECK(object.CompressFile(in, out, 500) != UINT64_MAX);
    CHECK(object.CompressFile(in, "/dev/full", 1000) == UINT64_MAX);
    CHECK(Exists("/dev/full"));
    CHECK(object.DecompressFile(out, "/dev/full", ReadFile(out).size()) == 0);

    g_case = "bad sizes";
    for (int32_t quirks = 0; quirks < 3; ++quirks) {
        object.SetQuirks(quirks);
        Bytes result;
        for (size_t tail : {1, 2, 62, 63}) {
            CHECK(!object.Compress(Bytes(tail, 7), &result));
            CHECK(object.ErrorSays("shorter than 64"));
            CHECK(!object.Compress(Bytes(kBlock + tail, 7), &result));
            CHECK(object.CompressFile(in, out, tail) == UINT64_MAX);
        }
        CHECK(compress_buffer_wrapper(object.handle, wrong, 0, &size) == nullptr);
        CHECK(object.ErrorSays("empty"));
        CHECK(compress_buffer_wrapper(object.handle, wrong, uint64_t{1} << 32, &size) == nullptr);
        CHECK(compress_buffer_wrapper(object.handle, wrong, UINT64_MAX, &size) == nullptr);
        CHECK(object.ErrorSays("4 GiB"));
        CHECK(object.CompressFile(in, out, 0) == UINT64_MAX);
        CHECK(object.DecompressFile(in, out, 0) == 0);
    }
}

void TestDecompressLimits() {
    g_case = "max_cr";
    Bytes data(20000, 'z'), packed, back;
    Object narrow(10), wide(255);
    CHECK(narrow.Compress(data, &packed));
    CHECK(narrow.Decompress(packed, &back) == 0);
    CHECK(narrow.ErrorSays("max_cr"));
    CHECK(wide.Decompress(packed, &back) == data.size());

    g_case = "every truncation";
    wide.SetQuirks(0);
    data = Text(600, 4);
    CHECK(wide.Compress(data, &packed));
    for (size_t size = 1; size < packed.size(); ++size) {
        CHECK(wide.Decompress(Bytes(packed.begin(), packed.begin() + static_cast<long>(size)),
                              &back) == 0);
    }

    g_case = "first member only";
    Bytes two = packed;
    two.insert(two.end(), packed.begin(), packed.end());
    CHECK(wide.Decompress(two, &back) == data.size());
    CHECK(back == data);

    g_case = "headers";
    for (int byte : {0, 1, 2, 3}) {
        Bytes bad = packed;
        bad[static_cast<size_t>(byte)] ^= 0x10;
        CHECK(wide.Decompress(bad, &back) == 0);
    }
    packed[9] = 255;
    CHECK(wide.Decompress(packed, &back) == data.size());
    packed[9] = 14;
    CHECK(wide.Decompress(packed, &back) == 0);
}

// Corrupt input must end in a failure or in bounded output, and in nothing the sanitizers see.
void TestCorruptInput() {
    Object clean(20), zlib(255);
    clean.SetQuirks(0);
    zlib.SetQuirks(2);
    Random random{2024};
    std::vector<Bytes> seeds;
    for (int kind = 0; kind < kKinds; ++kind) {
        Bytes packed;
        CHECK(clean.Compress(Content(kind, 3000, 1), &packed));
        seeds.push_back(packed);
    }
    for (int i = 0; i < 6000; ++i) {
        g_case = "corrupt input " + std::to_string(i);
        Bytes input;
        if (i % 3 == 0) {  // noise behind a good header
            input = Noise(18 + random.Below(400), 256, random.Next());
            const uint8_t header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
            std::copy(header, header + 10, input.begin());
            // Mostly dynamic blocks, which are the deepest code.
            if (i % 2) input[10] = static_cast<uint8_t>((input[10] & ~7) | 4);
        } else {
            input = seeds[random.Below(seeds.size())];
            size_t reach = i % 3 == 1 ? std::min<size_t>(input.size(), 120) : input.size();
            for (uint64_t changes = 1 + random.Below(4); changes > 0; --changes) {
                input[10 + random.Below(reach - 10)] ^= static_cast<uint8_t>(1u << random.Below(8));
            }
            if (random.Below(5) == 0) input.resize(11 + random.Below(input.size() - 11));
        }
        Bytes back;
        uint64_t size = clean.Decompress(input, &back);
        CHECK(size <= input.size() * 20);
        if (i % 8 == 0) {
            input[0] = 0x78, input[1] = 0x01;
            CHECK(zlib.Decompress(input, &back) <= input.size() * 255);
        }
    }
}

void TestDeviceSeconds() {
    g_case = "device seconds";
    Object object;
    CHECK(accel_gzip_device_seconds(object.handle) == 0);
    Bytes data = Text(8 * kBlock, 6), packed, back;
    CHECK(object.Compress(data, &packed));
    double one = accel_gzip_device_seconds(object.handle);
    // One brick goes through both stages in turn: at half of 2 GB/s.
    CHECK(one > 8e-3 && one < 11e-3);
    CHECK(object.Compress(data, &packed));
    double two = accel_gzip_device_seconds(object.handle);
    CHECK(two > 1.99 * one && two < 2.01 * one);
    CHECK(object.Decompress(packed, &back) == data.size());
    double inflate = accel_gzip_device_seconds(object.handle) - two;
    CHECK(inflate > 8.0 * kBlock / 736e6 && inflate < 8.0 * kBlock / 736e6 + 3e-3);
}

void RemoveDirectory() {
    if (DIR* dir = opendir(g_dir.c_str())) {
        while (dirent* entry = readdir(dir)) unlink(PathOf(entry->d_name).c_str());
        closedir(dir);
    }
    rmdir(g_dir.c_str());
}

}  // namespace

int main() {
    const char* base = std::getenv("TMPDIR");
    std::string pattern = std::string(base ? base : "/tmp") + "/test_xfzlib.XXXXXX";
    if (!mkdtemp(&pattern[0])) return std::perror("mkdtemp"), 1;
    g_dir = pattern;
    std::atexit(RemoveDirectory);
    unsetenv("ACCEL_GZIP_SIM_QUIRKS");
    TestConstructor();
    TestBadArguments();
    TestQuirks();
    TestBufferReuse();
    TestRoundTrips();
    TestDecompressLimits();
    TestCorruptInput();
    TestDeviceSeconds();
    std::puts("ok");
    return 0;
}
