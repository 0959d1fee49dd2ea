/* Calls that not every library with the BNN-PYNQ ABI has, beside bnn_pynq.abi.h: a driver uses each one only
 * if the library exports it. Read by the C++ compiler and by cffi, as bnn_pynq.abi.h is.
 */

/* Text of the last failure in this library; "" after a call that succeeded. Static, valid until the next call. */
const char *accel_bnn_pynq_error(void);

/* Modelled seconds the hardware would have spent on all images so far. Exported by simulated devices' libraries
 * only. Does not block. */
double accel_bnn_device_seconds(void);
