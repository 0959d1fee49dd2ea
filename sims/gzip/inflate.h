// The decompress kernel: a raw deflate stream, read and written piece by piece.
#ifndef ACCEL_SIMS_GZIP_INFLATE_H_
#define ACCEL_SIMS_GZIP_INFLATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "gzip_card.h"

namespace accel_gzip {

class Inflater {
  public:
    explicit Inflater(DecompressKernel kernel);
    ~Inflater();
    InflateResult Run(ByteSource& in, ByteSink& out, uint64_t max_output);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace accel_gzip

#endif  // ACCEL_SIMS_GZIP_INFLATE_H_
