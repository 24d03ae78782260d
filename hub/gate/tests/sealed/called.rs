// Calling the constructor from outside the gate.
fn main() {
    let _ = waybill_gate::Released::new(1, waybill_gate::Receipt::default());
}
