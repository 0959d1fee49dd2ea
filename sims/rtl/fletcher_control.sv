// The kernel's states. A run is started only in idle and cleared only in done, so a second start without a
// reset changes nothing; stop does nothing.
module fletcher_control (
    input  logic       aclk,
    input  logic       aresetn,
    input  logic       start,     // strobe
    input  logic       reset,     // strobe
    input  logic       finished,  // all that the command asked for is in the sum
    input  logic       failed,    // a read was answered with an error
    output logic       clear,     // sum and error go back to zero
    output logic       command,   // the reader takes the command
    output logic       busy,
    output logic [3:0] status     // error, done, busy, idle
);
  typedef enum logic [2:0] {
    Idle,
    Command,
    Calculating,
    Unlock,
    Done
  } state_t;
  state_t state;

  assign clear   = state == Idle;
  assign command = state == Command;
  assign busy    = state == Command || state == Calculating || state == Unlock;

  always_comb begin
    unique case (state)
      Command, Calculating: status = 4'b0010;
      Unlock, Done: status = {failed, 3'b101};
      default: status = 4'b0001;
    endcase
  end

  always_ff @(posedge aclk) begin
    unique case (state)
      Idle: if (start) state <= Command;
      Command: state <= Calculating;
      Calculating: if (finished) state <= Unlock;
      Unlock: state <= Done;
      Done: if (reset) state <= Idle;
      default: state <= Idle;
    endcase
    if (!aresetn) state <= Idle;
  end
endmodule
