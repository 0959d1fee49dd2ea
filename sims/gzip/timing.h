// Modelled device time of a card: what the hardware would have taken.
#ifndef ACCEL_SIMS_GZIP_TIMING_H_
#define ACCEL_SIMS_GZIP_TIMING_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace accel_gzip {

class TimingModel {
  public:
    void BeginCompress();
    void AddBrick(size_t bytes_in, size_t largest_block, size_t bytes_out);
    void EndCompress();
    void AddDecompress(uint64_t bytes_in, uint64_t bytes_out);
    double Seconds() const { return total_; }

  private:
    // When a stage last finished, for each of its two buffers (bricks with even and odd numbers).
    using Pair = std::array<double, 2>;
    struct Pipeline {
        size_t brick = 0;
        Pair to_card{};
        Pair lz77{};
        Pair huffman{};
        Pair to_host{};
    };
    Pipeline pipeline_;
    double total_ = 0;
};

}  // namespace accel_gzip

#endif  // ACCEL_SIMS_GZIP_TIMING_H_
