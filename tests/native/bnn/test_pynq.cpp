// Feeds the BNN-PYNQ entry points of one network good, bad and random files; meant to run under the
// sanitizers. Arguments: an empty folder to work in, the network's number in the library's table.
//
// Exits with 1 and names the check that failed. All randomness is seeded.
#include <cstring>

#include "bnn_pynq.h"
#include "common.h"

namespace {

std::string g_dir;

Bytes ImageFile(const Naive& naive, const std::vector<Bytes>& pictures) {
    Bytes file;
    if (naive.facts.has_scores) {
        for (const Bytes& picture : pictures) {
            file.push_back(99);  // a label
            for (size_t i = 0; i < picture.size(); ++i)
                file.push_back(picture[i % 1024 * 3 + i / 1024]);
        }
        return file;
    }
    const uint32_t count = static_cast<uint32_t>(pictures.size());
    for (uint32_t number : {0x803u, count, 28u, 28u})
        for (int shift = 24; shift >= 0; shift -= 8)
            file.push_back(static_cast<uint8_t>(number >> shift));
    for (const Bytes& picture : pictures) file.insert(file.end(), picture.begin(), picture.end());
    return file;
}

bool HasError() { return *accel_bnn_pynq_error() != '\0'; }

// Calls everything on a file; what fails must say so, what succeeds must be in its bounds.
void Call(const Naive& naive, const std::string& path, int number_class) {
    const bool scored = naive.facts.has_scores;
    std::vector<int> results(scored ? static_cast<size_t>(number_class) : 64, -7);
    float microseconds = -1;
    const int single = inference(path.c_str(), results.data(), number_class, &microseconds);
    CHECK((single == -1) == HasError());
    CHECK(single >= -1 && single <= number_class);
    for (int detail : {0, 1}) {
        int count = -7;
        int* found = inference_multiple(path.c_str(), number_class, &count, &microseconds, detail);
        CHECK((found == nullptr) == HasError());
        CHECK(found ? count > 0 : count == 0);
        CHECK((found != nullptr) == (single != -1));
        const int wide = scored && detail ? number_class : 1;
        for (int64_t i = 0; i < int64_t{count} * wide; ++i)
            CHECK(wide > 1 ? found[i] >= -512 && found[i] <= 512
                           : found[i] >= -512 && found[i] < 513);
        free_results(found);
    }
}

void TestGood(const Naive& naive, const std::string& folder) {
    g_case = "good files";
    Random random{1};
    std::vector<Bytes> pictures;
    for (int i = 0; i < (naive.facts.has_scores ? 2 : 7); ++i)
        pictures.push_back(Picture(naive, random));
    const std::string path = g_dir + "/good";
    WriteFile(path, ImageFile(naive, pictures));
    load_parameters(folder.c_str());
    CHECK(!HasError());
    int count = 0;
    int* classes = inference_multiple(path.c_str(), 10, &count, nullptr, 0);
    CHECK(classes != nullptr && count == static_cast<int>(pictures.size()));
    for (int i = 0; i < count; ++i) {
        const std::vector<int32_t> expected = naive.Run(pictures[i].data());
        CHECK(classes[i] == Decide(expected, naive.facts.has_scores, 10, ACCEL_BNN_MULTIPLE));
        if (i) continue;
        CHECK(inference(path.c_str(), nullptr, 10, nullptr) ==
              Decide(expected, naive.facts.has_scores, 10, ACCEL_BNN_SINGLE));
    }
    free_results(classes);
    deinit();
    deinit();
}

// The reader of image files sees every length of header and last image, and random bytes.
void TestFiles(const Naive& naive) {
    Random random{2};
    std::vector<Bytes> pictures(3, Picture(naive, random));
    const Bytes good = ImageFile(naive, pictures);
    const std::string path = g_dir + "/random";
    const int descriptors = CountDescriptors();
    for (int round = 0; round < 150; ++round) {
        g_case = "random file " + std::to_string(round);
        Bytes file = good;
        if (round < 20) {
            file.resize(static_cast<size_t>(round));
        } else if (random.Below(2)) {
            file.resize(random.Below(file.size() + 100));
        }
        // Mostly the header: a count or size that is wrong by a bit or a byte.
        for (uint64_t i = random.Below(3); i > 0 && !file.empty(); --i) {
            const size_t at =
                random.Below(random.Below(4) ? std::min<size_t>(16, file.size()) : file.size());
            file[at] = random.Below(2) ? static_cast<uint8_t>(random.Next())
                                       : static_cast<uint8_t>(file[at] ^ 1u << random.Below(8));
        }
        // Missing pictures are blank ones: a million of them would take long under a sanitizer.
        if (!naive.facts.has_scores && file.size() > 7) file[4] = file[5] = 0, file[6] &= 3;
        WriteFile(path, file);
        Call(naive, path, static_cast<int>(1 + random.Below(64)));
    }
    for (const std::string& other :
         {g_dir, g_dir + "/none", std::string(), std::string(6000, 'x')}) {
        g_case = "not a file: " + other.substr(0, 80);
        Call(naive, other, 10);
    }
    CHECK(CountDescriptors() == descriptors);
}

void TestArguments(const Naive& naive) {
    g_case = "bad arguments";
    WriteFile(g_dir + "/one", ImageFile(naive, {Bytes(naive.ImageBytes(), 200)}));
    const std::string path = g_dir + "/one";
    for (int number : {0, -1, 65, 1 << 30, INT32_MIN}) {
        int count = -7;
        CHECK(inference(path.c_str(), nullptr, number, nullptr) == -1 && HasError());
        CHECK(!inference_multiple(path.c_str(), number, &count, nullptr, 0) && HasError());
        CHECK(count == 0);
    }
    CHECK(inference(nullptr, nullptr, 10, nullptr) == -1 && HasError());
    CHECK(!inference_multiple(nullptr, 10, nullptr, nullptr, 0) && HasError());
    free_results(nullptr);
    Call(naive, path, 10);
    CHECK(!HasError());
}

// Parameter files of any length: what is missing is zero, as in the original.
void TestParameters(const Naive& naive, const std::string& folder) {
    Random random{3};
    WriteFile(g_dir + "/one", ImageFile(naive, {Picture(naive, random)}));
    for (int round = 0; round < 25; ++round) {
        const size_t layer = random.Below(naive.layers.size());
        const std::string path = folder + "/" + std::to_string(layer) + "-" +
                                 std::to_string(random.Below(naive.layers[layer].facts.pe)) +
                                 "-weights.bin";
        g_case = path;
        const Bytes good = ReadFile(path);
        Bytes bad = good;
        bad.resize(random.Below(2 * good.size()));
        WriteFile(path, bad);
        load_parameters(folder.c_str());
        CHECK(!HasError());
        Call(naive, g_dir + "/one", 64);
        if (round % 5 == 0) {
            CHECK(unlink(path.c_str()) == 0);
            load_parameters(folder.c_str());
            CHECK(HasError() && std::strstr(accel_bnn_pynq_error(), path.c_str()));
            CHECK(inference((g_dir + "/one").c_str(), nullptr, 10, nullptr) == -1 && HasError());
        }
        WriteFile(path, good);
    }
    load_parameters(nullptr);
    CHECK(HasError());
    load_parameters(folder.c_str());
    CHECK(!HasError());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    g_dir = argv[1];
    Naive naive(std::atoi(argv[2]));
    Random random{4};
    naive.Randomise(random);
    const std::string folder = g_dir + "/parameters";
    MakeFolder(folder);
    naive.Write(folder);
    TestGood(naive, folder);
    TestFiles(naive);
    TestArguments(naive);
    TestParameters(naive, folder);
    CHECK(accel_bnn_device_seconds() > 0);
    deinit();
    return 0;
}
