// Reads the bus words that hold rows first to last - 1, and says which lanes of each word are such rows.
//
// A row's lane follows from its index: the buffer's address is taken down to a bus word. Bursts end at multiples
// of their longest length, which is a power of two of at most 4 KiB: so none crosses 4 KiB. Data are taken as
// they come. After an error no more is requested, and what is under way is waited for.
module fletcher_reader #(
    parameter int DATA_WIDTH  = 512,
    parameter int BURST_BEATS = 16,
    parameter int OUTSTANDING = 16,
    localparam int Lanes = DATA_WIDTH / 64
) (
    input logic aclk,
    input logic aresetn,

    input  logic        command,    // take the three inputs below, begin
    input  logic        clear,      // forget the last run
    input  logic [31:0] first_row,
    input  logic [31:0] last_row,
    input  logic [63:0] address,
    output logic        done,
    output logic        error,

    output logic        m_axi_arvalid,
    input  logic        m_axi_arready,
    output logic [63:0] m_axi_araddr,
    output logic [ 7:0] m_axi_arlen,
    output logic [ 2:0] m_axi_arsize,
    output logic [ 1:0] m_axi_arburst,
    input  logic        m_axi_rvalid,
    output logic        m_axi_rready,
    input  logic [ 1:0] m_axi_rresp,
    input  logic        m_axi_rlast,

    output logic             word_valid,
    output logic [Lanes-1:0] word_mask
);
  localparam int WordBits = $clog2(DATA_WIDTH / 8);
  localparam int LaneBits = $clog2(Lanes);
  localparam int BurstBits = $clog2(BURST_BEATS);
  localparam int CountBits = 32 - LaneBits + 1;
  localparam int OutstandingBits = $clog2(OUTSTANDING + 1);
  typedef logic [CountBits-1:0] count_t;

  // The command, in words: the one with row `first`, up to the one with row `last - 1`.
  wire is_empty = first_row >= last_row;
  wire [31:0] final_row = last_row - 32'd1;
  wire count_t words = count_t'(final_row[31:LaneBits]) - count_t'(first_row[31:LaneBits]) + 1'b1;

  // Requests.
  logic [63-WordBits:0] next_word;  // of memory
  count_t to_request;
  logic [OutstandingBits-1:0] outstanding;
  wire [BurstBits:0] to_boundary = (BurstBits + 1)'(BURST_BEATS) - {1'b0, next_word[BurstBits-1:0]};
  wire [BurstBits:0] beats =
      to_request < count_t'(to_boundary) ? to_request[BurstBits:0] : to_boundary;
  wire request = (!m_axi_arvalid || m_axi_arready) && to_request != 0 && !error &&
                 outstanding != OutstandingBits'(OUTSTANDING);
  wire completed = m_axi_rvalid && m_axi_rlast;

  assign m_axi_arsize  = 3'(WordBits);
  assign m_axi_arburst = 2'b01;  // incrementing

  always_ff @(posedge aclk) begin
    if (m_axi_arready) m_axi_arvalid <= 1'b0;
    if (request) begin
      m_axi_arvalid <= 1'b1;
      m_axi_araddr <= {next_word, WordBits'(0)};
      m_axi_arlen <= 8'(beats - 1'b1);
      next_word <= next_word + (64 - WordBits)'(beats);
      to_request <= to_request - count_t'(beats);
    end
    if (request != completed) outstanding <= request ? outstanding + 1'b1 : outstanding - 1'b1;
    if (clear) to_request <= '0;  // a run that failed left some
    if (command) begin
      next_word  <= address[63:WordBits] + (64 - WordBits)'(first_row[31:LaneBits]);
      to_request <= is_empty ? '0 : words;
    end
    if (!aresetn) begin
      m_axi_arvalid <= 1'b0;
      to_request <= '0;
      outstanding <= '0;
    end
  end

  // Data.
  logic is_first;
  logic [LaneBits-1:0] first_lane, last_lane;
  count_t to_receive;
  wire is_last = to_receive == 1;

  assign m_axi_rready = 1'b1;
  assign word_valid = m_axi_rvalid;
  for (genvar lane = 0; lane < Lanes; lane++) begin : g_mask
    assign word_mask[lane] = !(is_first && lane < int'(first_lane)) &&
                             !(is_last && lane > int'(last_lane));
  end

  always_ff @(posedge aclk) begin
    if (m_axi_rvalid) begin
      is_first   <= 1'b0;
      to_receive <= to_receive - 1'b1;
      if (m_axi_rresp[1]) error <= 1'b1;
    end
    if (clear) error <= 1'b0;
    if (command) begin
      is_first   <= 1'b1;
      to_receive <= is_empty ? '0 : words;
      first_lane <= first_row[LaneBits-1:0];
      last_lane  <= final_row[LaneBits-1:0];
    end
    if (!aresetn) begin
      error <= 1'b0;
      to_receive <= '0;
    end
  end

  assign done = outstanding == 0 && (to_receive == 0 || error);

  // AXI's exclusive response (01) is as good as OKAY; lower address bits are the lane's.
  wire unused = &{1'b0, m_axi_rresp[0], address[WordBits-1:0]};
endmodule
