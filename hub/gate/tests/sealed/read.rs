// Reading what a caller may see before it is released.
fn look(visible: waybill_gate::VisibleDoc) -> String {
    visible.doc.text().to_owned()
}
fn main() {
    let _ = look;
}
