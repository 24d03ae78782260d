// Making a Released by hand.
fn main() {
    let _ = waybill_gate::Released { value: 1, receipt: waybill_gate::Receipt::default() };
}
