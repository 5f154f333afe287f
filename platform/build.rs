//! Builds the stub: freestanding code that runs inside guest processes, as a program of its own
//! with one segment and no relocations.

use std::path::PathBuf;
use std::process::Command;

const SOURCES: &[&str] = &[
    "stub/main.rs",
    "stub/access.rs",
    "stub/calls.rs",
    "stub/change.rs",
    "stub/conduit.rs",
    "stub/cpuid.rs",
    "stub/entry.rs",
    "stub/fast.rs",
    "stub/hotline.rs",
    "stub/init.rs",
    "stub/state.rs",
    "stub/stub.ld",
    "stub/word.rs",
    "src/systrap/conduit/bytes.rs",
    "src/systrap/layout.rs",
    "src/systrap/line.rs",
    "src/systrap/shape.rs",
    "src/systrap/state_words.rs",
];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let output = PathBuf::from(variable("OUT_DIR")).join("stub.bin");
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let status = Command::new(variable("RUSTC"))
        .args(["--edition=2024", "--crate-name=stub", "--crate-type=bin", "-Dwarnings"])
        .args(["--target", &variable("TARGET")])
        .args(["-Cpanic=abort", "-Copt-level=2", "-Crelocation-model=pic", "-Cno-redzone=yes"])
        .args(["-Clink-arg=-nostdlib", "-Clink-arg=-nostartfiles", "-Clink-arg=-static"])
        .args(["-Clink-arg=-no-pie", "-Clink-arg=-Wl,--oformat=binary"])
        .args(["-Clink-arg=-Wl,--build-id=none", "-Clink-arg=-Wl,-e,stub_header"])
        .arg(format!("-Clink-arg=-Wl,-T,{}", root.join("stub/stub.ld").display()))
        .arg("-o")
        .arg(&output)
        .arg(root.join("stub/main.rs"))
        .status()
        .expect("rustc can be started");
    assert!(status.success(), "the stub does not build");
}
