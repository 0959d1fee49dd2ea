// A network with its parameters, run on images.
#ifndef ACCEL_NATIVE_BNN_ENGINE_H_
#define ACCEL_NATIVE_BNN_ENGINE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "isa.h"
#include "params.h"

namespace bnn {

// What a run computes in; every thread at work has its own.
struct Scratch;

// Parameters packed for an instruction set. Never changes once made, so threads share it.
class Model {
  public:
    Model(const Params& params, const Isa& isa);

    // Images a pass takes at a time.
    int block() const { return block_; }

    // Runs up to block() images. `images` has their bytes one after another, each `stride` apart.
    // CNV: writes kOutputs scores for each; LFC: a word for each.
    void Run(const uint8_t* images, int64_t stride, bool planar, int count, Scratch* scratch,
             int32_t* scores, uint64_t* words) const;

  private:
    friend struct Scratch;

    void RunFirst(const uint8_t* images, int64_t stride, bool planar, int count,
                  Scratch* scratch) const;
    void RunLayer(int index, int count, Scratch* scratch) const;

    const Network& network_;
    const int block_;
    std::vector<std::unique_ptr<PackedLayer>> layers_;
    std::vector<int> planes_in_;                 // bit planes of each layer's input
    std::vector<std::vector<int32_t>> offsets_;  // of each layer's windows, for a whole block
};

struct Scratch {
    explicit Scratch(const Network& network);

    PanelScratch panel;
    alignas(kAlignment) unsigned char image[kImageBytes + kImagePadding];
    // Activations of a block, between layers and before pooling.
    AlignedVector<uint64_t> input, output;
    AlignedVector<int32_t> scores;  // of a block
    AlignedVector<uint64_t> words;
};

// The class of an image by the rules of BNN-PYNQ and of argmax; see accel_bnn_decision.
int32_t DecideScores(const int32_t* scores, int count, int decision);
int32_t DecideWord(uint64_t word, int count, int decision);

int BlockImages(const Network& network);

// Hands out scratch memory: what was given back before, or new.
class ScratchPool {
  public:
    explicit ScratchPool(const Network& network) : network_(network) { Give(Take()); }

    std::unique_ptr<Scratch> Take();
    void Give(std::unique_ptr<Scratch> scratch) noexcept;  // there is room for all that were made

  private:
    const Network& network_;
    std::mutex mutex_;
    size_t made_ = 0;
    std::vector<std::unique_ptr<Scratch>> free_;
};

// Scratch memory for the length of a scope.
class ScratchLease {
  public:
    explicit ScratchLease(ScratchPool* pool) : pool_(pool), scratch_(pool->Take()) {}
    ~ScratchLease() { pool_->Give(std::move(scratch_)); }
    ScratchLease(const ScratchLease&) = delete;
    ScratchLease& operator=(const ScratchLease&) = delete;
    Scratch* get() const { return scratch_.get(); }

  private:
    ScratchPool* pool_;
    std::unique_ptr<Scratch> scratch_;
};

// Finds an instruction set: by name; or, for a null name, the one $ACCEL_BNN_ISA names or
// the best this CPU has. Returns nullptr and says why if there is none.
const Isa* ChooseIsa(const char* name, std::string* error);

}  // namespace bnn

#endif  // ACCEL_NATIVE_BNN_ENGINE_H_
