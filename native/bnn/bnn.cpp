// The handle-based C ABI; see bnn.abi.h.
#include "bnn.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "engine.h"

struct accel_bnn {
    const bnn::Network* network = nullptr;
    const bnn::Isa* isa = nullptr;
    std::unique_ptr<bnn::ScratchPool> scratch;

    mutable std::mutex mutex;  // guards what follows
    std::shared_ptr<const bnn::Model> model;
    std::string error, warning;
};

namespace {

constexpr uint32_t kAbiVersion = 1;

int32_t Fail(accel_bnn* handle, int32_t status, std::string text) {
    const std::lock_guard<std::mutex> lock(handle->mutex);
    handle->error = std::move(text);
    return status;
}

// Runs what may run out of memory; nothing may be thrown across the ABI.
template <class Body>
int32_t Guarded(accel_bnn* handle, Body body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        try {
            return Fail(handle, ACCEL_BNN_NO_MEMORY, "out of memory");
        } catch (...) {
            return ACCEL_BNN_NO_MEMORY;
        }
    } catch (...) {  // std::length_error, std::system_error: no memory or no lock, by other names
        return ACCEL_BNN_NO_MEMORY;
    }
}

int32_t CopyText(const std::string& text, char* target, int32_t capacity) {
    if (target && capacity > 0) {
        const size_t bytes = std::min(text.size(), static_cast<size_t>(capacity) - 1);
        text.copy(target, bytes);
        target[bytes] = 0;
    }
    return static_cast<int32_t>(text.size());
}

struct Job {
    const uint8_t* images;
    uint64_t count;
    int64_t stride;
    bool planar;
    int number_class;
    int decision;
    int32_t* classes;
    int32_t* scores;
    uint64_t* words;
};

std::string CheckRun(const bnn::Network& network, const Job& job, uint64_t nbytes, int32_t layout) {
    if (layout != ACCEL_BNN_RECORDS && layout != ACCEL_BNN_PIXELS)
        return "unknown layout of images";
    if (layout == ACCEL_BNN_RECORDS && !network.HasScores())
        return "records are input of CNV networks only";
    if (job.number_class < 1 || job.number_class > bnn::kOutputs)
        return "number_class is " + std::to_string(job.number_class) + ", but must be from 1 to 64";
    if (job.decision < ACCEL_BNN_MULTIPLE || job.decision > ACCEL_BNN_ARGMAX)
        return "unknown decision rule";
    if (job.decision == ACCEL_BNN_ARGMAX && !network.HasScores())
        return "an LFC network has no scores";
    if (job.scores && !network.HasScores()) return "an LFC network has no scores";
    if (job.words && network.HasScores()) return "a CNV network has no output words";
    if (job.count > UINT64_MAX / job.stride) return "more images than memory can hold";
    if (nbytes != job.count * job.stride)
        return std::to_string(job.count) + " images are " + std::to_string(job.count * job.stride) +
               " bytes, not " + std::to_string(nbytes);
    if (job.count && !job.images) return "no images";
    return "";
}

void Deliver(const bnn::Network& network, const Job& job, const bnn::Scratch& block, uint64_t start,
             int count) {
    for (int i = 0; i < count; ++i) {
        const uint64_t at = start + i;
        if (network.HasScores()) {
            const int32_t* scores = &block.scores[size_t(i) * bnn::kOutputs];
            if (job.classes)
                job.classes[at] = bnn::DecideScores(scores, job.number_class, job.decision);
            if (job.scores)
                std::copy_n(scores, job.number_class, job.scores + at * job.number_class);
        } else {
            if (job.classes)
                job.classes[at] = bnn::DecideWord(block.words[i], job.number_class, job.decision);
            if (job.words) job.words[at] = block.words[i];
        }
    }
}

}  // namespace

