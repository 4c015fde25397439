//! Cookies as they are sent (RFC 6265 §4.2).
//!
//! Browsers send them in one line. Scripts that set one header for each cookie send several, as HTTP/2 may (RFC 9113
//! §8.2.3): together they are one.

/// Lines that are read; nobody needs more.
const LINES: usize = 8;

/// The lines of the `Cookie` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cookies<'a>([Option<&'a str>; LINES]);

/// There are more `Cookie` lines than anybody needs.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyLines;

impl<'a> Cookies<'a> {
    /// Notes one more line.
    ///
    /// # Errors
    /// [`TooManyLines`].
    pub fn add(&mut self, line: &'a str) -> Result<(), TooManyLines> {
        let free = self.0.iter_mut().find(|kept| kept.is_none()).ok_or(TooManyLines)?;
        *free = Some(line);
        Ok(())
    }

    /// The lines as they were sent.
    pub fn lines(self) -> impl Iterator<Item = &'a str> {
        self.0.into_iter().flatten()
    }

    /// The value of the first cookie of this name; none if it is empty.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.lines()
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(sent, value)| (sent == name).then(|| value.trim_matches('"')))
            .filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let get = |line| {
            let mut cookies = Cookies::default();
            cookies.add(line).unwrap();
            cookies.get("countersign_session")
        };
        assert_eq!(get("a=1; countersign_session=x; b=2"), Some("x"));
        assert_eq!(get("xcountersign_session=x"), None);
        assert_eq!(get("countersign_session="), None);
        assert_eq!(get(""), None);
    }

    #[test]
    fn several_lines_are_one_header_and_too_many_are_refused() {
        let mut cookies = Cookies::default();
        cookies.add("companyName=acme").unwrap();
        cookies.add("memberId=jo; a=1").unwrap();
        assert_eq!((cookies.get("companyName"), cookies.get("memberId")), (Some("acme"), Some("jo")));
        for _ in 2..LINES {
            cookies.add("a=2").unwrap();
        }
        assert_eq!((cookies.get("a"), cookies.add("a=3")), (Some("1"), Err(TooManyLines)));
    }
}
