// The bnn_pynq C ABI for C and C++, exported. The declarations are in the .abi.h files, which cffi
// reads too.
#ifndef ACCEL_NATIVE_BNN_PYNQ_H_
#define ACCEL_NATIVE_BNN_PYNQ_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A push marks every declaration for export: the .abi.h files may hold no macro, hence no
// attribute.
#pragma GCC visibility push(default)
#include "bnn_ext.abi.h"
#include "bnn_pynq.abi.h"
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif  // ACCEL_NATIVE_BNN_PYNQ_H_
