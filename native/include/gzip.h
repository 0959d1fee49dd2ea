// The gzip accelerator library's C ABI for C and C++: both lists of declarations, exported.
//
// The declarations themselves are in the .abi.h files, which cffi reads too.
#ifndef ACCEL_NATIVE_GZIP_H_
#define ACCEL_NATIVE_GZIP_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A push marks every declaration for export: the .abi.h files may hold no macro, hence no
// attribute.
#pragma GCC visibility push(default)
#include "gzip.abi.h"
#include "gzip_ext.abi.h"
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif  // ACCEL_NATIVE_GZIP_H_