extern "C" {

uint32_t accel_bnn_abi_version(void) { return kAbiVersion; }

int32_t accel_bnn_network_at(int32_t index, struct accel_bnn_network* network) {
    if (index < 0 || index >= bnn::NetworkCount()) return ACCEL_BNN_NO_NETWORK;
    if (!network) return ACCEL_BNN_BAD_ARGUMENT;
    *network = bnn::NetworkAt(index).facts;
    return ACCEL_BNN_OK;
}

int32_t accel_bnn_layer_at(int32_t network_index, int32_t layer_index,
                           struct accel_bnn_layer* layer) {
    if (network_index < 0 || network_index >= bnn::NetworkCount()) return ACCEL_BNN_NO_NETWORK;
    const bnn::Network& network = bnn::NetworkAt(network_index);
    if (layer_index < 0 || layer_index >= network.LayerCount() || !layer)
        return ACCEL_BNN_BAD_ARGUMENT;
    *layer = network.layers[layer_index];
    return ACCEL_BNN_OK;
}

const char* accel_bnn_isa_at(int32_t index) {
    return index < 0 || index >= bnn::kIsaCount ? nullptr : bnn::kIsas[index]->name;
}

int32_t accel_bnn_isa_supported(int32_t index) {
    return index >= 0 && index < bnn::kIsaCount && bnn::kIsas[index]->supported();
}

int32_t accel_bnn_create(const char* network, const char* isa, struct accel_bnn** handle) {
    if (!network || !handle) return ACCEL_BNN_BAD_ARGUMENT;
    *handle = new (std::nothrow) accel_bnn;
    if (!*handle) return ACCEL_BNN_NO_MEMORY;
    accel_bnn* made = *handle;
    const int32_t status = Guarded(made, [&] {
        made->network = bnn::FindNetwork(network);
        if (!made->network)
            return Fail(made, ACCEL_BNN_NO_NETWORK, std::string("there is no network ") + network);
        std::string error;
        made->isa = bnn::ChooseIsa(isa, &error);
        if (!made->isa) return Fail(made, ACCEL_BNN_NO_ISA, error);
        made->scratch = std::make_unique<bnn::ScratchPool>(*made->network);
        return int32_t{ACCEL_BNN_OK};
    });
    if (status == ACCEL_BNN_NO_MEMORY) {
        delete made;
        *handle = nullptr;
    }
    return status;
}

void accel_bnn_destroy(struct accel_bnn* handle) { delete handle; }

const char* accel_bnn_isa(const struct accel_bnn* handle) {
    return handle && handle->isa ? handle->isa->name : "";
}

int32_t accel_bnn_load(struct accel_bnn* handle, const char* folder) {
    if (!handle || !folder || !handle->scratch) return ACCEL_BNN_BAD_ARGUMENT;
    return Guarded(handle, [&] {
        bnn::Params params;
        std::string error;
        if (!bnn::ReadParams(*handle->network, folder, bnn::Sizes::kChecked, &params, &error))
            return Fail(handle, ACCEL_BNN_BAD_PARAMETERS, error);
        auto model = std::make_shared<const bnn::Model>(params, *handle->isa);
        const std::lock_guard<std::mutex> lock(handle->mutex);
        handle->model = std::move(model);
        handle->warning = std::move(params.warning);
        return int32_t{ACCEL_BNN_OK};
    });
}

int32_t accel_bnn_run(struct accel_bnn* handle, const uint8_t* images, uint64_t nbytes,
                      uint64_t count, int32_t layout, int32_t number_class, int32_t decision,
                      int32_t* classes, int32_t* scores, uint64_t* words) {
    if (!handle || !handle->scratch) return ACCEL_BNN_BAD_ARGUMENT;
    return Guarded(handle, [&] {
        const bnn::Network& network = *handle->network;
        const bool planar = layout == ACCEL_BNN_RECORDS;
        const int64_t label = planar ? bnn::kRecordLabel : 0;
        const Job job = {images,  count,        network.PixelBytes() + label,
                         planar,  number_class, decision,
                         classes, scores,       words};
        const std::string problem = CheckRun(network, job, nbytes, layout);
        if (!problem.empty()) return Fail(handle, ACCEL_BNN_BAD_ARGUMENT, problem);
        std::shared_ptr<const bnn::Model> model;
        {
            const std::lock_guard<std::mutex> lock(handle->mutex);
            model = handle->model;
        }
        if (!model) return Fail(handle, ACCEL_BNN_NOT_LOADED, "no parameters are loaded");
        const bnn::ScratchLease lease(handle->scratch.get());
        bnn::Scratch* scratch = lease.get();
        for (uint64_t start = 0; start < count; start += model->block()) {
            const int here = static_cast<int>(std::min<uint64_t>(count - start, model->block()));
            model->Run(images + start * job.stride + label, job.stride, planar, here, scratch,
                       scratch->scores.data(), scratch->words.data());
            Deliver(network, job, *scratch, start, here);
        }
        return int32_t{ACCEL_BNN_OK};
    });
}

int32_t accel_bnn_error(const struct accel_bnn* handle, char* text, int32_t capacity) {
    if (!handle) return CopyText("no handle", text, capacity);
    const std::lock_guard<std::mutex> lock(handle->mutex);
    return CopyText(handle->error, text, capacity);
}

int32_t accel_bnn_warning(const struct accel_bnn* handle, char* text, int32_t capacity) {
    if (!handle) return CopyText("", text, capacity);
    const std::lock_guard<std::mutex> lock(handle->mutex);
    return CopyText(handle->warning, text, capacity);
}

}  // extern "C"
