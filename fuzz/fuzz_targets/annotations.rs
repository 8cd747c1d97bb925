//! Whatever somebody writes into the objects of an app, unidler can live with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unidler_kubernetes::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::annotations(data));
