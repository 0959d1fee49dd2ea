// Checks the bnn engine through its handle ABI against a naive model; meant to run under the
// sanitizers. The first argument is an empty folder to work in. With a second one, "threads", only
// what threads do is checked.
//
// Exits with 1 and names the check that failed. All randomness is seeded.
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "common.h"

namespace {

std::string g_dir;

struct Handle {
    accel_bnn* pointer = nullptr;

    Handle(const char* network, const char* isa) {
        CHECK(accel_bnn_create(network, isa, &pointer) == ACCEL_BNN_OK);
        CHECK(isa == nullptr || std::strcmp(accel_bnn_isa(pointer), isa) == 0);
    }
    ~Handle() { accel_bnn_destroy(pointer); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    int Load(const std::string& folder) { return accel_bnn_load(pointer, folder.c_str()); }
    std::string Error() const {
        const int length = accel_bnn_error(pointer, nullptr, 0);
        CHECK(length >= 0);
        std::vector<char> text(static_cast<size_t>(length) + 1);
        accel_bnn_error(pointer, text.data(), length + 1);
        return text.data();
    }
};

// A network with parameters, pictures, and what the naive model says about them.
struct Subject {
    Naive naive;
    std::string folder;
    std::vector<Bytes> pictures;
    std::vector<std::vector<int32_t>> outputs;

    Subject(int network, uint64_t seed, int count) : naive(network) {
        Random random{seed};
        folder = g_dir + "/" + naive.facts.name + "-" + std::to_string(seed);
        MakeFolder(folder);
        naive.Randomise(random);
        naive.Write(folder);
        for (int i = 0; i < count; ++i) {
            pictures.push_back(Picture(naive, random));
            outputs.push_back(naive.Run(pictures.back().data()));
        }
    }

    // Runs a batch made of the pictures in any order, in memory of just its size.
    void CheckBatch(const Handle& handle, Random& random, uint64_t count) const {
        const bool scored = naive.facts.has_scores;
        const bool records = scored && random.Below(2);
        const int number_class = static_cast<int>(1 + random.Below(64));
        const int decision = static_cast<int>(random.Below(scored ? 3 : 2));
        const size_t image_bytes = naive.ImageBytes() + records;
        std::vector<size_t> order(count);
        const std::unique_ptr<uint8_t[]> images(new uint8_t[count * image_bytes]);
        for (uint64_t i = 0; i < count; ++i) {
            order[i] = random.Below(pictures.size());
            uint8_t* to = &images[i * image_bytes];
            records ? ToRecord(pictures[order[i]], random, to)
                    : void(std::copy(pictures[order[i]].begin(), pictures[order[i]].end(), to));
        }
        const std::unique_ptr<int32_t[]> classes(new int32_t[count]);
        const std::unique_ptr<int32_t[]> scores(new int32_t[scored ? count * number_class : 0]);
        const std::unique_ptr<uint64_t[]> words(new uint64_t[scored ? 0 : count]);
        CHECK(accel_bnn_run(handle.pointer, images.get(), count * image_bytes, count,
                            records ? ACCEL_BNN_RECORDS : ACCEL_BNN_PIXELS, number_class, decision,
                            classes.get(), scored ? scores.get() : nullptr,
                            scored ? nullptr : words.get()) == ACCEL_BNN_OK);
        for (uint64_t i = 0; i < count; ++i) {
            const std::vector<int32_t>& expected = outputs[order[i]];
            CHECK(classes[i] == Decide(expected, scored, number_class, decision));
            if (!scored) CHECK(words[i] == Naive::Word(expected));
            for (int c = 0; scored && c < number_class; ++c)
                CHECK(scores[i * number_class + c] == expected[c]);
        }
    }

