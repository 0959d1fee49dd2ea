/* The C ABI between Fletcher's runtime and a platform library, libfletcher_<name>.so.
 *
 * Declarations only: the C++ library includes this file (through fletcher.h) and the Python driver passes its
 * text to cffi. No preprocessor directive may appear here.
 *
 * Every function returns a status: 0 OK, 1 error, 2 no such platform (made by the runtime), 3 device out of
 * memory. All state is global to a library; there is no handle. Device addresses are 64 bits, null is 0.
 * Sizes are bytes. A library may be used by one caller at a time; the simulated one locks.
 */

/* Write the platform's name and a NUL, cut to `size` bytes in all. */
uint64_t platformGetName(char *name, size_t size);

/* Open the device. `arg` is a structure of the library's own; NULL must be accepted. Simulated: puts the kernel
 * back to idle, whatever it was doing; ranges, addresses and memory stay. May be called again. */
uint64_t platformInit(void *arg);

/* Write a 32-bit register. `offset` counts registers, not bytes. */
uint64_t platformWriteMMIO(uint64_t offset, uint32_t value);

/* Read a 32-bit register. Simulated: a read of the status register also lets some device time pass. */
uint64_t platformReadMMIO(uint64_t offset, uint32_t *value);

/* Copy to device memory. Blocks. */
uint64_t platformCopyHostToDevice(const uint8_t *src, uint64_t dst, int64_t size);

/* Copy from device memory. Blocks. */
uint64_t platformCopyDeviceToHost(uint64_t src, uint8_t *dst, int64_t size);

/* Allocate device memory, aligned to 4096; the caller frees it with platformDeviceFree. */
uint64_t platformDeviceMalloc(uint64_t *addr, int64_t size);

/* Free device memory. Null is ignored. Simulated: so is what is not allocated; works after platformTerminate. */
uint64_t platformDeviceFree(uint64_t addr);

/* Make host memory visible to the device: in place (*alloced = 0; the host keeps it, unchanged, while the device
 * uses it) or by a copy (*alloced = 1; the caller frees *dst). NULL with size 0 is allowed.
 * Simulated: in place if `src` is a multiple of 64, else copied. */
uint64_t platformPrepareHostBuffer(const uint8_t *src, uint64_t *dst, int64_t size, int *alloced);

/* Copy host memory to new device memory; the caller always frees *dst. NULL with size 0 is allowed. */
uint64_t platformCacheHostBuffer(const uint8_t *src, uint64_t *dst, int64_t size);

/* Close the device. May be called without or after another close; device memory stays until it is freed. */
uint64_t platformTerminate(void *arg);
