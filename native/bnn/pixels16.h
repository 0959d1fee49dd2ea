// The first layer of a CNV in 16-bit sums, which 27 levels of at most 255 cannot overflow: its
// parameters.
#ifndef ACCEL_NATIVE_BNN_PIXELS16_H_
#define ACCEL_NATIVE_BNN_PIXELS16_H_

#include "isa.h"

namespace bnn {

class Pixels16 : public PackedLayer {
  protected:
    explicit Pixels16(const LayerParams& params) : planes_(params.planes()) {
        for (int row = 0; row < kPixelRows; ++row) {
            for (int k = 0; k < kPixelColumns; ++k)
                weights_[k][row] = static_cast<int16_t>(PixelWeight(params, row, k));
            for (int plane = 0; plane < planes_; ++plane)
                bounds_[plane][row] = static_cast<int16_t>(PixelBound(params, plane, row));
        }
    }

    const int planes_;
    alignas(kAlignment) int16_t weights_[kPixelColumns][kPixelRows];
    alignas(kAlignment) int16_t bounds_[2][kPixelRows];
};

}  // namespace bnn

#endif  // ACCEL_NATIVE_BNN_PIXELS16_H_
