/* The C ABI of the Vitis gzip accelerator library (the "xfZlib" wrapper, 2020).
 *
 * Declarations only: the C++ library includes this file (through gzip.h) and the Python driver passes
 * its text to cffi, so the two cannot drift apart. No preprocessor directive may appear here.
 *
 * Sizes are bytes. UINT64_MAX ("-1") is the only failure value of the compress calls.
 * An object must not be used by two threads at once; different objects are independent.
 */

/* Program device `device_id` with `xclbin_path` and allocate its buffers. Blocks for seconds on a card.
 * Never NULL on the vendor's library, even when set-up failed. Release with the destructor.
 *   max_cr   largest expansion ratio a decompress may have (default 10)
 *   cd_flow  0 both directions, 1 compress only, 2 decompress only
 *   profile  non-zero: profiling command queues
 *   d_type   decompress kernel: 0 dynamic, 1 fixed, 2 full */
void *xfZlib_constructor_wrapper(char *xclbin_path, uint8_t max_cr, uint8_t cd_flow,
                                 uint8_t device_id, uint8_t profile, uint8_t d_type);

/* Compress the first `input_size` bytes of `in_path` to a gzip file at `out_path`.
 * Returns the size of the deflate payload (not of the file), or UINT64_MAX. Blocks. */
uint64_t compress_file_wrapper(void *obj, char *in_path, char *out_path, uint64_t input_size);

/* Decompress the first member of `in_path` (`input_size` bytes) to `out_path` on compute unit `cu_run`.
 * Checksums are not verified. Returns the number of bytes written, 0 on failure. Blocks. */
uint64_t decompress_file_wrapper(void *obj, char *in_path, char *out_path, uint64_t input_size,
                                 int cu_run);
