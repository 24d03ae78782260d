//! Keys, signatures, canonical JSON and sealing.

mod it {
    mod jcs;
    mod jws;
    mod ring;
    mod seal;
    mod steady;
}
