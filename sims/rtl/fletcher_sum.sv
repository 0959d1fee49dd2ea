// Sums rows of one int64 column of an Arrow record batch in host memory.
//
// Host side: an AXI4-Lite slave with Fletcher's registers for one batch of one buffer. Memory side: the read
// channels of an AXI4 master, one transaction ID, so data come back in order.
module fletcher_sum #(
    parameter int DATA_WIDTH  = 512,  // bits; 64 times a power of two
    parameter int BURST_BEATS = 16,   // beats of the longest burst, a power of two; a burst has at most 4 KiB
    parameter int OUTSTANDING = 16    // bursts requested and not yet complete, at most
) (
    input logic aclk,
    input logic aresetn,

    input  logic        s_axil_awvalid,
    output logic        s_axil_awready,
    input  logic [ 7:0] s_axil_awaddr,
    input  logic        s_axil_wvalid,
    output logic        s_axil_wready,
    input  logic [31:0] s_axil_wdata,
    input  logic [ 3:0] s_axil_wstrb,
    output logic        s_axil_bvalid,
    input  logic        s_axil_bready,
    output logic [ 1:0] s_axil_bresp,
    input  logic        s_axil_arvalid,
    output logic        s_axil_arready,
    input  logic [ 7:0] s_axil_araddr,
    output logic        s_axil_rvalid,
    input  logic        s_axil_rready,
    output logic [31:0] s_axil_rdata,
    output logic [ 1:0] s_axil_rresp,

    output logic                  m_axi_arvalid,
    input  logic                  m_axi_arready,
    output logic [          63:0] m_axi_araddr,
    output logic [           7:0] m_axi_arlen,
    output logic [           2:0] m_axi_arsize,
    output logic [           1:0] m_axi_arburst,
    input  logic                  m_axi_rvalid,
    output logic                  m_axi_rready,
    input  logic [DATA_WIDTH-1:0] m_axi_rdata,
    input  logic [           1:0] m_axi_rresp,
    input  logic                  m_axi_rlast,

    output logic busy  // from the start to the end of a run
);
  localparam int Lanes = DATA_WIDTH / 64;

  logic start, reset, clear, command;
  logic reader_done, reader_error, tree_empty;
  logic [3:0] status;
  logic [63:0] result, address;
  logic [31:0] first_row, last_row;
  logic word_valid;
  logic [Lanes-1:0] word_mask;

  fletcher_registers registers (
      .aclk,
      .aresetn,
      .s_axil_awvalid,
      .s_axil_awready,
      .s_axil_awaddr,
      .s_axil_wvalid,
      .s_axil_wready,
      .s_axil_wdata,
      .s_axil_wstrb,
      .s_axil_bvalid,
      .s_axil_bready,
      .s_axil_bresp,
      .s_axil_arvalid,
      .s_axil_arready,
      .s_axil_araddr,
      .s_axil_rvalid,
      .s_axil_rready,
      .s_axil_rdata,
      .s_axil_rresp,
      .status,
      .result,
      .start,
      .reset,
      .first_row,
      .last_row,
      .address
  );

  fletcher_control control (
      .aclk,
      .aresetn,
      .start,
      .reset,
      .finished(reader_done && tree_empty),
      .failed(reader_error),
      .clear,
      .command,
      .busy,
      .status
  );

  fletcher_reader #(
      .DATA_WIDTH (DATA_WIDTH),
      .BURST_BEATS(BURST_BEATS),
      .OUTSTANDING(OUTSTANDING)
  ) reader (
      .aclk,
      .aresetn,
      .command,
      .clear,
      .first_row,
      .last_row,
      .address,
      .done(reader_done),
      .error(reader_error),
      .m_axi_arvalid,
      .m_axi_arready,
      .m_axi_araddr,
      .m_axi_arlen,
      .m_axi_arsize,
      .m_axi_arburst,
      .m_axi_rvalid,
      .m_axi_rready,
      .m_axi_rresp,
      .m_axi_rlast,
      .word_valid,
      .word_mask
  );

  fletcher_adder_tree #(
      .LANES(Lanes)
  ) adder_tree (
      .aclk,
      .aresetn,
      .clear,
      .valid(word_valid),
      .mask (word_mask),
      .data (m_axi_rdata),
      .empty(tree_empty),
      .sum  (result)
  );
endmodule
