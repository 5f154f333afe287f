//! Container ids: what may name a directory below the state root.

use thiserror::Error;

/// Longest accepted id in bytes; file names end at 255 and temporary names need some room.
pub const MAX_ID_BYTES: usize = 200;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum IdError {
    #[error("container id must not be empty")]
    Empty,
    #[error("container id is {0} bytes long, at most {MAX_ID_BYTES} are allowed")]
    TooLong(usize),
    #[error("container id {0:?} is not allowed: it would name a directory itself")]
    Dots(String),
    #[error(
        "container id {id:?} has the character {found:?}; letters, digits, '_', '+', '-' and '.' are allowed"
    )]
    Character { id: String, found: char },
}

/// Checks an id by runc's rule: letters, digits, `_ + - .`, neither `.` nor `..`.
pub fn check(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong(id.len()));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
    if let Some(found) = id.chars().find(|&c| !is_allowed(c)) {
        return Err(IdError::Character { id: id.to_owned(), found });
    }
    if id == "." || id == ".." {
        return Err(IdError::Dots(id.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_ids_pass() {
        for id in ["a", "0", "web-1", "a.b_c+d", &"f".repeat(64), "..."] {
            assert_eq!(check(id), Ok(()), "{id}");
        }
    }

    #[test]
    fn hostile_ids_are_refused() {
        for id in ["", ".", "..", "a/b", "../x", "a\0", "a b", "ä", "a\n", &"x".repeat(201)] {
            assert!(check(id).is_err(), "{id:?}");
        }
    }
}
