// Fletcher's register map for one record batch of one buffer, behind AXI4-Lite.
//
// 32-bit registers: 0 control, 1 status, 2-3 result, 4-5 first and last row, 6-7 address. Control bits are
// strobes. Registers 4 to 7 can be read back and outlive a reset of the kernel. Any other address is an error.
module fletcher_registers (
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

    input  logic [ 3:0] status,
    input  logic [63:0] result,
    output logic        start,
    output logic        reset,
    output logic [31:0] first_row,
    output logic [31:0] last_row,
    output logic [63:0] address
);
  localparam logic [1:0] Okay = 2'b00;
  localparam logic [1:0] SlaveError = 2'b10;

  // The upper four registers are the host's; their index has bit 2 set.
  logic [31:0] host[4];
  assign first_row = host[0];
  assign last_row  = host[1];
  assign address   = {host[3], host[2]};

  // Address and data of a write may come in either order: each is kept until the other is there.
  logic have_address, have_data;
  logic [ 5:0] index;
  logic [31:0] data;
  logic [ 3:0] strobe;
  assign s_axil_awready = !have_address;
  assign s_axil_wready  = !have_data;
  wire write = have_address && have_data && !s_axil_bvalid;

  always_ff @(posedge aclk) begin
    if (s_axil_awvalid && s_axil_awready) begin
      have_address <= 1'b1;
      index <= s_axil_awaddr[7:2];
    end
    if (s_axil_wvalid && s_axil_wready) begin
      have_data <= 1'b1;
      data <= s_axil_wdata;
      strobe <= s_axil_wstrb;
    end
    if (s_axil_bvalid && s_axil_bready) s_axil_bvalid <= 1'b0;
    start <= 1'b0;
    reset <= 1'b0;
    if (write) begin
      have_address <= 1'b0;
      have_data <= 1'b0;
      s_axil_bvalid <= 1'b1;
      s_axil_bresp <= index < 6'd8 ? Okay : SlaveError;
      if (index == 6'd0 && strobe[0]) begin
        start <= data[0];
        reset <= data[2];
      end
      if (index[5:2] == 4'd1) begin
        for (int i = 0; i < 4; i++) begin
          if (strobe[i]) host[index[1:0]][8*i+:8] <= data[8*i+:8];
        end
      end
    end
    if (!aresetn) begin
      have_address <= 1'b0;
      have_data <= 1'b0;
      s_axil_bvalid <= 1'b0;
      start <= 1'b0;
      reset <= 1'b0;
      for (int i = 0; i < 4; i++) host[i] <= '0;
    end
  end

  assign s_axil_arready = !s_axil_rvalid;

  always_ff @(posedge aclk) begin
    if (s_axil_rvalid && s_axil_rready) s_axil_rvalid <= 1'b0;
    if (s_axil_arvalid && s_axil_arready) begin
      s_axil_rvalid <= 1'b1;
      s_axil_rresp  <= s_axil_araddr[7:5] == 3'd0 ? Okay : SlaveError;
      unique case (s_axil_araddr[4:2])
        3'd0: s_axil_rdata <= '0;
        3'd1: s_axil_rdata <= {28'd0, status};
        3'd2: s_axil_rdata <= result[31:0];
        3'd3: s_axil_rdata <= result[63:32];
        default: s_axil_rdata <= host[s_axil_araddr[3:2]];
      endcase
    end
    if (!aresetn) s_axil_rvalid <= 1'b0;
  end

  // Byte lanes are chosen by strobes; the reader takes whole registers.
  wire unused = &{1'b0, s_axil_awaddr[1:0], s_axil_araddr[1:0], data[31:3]};
endmodule
