//! `/proc/cpuinfo`, from the processor's own CPUID: guest code sees the same.

use std::fmt::Write;

use linux_abi::Errno;
use raw_cpuid::CpuId;

use super::cpu_features::features;
use crate::fs::proc::Proc;
use crate::kernel::Kernel;

/// Facts that all processors share.
struct Model {
    vendor: String,
    name: String,
    family: u32,
    model: u32,
    stepping: u32,
    mhz: f64,
    cache_kib: usize,
    level: u32,
    line_bytes: u32,
    physical_bits: u8,
    virtual_bits: u8,
    flags: String,
}

impl Model {
    fn read() -> Model {
        let cpuid = CpuId::new();
        let features_leaf = cpuid.get_feature_info();
        let (family, model, stepping) = features_leaf.as_ref().map_or((0, 0, 0), |leaf| {
            (u32::from(leaf.family_id()), u32::from(leaf.model_id()), u32::from(leaf.stepping_id()))
        });
        let name = cpuid
            .get_processor_brand_string()
            .map_or_else(|| "unknown".to_owned(), |brand| brand.as_str().trim().to_owned());
        let last_cache = cpuid.get_cache_parameters().into_iter().flatten().last();
        let cache_kib = last_cache.map_or(0, |cache| {
            let line = cache.physical_line_partitions() * cache.coherency_line_size();
            cache.associativity() * line * cache.sets() / 1024
        });
        let capacity = cpuid.get_processor_capacity_feature_info();
        let (physical_bits, virtual_bits) = capacity
            .map_or((36, 48), |leaf| (leaf.physical_address_bits(), leaf.linear_address_bits()));
        Model {
            vendor: cpuid
                .get_vendor_info()
                .map_or_else(|| "unknown".to_owned(), |vendor| vendor.as_str().to_owned()),
            mhz: megahertz(&cpuid, &name),
            name,
            family,
            model,
            stepping,
            cache_kib,
            level: raw_cpuid::native_cpuid::cpuid_count(0, 0).eax,
            line_bytes: features_leaf
                .map_or(64, |leaf| u32::from(leaf.cflush_cache_line_size()) * 8),
            physical_bits,
            virtual_bits,
            flags: features().join(" "),
        }
    }
}

/// The nominal frequency: of its own leaf, else as the name tells (`@ 2.50GHz`).
fn megahertz(cpuid: &CpuId<raw_cpuid::CpuIdReaderNative>, name: &str) -> f64 {
    let own =
        cpuid.get_processor_frequency_info().map_or(0, |leaf| leaf.processor_base_frequency());
    if own != 0 {
        return f64::from(own);
    }
    name.rsplit_once("@ ")
        .and_then(|(_, speed)| speed.strip_suffix("GHz"))
        .and_then(|speed| speed.trim().parse::<f64>().ok())
        .map_or(1000.0, |gigahertz| gigahertz * 1000.0)
}

/// `/proc/cpuinfo`.
pub(super) fn cpuinfo(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let model = Model::read();
    let mut text = String::new();
    for cpu in 0..kernel.cpu_count {
        processor(&mut text, &model, cpu, kernel.cpu_count).map_err(|_| Errno::EIO)?;
    }
    Ok(text)
}

fn processor(text: &mut String, model: &Model, cpu: u32, cpus: u32) -> std::fmt::Result {
    writeln!(text, "processor\t: {cpu}")?;
    writeln!(text, "vendor_id\t: {}", model.vendor)?;
    writeln!(text, "cpu family\t: {}", model.family)?;
    writeln!(text, "model\t\t: {}", model.model)?;
    writeln!(text, "model name\t: {}", model.name)?;
    writeln!(text, "stepping\t: {}", model.stepping)?;
    writeln!(text, "cpu MHz\t\t: {:.3}", model.mhz)?;
    writeln!(text, "cache size\t: {} KB", model.cache_kib)?;
    writeln!(text, "physical id\t: 0")?;
    writeln!(text, "siblings\t: {cpus}")?;
    writeln!(text, "core id\t\t: {cpu}")?;
    writeln!(text, "cpu cores\t: {cpus}")?;
    writeln!(text, "apicid\t\t: {cpu}")?;
    writeln!(text, "initial apicid\t: {cpu}")?;
    writeln!(text, "fpu\t\t: yes")?;
    writeln!(text, "fpu_exception\t: yes")?;
    writeln!(text, "cpuid level\t: {}", model.level)?;
    writeln!(text, "wp\t\t: yes")?;
    writeln!(text, "flags\t\t: {}", model.flags)?;
    writeln!(text, "bugs\t\t:")?;
    writeln!(text, "bogomips\t: {:.2}", model.mhz * 2.0)?;
    writeln!(text, "clflush size\t: {}", model.line_bytes)?;
    writeln!(text, "cache_alignment\t: {}", model.line_bytes)?;
    let (physical, virtually) = (model.physical_bits, model.virtual_bits);
    writeln!(text, "address sizes\t: {physical} bits physical, {virtually} bits virtual")?;
    writeln!(text, "power management:\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuinfo_has_the_fields_that_programs_read() {
        let mut text = String::new();
        processor(&mut text, &Model::read(), 1, 2).unwrap();
        assert!(text.starts_with("processor\t: 1\nvendor_id\t: "));
        assert!(text.contains("\nflags\t\t: fpu "));
        assert!(text.contains("\nsiblings\t: 2\n"));
        assert!(text.ends_with("\npower management:\n\n"));
    }
}
