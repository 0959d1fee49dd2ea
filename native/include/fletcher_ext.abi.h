/* Calls of simulated Fletcher platforms only, beside fletcher.abi.h; a driver uses each one only if the library
 * exports it. Read by the C++ compiler and by cffi.
 *
 * Registers of the simulated design, by index: 0 control (1 start, 2 stop, 4 reset), 1 status, 2 and 3 the
 * result's low and high half, 4 and 5 first and last row, 6 and 7 the low and high half of the column's address,
 * which is taken down to the bus word of 64 bytes. There are no others.
 * Status: bit 0 idle, bit 1 busy, bit 2 done, bit 3 the last run ended with an AXI error: it read outside
 * prepared and allocated memory, and its result means nothing. So 5 is a good end, 13 a bad one.
 */

/* Which model runs: "rtl" (Verilog, cycle by cycle) or "functional" (C++). Static text. */
const char *accel_fletcher_model(void);

/* Device cycles of all runs since the library was loaded: counted by the RTL model, estimated by the functional
 * one. */
uint64_t accel_fletcher_cycles(void);

/* Modelled seconds of all runs and copies since the library was loaded. */
double accel_fletcher_device_seconds(void);

/* Text of the last failure, "" when there was none. Valid until the next call into the library. */
const char *accel_fletcher_last_error(void);

/* Change the simulation; of a run that is under way, the rest changes. Names, and defaults in brackets:
 *   functional           1: the functional model, 0: the RTL; the kernel goes back to idle
 *   clock_hz             device clock [250000000]
 *   link_bytes_per_s     bandwidth of the link to host memory [16000000000]
 *   latency_cycles       from a read request to its first data [128]
 *   stall_seed           random back-pressure on the bus, a quarter of all cycles; 0: none [0]
 *   poll_cycles          device cycles that pass while the status is read; 0: about a millisecond's work [0]
 *   device_memory_bytes  limit of device memory [no limit]
 * Returns 0, or -1 for an unknown name, an impossible value, or RTL that was not built in. */
int32_t accel_fletcher_sim_set(const char *name, uint64_t value);
