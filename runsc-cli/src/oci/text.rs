//! Checks of strings and paths that any field may need.

use super::ConfigError;

/// Refuses a string with a NUL byte: the kernel interface ends strings there.
pub fn check_nul(text: &str, field: &str) -> Result<(), ConfigError> {
    match text.contains('\0') {
        true => Err(ConfigError::new(field, "contains a NUL byte")),
        false => Ok(()),
    }
}

/// Makes an absolute path without `.`, `..` and doubled slashes; `..` ends at the root.
pub fn clean_absolute(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Parses an octal mode of at most `max`.
pub fn parse_mode(text: &str, max: u32, field: &str) -> Result<u32, ConfigError> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= max => Ok(mode),
        _ => Err(ConfigError::new(field, format!("{text:?} is not an octal mode up to {max:o}"))),
    }
}

/// Parses a decimal number.
pub fn parse_number<T: std::str::FromStr>(text: &str, field: &str) -> Result<T, ConfigError> {
    text.parse().map_err(|_| ConfigError::new(field, format!("{text:?} is not a valid number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, clean) in [
            ("/", "/"),
            ("", "/"),
            ("proc", "/proc"),
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../../../etc", "/etc"),
            ("/..", "/"),
        ] {
            assert_eq!(clean_absolute(path), clean);
        }
    }
}
