// The Fletcher platform's C ABI for C and C++: both lists of declarations, exported.
//
// The declarations themselves are in the .abi.h files, which cffi reads too.
#ifndef ACCEL_NATIVE_FLETCHER_H_
#define ACCEL_NATIVE_FLETCHER_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A push marks every declaration for export: the .abi.h files may hold no macro, hence no
// attribute.
#pragma GCC visibility push(default)
#include "fletcher.abi.h"
#include "fletcher_ext.abi.h"
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif  // ACCEL_NATIVE_FLETCHER_H_
