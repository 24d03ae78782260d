//! The stand-ins, each against plain requests: a stand-in that is wrong makes every test that leans on it worthless.

mod it {
    mod broker;
    mod calls;
    mod faults;
    mod pod;
    mod receiver;
}
