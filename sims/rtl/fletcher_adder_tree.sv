// Adds up the chosen lanes of each bus word, then the words, modulo 2^64: one word a cycle, one level of the
// tree a cycle.
module fletcher_adder_tree #(
    parameter int LANES = 8  // a power of two, at least 2
) (
    input  logic                aclk,
    input  logic                aresetn,
    input  logic                clear,
    input  logic                valid,
    input  logic [   LANES-1:0] mask,
    input  logic [64*LANES-1:0] data,
    output logic                empty,    // no word is on its way
    output logic [        63:0] sum
);
  localparam int Levels = $clog2(LANES);

  logic [Levels:1] valids;  // of each level's output
  assign empty = valids == '0;

  for (genvar level = 1; level <= Levels; level++) begin : g_level
    localparam int Width = LANES >> level;
    logic [63:0] sums[Width];
    logic here;
    if (level == 1) begin : g_first
      assign here = valid;
      for (genvar i = 0; i < Width; i++) begin : g_add
        wire [63:0] left = mask[2*i] ? data[128*i+:64] : '0;
        wire [63:0] right = mask[2*i+1] ? data[128*i+64+:64] : '0;
        always_ff @(posedge aclk) if (here) sums[i] <= left + right;
      end
    end else begin : g_next
      assign here = valids[level-1];
      for (genvar i = 0; i < Width; i++) begin : g_add
        always_ff @(posedge aclk) begin
          if (here) sums[i] <= g_level[level-1].sums[2*i] + g_level[level-1].sums[2*i+1];
        end
      end
    end
    always_ff @(posedge aclk) valids[level] <= here && aresetn;
  end

  always_ff @(posedge aclk) begin
    if (valids[Levels]) sum <= sum + g_level[Levels].sums[0];
    if (clear || !aresetn) sum <= '0;
  end
endmodule
