//! Capability names and sets.

use control_protocol::CapabilitySets;
use linux_abi::task::CAP_NAMES;
use oci_spec::runtime::{Capabilities, LinuxCapabilities};

use super::{ConfigError, Notices};

/// Gives the bit of a capability by name, with or without `CAP_`, in any case.
pub fn parse_name(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    CAP_NAMES.iter().position(|&known| known == bare).map(|number| 1 << number)
}

/// Converts the sets and checks the rules that `capset(2)` and `prctl(2)` would enforce.
///
/// Ambient capabilities that are not permitted and inheritable are left out with a notice, as
/// runc does.
pub fn convert(
    sets: Option<&LinuxCapabilities>,
    field: &str,
    notices: &mut Notices,
) -> Result<CapabilitySets, ConfigError> {
    let Some(sets) = sets else {
        return Ok(CapabilitySets::default());
    };
    let mask = |set: &Option<Capabilities>| -> u64 {
        set.iter().flatten().filter_map(|capability| parse_name(&capability.to_string())).sum()
    };
    let mut converted = CapabilitySets {
        effective: mask(sets.effective()),
        permitted: mask(sets.permitted()),
        inheritable: mask(sets.inheritable()),
        bounding: mask(sets.bounding()),
        ambient: mask(sets.ambient()),
    };
    let excess = converted.effective & !converted.permitted;
    if excess != 0 {
        let problem = format!("{} is not in the permitted set", names(excess));
        return Err(ConfigError::new(format!("{field}.effective"), problem));
    }
    let raisable = converted.permitted & converted.inheritable;
    if converted.ambient & !raisable != 0 {
        notices.not_honoured(
            &format!("{field}.ambient {}", names(converted.ambient & !raisable)),
            "an ambient capability must be permitted and inheritable",
        );
        converted.ambient &= raisable;
    }
    Ok(converted)
}

fn names(mask: u64) -> String {
    let names: Vec<String> = CAP_NAMES
        .iter()
        .enumerate()
        .filter(|(number, _)| mask & (1 << number) != 0)
        .map(|(_, name)| format!("CAP_{name}"))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use linux_abi::task::CAP_FULL_SET;

    use super::*;

    #[test]
    fn every_capability_of_the_specification_has_a_number() {
        let sets: Capabilities = CAP_NAMES
            .iter()
            .map(|name| serde_json::from_value(format!("CAP_{name}").into()).expect(name))
            .collect();
        let total: u64 =
            sets.iter().map(|capability| parse_name(&capability.to_string()).expect("known")).sum();
        assert_eq!(total, CAP_FULL_SET);
    }

    #[test]
    fn names_are_lenient() {
        assert_eq!(parse_name("CAP_CHOWN"), Some(1));
        assert_eq!(parse_name("chown"), Some(1));
        assert_eq!(parse_name("checkpoint_restore"), Some(1 << 40));
        assert_eq!(parse_name("CAP_ALL"), None);
    }
}
