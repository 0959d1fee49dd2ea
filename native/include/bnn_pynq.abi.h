/* The C ABI of BNN-PYNQ's network libraries, python_sw-<network>-<platform>.so and python_hw-....so.
 *
 * Declarations only: the C++ libraries include this file (through bnn_pynq.h) and the Python driver passes
 * its text to cffi. No preprocessor directive may appear here.
 *
 * State is global to a library: one parameter set, one caller at a time. What the original does on bad input
 * is in brackets; libraries of this project do what stands before it, and keep going.
 */

/* Load the parameter files in a folder; the last load wins. Missing words of short files read as zero, what
 * is too long is ignored. The 2-bit weight -2, which no published file has, is a failure [is used]. After a
 * failed load every inference fails until a load succeeds [aborts]. */
void load_parameters(const char *path);

/* Classify the first image of a file: CIFAR-10 binary records (CNV) or idx3 (LFC).
 *   results       NULL, or room for number_class ints (CNV: the scores) or for 64 ints (LFC: one-hot)
 *   usecPerImage  NULL, or set to the compute part's microseconds
 * Returns the class; -1 on failure [aborts, or crashes]. The class of an LFC can be number_class itself, as its
 * logarithm is rounded to nearest; of 64 it has no place in `results`. */
int inference(const char *path, int *results, int number_class, float *usecPerImage);

/* Classify every image of a file.
 *   image_number   NULL, or set to the number of images; 0 on failure
 *   enable_detail  CNV: non-zero for number_class scores per image instead of one class
 * Returns an array for free_results; NULL on failure [aborts, or crashes]. */
int *inference_multiple(const char *path, int number_class, int *image_number, float *usecPerImage,
                        int enable_detail);

/* Release what inference_multiple returned. NULL is ignored. */
void free_results(int *result);

/* Release buffers. May be called twice; inference afterwards works. */
void deinit(void);
