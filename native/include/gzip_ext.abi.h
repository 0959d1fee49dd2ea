/* Calls that not every gzip library has, beside gzip.abi.h: a driver uses each one only if the library
 * exports it. Read by the C++ compiler and by cffi, as gzip.abi.h is.
 */

/* Release the object and everything it owns. NULL is ignored. A library has this or DeleteInstanceOfClass. */
void xfZlib_destructor_wrapper(void *obj);

/* Compress `in_size` bytes from memory. Returns a buffer of `*out_size` bytes that belongs to the object
 * and stays valid until the next call on it, or NULL on failure. Declared by the vendor's Python code,
 * defined by no published vendor library. Blocks. */
uint8_t *compress_buffer_wrapper(void *obj, const uint8_t *in, uint64_t in_size, uint64_t *out_size);

/* What xfZlib_destructor_wrapper is called in a fork of the vendor's library. */
void DeleteInstanceOfClass(void *obj);

/* Modelled seconds the hardware would have spent on all calls of this object so far, set-up excluded.
 * Exported by simulated libraries only. Does not block. */
double accel_gzip_device_seconds(void *obj);

/* Text of the last failure of this object; "" when there was none. Belongs to the object, valid until the
 * next call on it. */
const char *accel_gzip_last_error(void *obj);

/* Simulated libraries only: which of the vendor's faults the output has.
 *   0  none: real CRC-32, nothing behind the trailer
 *   1  gzip framing as the vendor writes it: zero CRC-32, five zero bytes behind the trailer (the default)
 *   2  zlib framing as the vendor writes it: five zero bytes instead of the Adler-32
 * Returns 0, or -1 for an unknown value. Also set for new objects by ACCEL_GZIP_SIM_QUIRKS. */
int32_t accel_gzip_sim_set_quirks(void *obj, int32_t quirks);
