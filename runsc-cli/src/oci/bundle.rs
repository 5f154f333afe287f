//! Reads `config.json` and process files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Process, Spec};
use serde::de::DeserializeOwned;

use super::ConfigError;

/// Longest accepted configuration file in bytes.
const MAX_CONFIG_BYTES: u64 = 32 << 20;

/// A bundle directory and its parsed configuration.
#[derive(Debug)]
pub struct Bundle {
    /// Absolute, without symbolic links.
    pub directory: PathBuf,
    pub spec: Spec,
}

impl Bundle {
    /// Reads `config.json` below `directory`. Errors name the file and, for wrong JSON, the field.
    pub fn load(directory: &Path) -> Result<Bundle, ConfigError> {
        let name = format!("bundle directory {directory:?}");
        let directory = directory.canonicalize().map_err(|error| {
            ConfigError::new(
                &name,
                format!("{error} (--bundle names the directory of config.json)"),
            )
        })?;
        if !directory.is_dir() {
            return Err(ConfigError::new(name, "not a directory"));
        }
        let path = directory.join("config.json");
        let spec = parse_file(&path)?;
        Ok(Bundle { directory, spec })
    }
}

/// Reads the process object that `exec --process` names.
pub fn parse_process(path: &Path) -> Result<Process, ConfigError> {
    parse_file(path)
}

fn parse_file<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let name = path.display().to_string();
    let text = read_limited(path).map_err(|error| ConfigError::new(&name, error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| locate::<T>(&name, &text, error))
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut text = Vec::with_capacity(metadata.len().min(MAX_CONFIG_BYTES) as usize);
    file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        let problem = format!("longer than {} MiB", MAX_CONFIG_BYTES >> 20);
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, problem));
    }
    Ok(text)
}

/// Parses once more, slowly, to find which field is wrong.
fn locate<T: DeserializeOwned>(name: &str, text: &[u8], error: serde_json::Error) -> ConfigError {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(located) if located.path().iter().next().is_some() => {
            ConfigError::new(format!("{name}: {}", located.path()), located.inner().to_string())
        }
        _ => ConfigError::new(name, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(config: &str) -> Result<Bundle, ConfigError> {
        let directory = tempfile::tempdir().expect("tempdir");
        std::fs::write(directory.path().join("config.json"), config).expect("write");
        Bundle::load(directory.path())
    }

    #[test]
    fn missing_bundle_is_named() {
        let error = Bundle::load(Path::new("/nonexistent/bundle")).expect_err("missing");
        assert!(error.to_string().contains("/nonexistent/bundle"), "{error}");
    }

    #[test]
    fn missing_config_is_named() {
        let directory = tempfile::tempdir().expect("tempdir");
        let error = Bundle::load(directory.path()).expect_err("missing");
        assert!(error.to_string().contains("config.json"), "{error}");
    }

    #[test]
    fn wrong_type_names_the_field() {
        let config = r#"{"ociVersion":"1.0.2","process":{"user":{"uid":"root"},"cwd":"/"}}"#;
        let error = load(config).expect_err("wrong type");
        assert!(error.field.ends_with("process.user.uid"), "{error}");
    }

    #[test]
    fn broken_json_is_an_error() {
        for config in ["", "{", "[1]", "null", "\u{0}", "{\"ociVersion\":1}"] {
            assert!(load(config).is_err(), "{config:?}");
        }
        assert!(load(&"[".repeat(100_000)).is_err());
    }
}
