/* The handle-based C ABI of the binarised neural network library.
 *
 * Declarations only: the C++ library includes this file (through bnn.h) and the Python driver passes its
 * text to cffi, so the two cannot drift apart. No preprocessor directive may appear here.
 *
 * Calls never print, never throw and never end the process. Different handles are independent. A handle may
 * be used by several threads at once: runs go side by side, each with the parameters that were loaded when
 * it began. Sizes are bytes unless said otherwise.
 */

/* What calls return. Zero is success; the text of a failure is what accel_bnn_error gives. */
enum accel_bnn_status {
    ACCEL_BNN_OK = 0,
    ACCEL_BNN_BAD_ARGUMENT = -1,   /* NULL, or a number out of its range */
    ACCEL_BNN_NO_NETWORK = -2,     /* no network of that name */
    ACCEL_BNN_NO_ISA = -3,         /* no such instruction set, or this CPU lacks it */
    ACCEL_BNN_BAD_PARAMETERS = -4, /* a parameter file is missing, unreadable, of the wrong size, or has the
                                      2-bit weight -2, which no published file has */
    ACCEL_BNN_NOT_LOADED = -5,     /* run before any successful load */
    ACCEL_BNN_NO_MEMORY = -6       /* memory could not be allocated */
};

/* How the images of a run lie in memory. */
enum accel_bnn_layout {
    ACCEL_BNN_RECORDS = 0, /* CNV: 3073 bytes, a label (ignored), then the red, green and blue planes */
    ACCEL_BNN_PIXELS = 1   /* CNV: 32 x 32 x (red, green, blue); LFC: 28 x 28 grey */
};

/* How a class is decided; each takes the first of equals. */
enum accel_bnn_decision {
    ACCEL_BNN_MULTIPLE = 0, /* as BNN-PYNQ's inference_multiple: CNV class 0 unless a score is above 0;
                               LFC the highest set bit below number_class, or 0 */
    ACCEL_BNN_SINGLE = 1,   /* as BNN-PYNQ's inference: CNV the highest score;
                               LFC log2 of the word's low number_class bits, rounded to nearest, or 0: it can
                               be number_class itself */
    ACCEL_BNN_ARGMAX = 2    /* CNV the highest score; an LFC has none, it is ACCEL_BNN_BAD_ARGUMENT there */
};

/* One of the networks. */
struct accel_bnn_network {
    const char *name;  /* static */
    int32_t layers;    /* how many */
    int32_t height;    /* pixels */
    int32_t width;     /* pixels */
    int32_t channels;  /* 3 colours, or 1 grey */
    int32_t has_scores; /* 1: a run gives scores; 0: it gives output words */
};

/* One layer. It is a matrix of `rows` neurons by `columns` synapses, applied `output_dim` squared times. */
struct accel_bnn_layer {
    int32_t kernel;          /* 3: convolution 3x3, stride 1, unpadded; 1: fully connected */
    int32_t input_dim;       /* pixels along a side; 1 when fully connected */
    int32_t input_channels;
    int32_t output_dim;      /* pixels along a side, before pooling */
    int32_t rows;            /* output channels, neurons */
    int32_t columns;         /* synapses, padding included */
    int32_t pool;            /* 2: max-pool 2x2 behind it; 1: none */
    int32_t simd;            /* columns that a processing element takes per cycle */
    int32_t pe;              /* processing elements: rows at work at once */
    int32_t input_bits;      /* 8: pixels; 1 or 2: activations */
    int32_t weight_bits;     /* 1: -1, +1; 2: -1, 0, +1 */
    int32_t thresholds;      /* for each neuron; 0 in a layer that gives scores */
};

/* A network on an instruction set, with or without parameters. */
struct accel_bnn;

/* Version of this ABI. */
uint32_t accel_bnn_abi_version(void);

/* Fill `network` with the network number `index`, from 0. ACCEL_BNN_NO_NETWORK past the last. */
int32_t accel_bnn_network_at(int32_t index, struct accel_bnn_network *network);

/* Fill `layer` with layer number `layer_index` of network number `network_index`. */
int32_t accel_bnn_layer_at(int32_t network_index, int32_t layer_index, struct accel_bnn_layer *layer);

/* Name of instruction set number `index`, from 0, the best first; NULL past the last. Static. */
const char *accel_bnn_isa_at(int32_t index);

/* Whether this CPU has it: 1, or 0 (also past the last). */
int32_t accel_bnn_isa_supported(int32_t index);

/* Make a handle for a network, without parameters.
 *   isa     an instruction set by name; NULL: $ACCEL_BNN_ISA, or the best this CPU has
 *   handle  set in every case but ACCEL_BNN_BAD_ARGUMENT and ACCEL_BNN_NO_MEMORY, also on failure, so that
 *           its error text can be read; release it with accel_bnn_destroy */
int32_t accel_bnn_create(const char *network, const char *isa, struct accel_bnn **handle);

/* Release a handle. NULL is ignored. No other thread may use it. */
void accel_bnn_destroy(struct accel_bnn *handle);

/* Name of the instruction set in use; "" for a handle whose creation failed. Static. */
const char *accel_bnn_isa(const struct accel_bnn *handle);

/* Load the parameter files in `folder`. On failure the handle keeps what it had. Blocks for milliseconds.
 * A last layer with fewer neurons than the network has (whole neuron folds, the same in all its files) is
 * filled up with zeros and told in accel_bnn_warning; any other wrong size is an error that names the file,
 * the expected size and the found size. */
int32_t accel_bnn_load(struct accel_bnn *handle, const char *folder);

/* Classify `count` images. Blocks; computes on the calling thread; allocates nothing unless more threads
 * than ever before use the handle at once.
 *   images        of `nbytes` bytes, exactly as many as `layout` and `count` say
 *   number_class  how many of the 64 outputs take part, from 1 to 64
 *   classes       count numbers, or NULL
 *   scores        CNV: count x number_class, row by row; NULL for none. Must be NULL for an LFC
 *   words         LFC: count words, bit n is neuron n of the last layer; NULL for none. Must be NULL for a
 *                 CNV */
int32_t accel_bnn_run(struct accel_bnn *handle, const uint8_t *images, uint64_t nbytes, uint64_t count,
                      int32_t layout, int32_t number_class, int32_t decision, int32_t *classes,
                      int32_t *scores, uint64_t *words);

/* Copy the text of the handle's last failure other than NULL pointers; "" when there was none. Returns its full length without the
 * final zero; at most `capacity` bytes are written, the final zero among them. With several threads on a
 * handle it is the last failure of any. */
int32_t accel_bnn_error(const struct accel_bnn *handle, char *text, int32_t capacity);

/* The same for what the last successful load had to say: one line each, "" for nothing. */
int32_t accel_bnn_warning(const struct accel_bnn *handle, char *text, int32_t capacity);