    void ToRecord(const Bytes& picture, Random& random, uint8_t* record) const {
        *record++ = static_cast<uint8_t>(random.Next());
        const size_t plane = picture.size() / 3;
        for (size_t i = 0; i < picture.size(); ++i) record[i % 3 * plane + i / 3] = picture[i];
    }
};

std::vector<const char*> SupportedIsas() {
    std::vector<const char*> names;
    for (int i = 0; accel_bnn_isa_at(i); ++i)
        if (accel_bnn_isa_supported(i)) names.push_back(accel_bnn_isa_at(i));
    CHECK(!names.empty());
    return names;
}

int NetworkTotal() {
    accel_bnn_network facts;
    int count = 0;
    while (accel_bnn_network_at(count, &facts) == ACCEL_BNN_OK) ++count;
    return count;
}

void TestEveryNetworkOnEveryIsa() {
    for (int network = 0; network < NetworkTotal(); ++network) {
        const bool large = Naive(network).facts.has_scores;
        const Subject subject(network, 11, large ? 2 : 6);
        for (const char* isa : SupportedIsas()) {
            g_case = std::string(subject.naive.facts.name) + " on " + isa;
            Random random{5};
            Handle handle(subject.naive.facts.name, isa);
            CHECK(handle.Load(subject.folder) == ACCEL_BNN_OK);
            CHECK(handle.Error().empty());
            for (uint64_t count : {0, 1, 2, 3}) subject.CheckBatch(handle, random, count);
            subject.CheckBatch(handle, random, large ? 17 : 90);
        }
    }
}

void TestBadArguments() {
    g_case = "bad arguments";
    accel_bnn* none = nullptr;
    accel_bnn_destroy(nullptr);
    CHECK(accel_bnn_create(nullptr, nullptr, &none) == ACCEL_BNN_BAD_ARGUMENT);
    CHECK(accel_bnn_create("cnvW1A1", nullptr, nullptr) == ACCEL_BNN_BAD_ARGUMENT);
    for (const char* network : {"", "cnv", "cnvW1A1x"}) {
        CHECK(accel_bnn_create(network, nullptr, &none) == ACCEL_BNN_NO_NETWORK);
        CHECK(none != nullptr && *accel_bnn_isa(none) == '\0');
        CHECK(accel_bnn_error(none, nullptr, 0) > 0);
        accel_bnn_destroy(none);
    }
    CHECK(accel_bnn_create("cnvW1A1", "none", &none) == ACCEL_BNN_NO_ISA);
    accel_bnn_destroy(none);
    for (int index : {-1, 5, 1 << 30}) {
        accel_bnn_network facts;
        accel_bnn_layer layer;
        CHECK(accel_bnn_network_at(index, &facts) == ACCEL_BNN_NO_NETWORK);
        CHECK(accel_bnn_layer_at(index, 0, &layer) != ACCEL_BNN_OK);
        CHECK(accel_bnn_layer_at(0, index == 5 ? 9 : index, &layer) != ACCEL_BNN_OK);
        CHECK(accel_bnn_isa_at(index) == nullptr);
        CHECK(accel_bnn_isa_supported(index) == 0);
    }

    const Subject subject(3, 12, 1);
    Handle handle("lfcW1A1", nullptr);
    const Bytes& image = subject.pictures[0];
    int32_t class_index = -7;
    auto run = [&](const uint8_t* images, uint64_t nbytes, uint64_t count, int layout, int number,
                   int decision) {
        return accel_bnn_run(handle.pointer, images, nbytes, count, layout, number, decision,
                             &class_index, nullptr, nullptr);
    };
    CHECK(run(image.data(), 784, 1, 1, 10, 0) == ACCEL_BNN_NOT_LOADED);
    CHECK(accel_bnn_load(nullptr, "x") == ACCEL_BNN_BAD_ARGUMENT);
    CHECK(accel_bnn_load(handle.pointer, nullptr) == ACCEL_BNN_BAD_ARGUMENT);
    CHECK(handle.Load(subject.folder) == ACCEL_BNN_OK);
    CHECK(run(nullptr, 784, 1, 1, 10, 0) == ACCEL_BNN_BAD_ARGUMENT);
    for (uint64_t nbytes :
         {uint64_t{0}, uint64_t{783}, uint64_t{785}, uint64_t{1568}, ~uint64_t{0}})
        CHECK(run(image.data(), nbytes, 1, 1, 10, 0) == ACCEL_BNN_BAD_ARGUMENT);
    // Counts whose bytes, modulo 2^64, are those of no image or of one.
    for (uint64_t count : {uint64_t{1} << 60, ~uint64_t{0}, uint64_t{1} << 63})
        CHECK(run(image.data(), count * 784, count, 1, 10, 0) == ACCEL_BNN_BAD_ARGUMENT);
    for (int number : {0, -1, 65, 1 << 30})
        CHECK(run(image.data(), 784, 1, 1, number, 0) == ACCEL_BNN_BAD_ARGUMENT);
    for (int code : {-1, 2, 3, 1 << 30}) {
        CHECK(run(image.data(), 784, 1, code, 10, 0) == ACCEL_BNN_BAD_ARGUMENT);
        CHECK(run(image.data(), 784, 1, 1, 10, code) == ACCEL_BNN_BAD_ARGUMENT);
    }
    CHECK(!handle.Error().empty());
    CHECK(class_index == -7);
    CHECK(run(image.data(), 784, 1, 1, 10, 0) == ACCEL_BNN_OK);
    CHECK(class_index == Decide(subject.outputs[0], false, 10, 0));

    g_case = "short texts";
    char text[4] = {'#', '#', '#', '#'};
    const int length = accel_bnn_error(handle.pointer, nullptr, 0);
    CHECK(accel_bnn_error(handle.pointer, text, 3) == length && text[2] == '\0' && text[3] == '#');
    CHECK(accel_bnn_error(handle.pointer, text, 1) == length && text[0] == '\0' && text[1] != '\0');
    CHECK(accel_bnn_error(handle.pointer, text, -5) == length);
}

// Files of random lengths and contents: an error or a load, nothing else, and no descriptor is
// left.
void TestDamagedFiles() {
    Random random{21};
    for (int network : {2, 3, 4}) {
        const Subject subject(network, 13, 1);
        Handle handle(subject.naive.facts.name, nullptr);
        CHECK(handle.Load(subject.folder) == ACCEL_BNN_OK);
        const int descriptors = CountDescriptors();
        for (int round = 0; round < (network == 2 ? 8 : 30); ++round) {
            const size_t layer = random.Below(3) ? subject.naive.layers.size() - 1
                                                 : random.Below(subject.naive.layers.size());
            const accel_bnn_layer& facts = subject.naive.layers[layer].facts;
            const bool weights = random.Below(2) || !facts.thresholds;
            const std::string path = subject.folder + "/" + std::to_string(layer) + "-" +
                                     std::to_string(random.Below(facts.pe)) +
                                     (weights ? "-weights.bin" : "-thres.bin");
            g_case = path;
            const Bytes good = ReadFile(path);
            Bytes bad = good;
            if (random.Below(3)) bad.resize(random.Below(2 * good.size()));
            for (uint64_t i = random.Below(9); i > 0 && !bad.empty(); --i)
                bad[random.Below(bad.size())] = static_cast<uint8_t>(random.Next());
            WriteFile(path, bad);
            if (round % 10 == 0) CHECK(unlink(path.c_str()) == 0);
            const int status = handle.Load(subject.folder);
            CHECK(status == ACCEL_BNN_OK || status == ACCEL_BNN_BAD_PARAMETERS);
            if (bad.size() != good.size() || round % 10 == 0) CHECK(status != ACCEL_BNN_OK);
            if (status != ACCEL_BNN_OK) CHECK(handle.Error().find(path) != std::string::npos);
            int32_t class_index = -1;
            CHECK(accel_bnn_run(handle.pointer, subject.pictures[0].data(),
                                subject.pictures[0].size(), 1, ACCEL_BNN_PIXELS, 64, 0,
                                &class_index, nullptr, nullptr) == ACCEL_BNN_OK);
            CHECK(class_index >= 0 && class_index < 64);
            WriteFile(path, good);
        }
        CHECK(handle.Load(subject.folder) == ACCEL_BNN_OK);
        subject.CheckBatch(handle, random, 3);
        CHECK(CountDescriptors() == descriptors);
    }
}

// Every thread uses every handle, while one more loads the same parameters over and over, and fails
// to.
void TestThreads(const std::vector<int>& networks) {
    std::vector<std::unique_ptr<Subject>> subjects;
    std::vector<std::unique_ptr<Handle>> handles;
    const std::vector<const char*> isas = SupportedIsas();
    for (int network : networks) {
        const uint64_t seed = 30 + handles.size();
        subjects.push_back(std::make_unique<Subject>(network, seed, network < 3 ? 1 : 4));
        handles.push_back(std::make_unique<Handle>(subjects.back()->naive.facts.name,
                                                   isas[handles.size() % isas.size()]));
        CHECK(handles.back()->Load(subjects.back()->folder) == ACCEL_BNN_OK);
    }
    std::atomic<int> left{8};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            Random random{static_cast<uint64_t>(t)};
            for (size_t i = 0; i < 2 * handles.size(); ++i) {
                const size_t at = (i + t) % handles.size();
                g_case = std::string("threads, ") + subjects[at]->naive.facts.name;
                subjects[at]->CheckBatch(*handles[at], random, 1 + random.Below(9));
            }
            --left;
        });
    }
    for (int round = 0; left > 0 || round < 3; ++round) {
        const size_t at = round % handles.size();
        CHECK(handles[at]->Load(subjects[at]->folder) == ACCEL_BNN_OK);
        CHECK(handles[at]->Load(g_dir + "/missing") == ACCEL_BNN_BAD_PARAMETERS);
        CHECK(!handles[at]->Error().empty());
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    g_dir = argv[1];
    const bool only_threads = argc > 2 && std::strcmp(argv[2], "threads") == 0;
    if (!only_threads) {
        TestEveryNetworkOnEveryIsa();
        TestBadArguments();
        TestDamagedFiles();
    }
    TestThreads(only_threads ? std::vector<int>{0, 3, 4} : std::vector<int>{1, 2, 4});
    return 0;
}
