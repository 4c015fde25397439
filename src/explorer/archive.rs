//! Files of a ZIP archive as gzip (RFC 1952), which every browser unpacks: both hold the same deflated octets, so nothing
//! is unpacked here. Reads archives that are part of the binary, and of those what they need.

/// The file whose path ends with `/name`, in gzip's form; `None`: it isn't there, or not deflated.
pub fn gzip_of(archive: &[u8], name: &str) -> Option<Vec<u8>> {
    // APPNOTE.TXT §4.3.16: the record at the end says where the directory is.
    let end = archive.windows(4).rposition(|octets| octets == b"PK\x05\x06")?;
    let entries = number(archive, end + 10, 2)?;
    let mut at = number(archive, end + 16, 4)?;
    for _ in 0..entries {
        // §4.3.12: one entry of the directory.
        let name_length = number(archive, at + 28, 2)?;
        let path = archive.get(at + 46..)?.get(..name_length)?;
        if path.strip_suffix(name.as_bytes()).is_some_and(|folder| folder.ends_with(b"/")) {
            return deflated(archive, at);
        }
        at += 46 + name_length + number(archive, at + 30, 2)? + number(archive, at + 32, 2)?;
    }
    None
}

/// The entry at `at` of the directory.
fn deflated(archive: &[u8], at: usize) -> Option<Vec<u8>> {
    const DEFLATED: usize = 8;
    if number(archive, at + 10, 2)? != DEFLATED {
        return None;
    }
    let (checksum, sizes) = (archive.get(at + 16..at + 20)?, archive.get(at + 24..at + 28)?);
    let local = number(archive, at + 42, 4)?;
    // §4.3.7: the name and what else stands before the octets.
    let begin = local + 30 + number(archive, local + 26, 2)? + number(archive, local + 28, 2)?;
    let octets = archive.get(begin..)?.get(..number(archive, at + 20, 4)?)?;
    // RFC 1952 §2.3: deflate, no flags, no time, an unknown system; behind the octets checksum and size.
    Some([&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], octets, checksum, sizes].concat())
}

/// `length` octets at `at`, the lowest first.
fn number(archive: &[u8], at: usize, length: usize) -> Option<usize> {
    let octets = archive.get(at..)?.get(..length)?;
    Some(octets.iter().rev().fold(0, |number, octet| number << 8 | usize::from(*octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's `zipfile`: `a/c`, stored; `a/xb.txt`; `a/b.txt`, eight times `hello\n`.
    const ARCHIVE: &[u8] = b"\x50\x4b\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x7b\x5d\x83\x16\xdc\x8c\x01\x00\x00\x00\x01\x00\x00\x00\x03\x00\
        \x00\x00\x61\x2f\x63\x78\x50\x4b\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x7b\x5d\x1f\x28\xaa\x67\x04\x00\x00\x00\
        \x02\x00\x00\x00\x08\x00\x00\x00\x61\x2f\x78\x62\x2e\x74\x78\x74\xcb\xcb\x07\x00\x50\x4b\x03\x04\x14\x00\x00\x00\
        \x08\x00\x00\x00\x7b\x5d\x04\x6a\x6c\xd1\x0b\x00\x00\x00\x30\x00\x00\x00\x07\x00\x00\x00\x61\x2f\x62\x2e\x74\x78\
        \x74\xcb\x48\xcd\xc9\xc9\xe7\xca\x20\x9a\x04\x00\x50\x4b\x01\x02\x14\x03\x14\x00\x00\x00\x00\x00\x00\x00\x7b\x5d\
        \x83\x16\xdc\x8c\x01\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\x00\x00\
        \x00\x00\x61\x2f\x63\x50\x4b\x01\x02\x14\x03\x14\x00\x00\x00\x08\x00\x00\x00\x7b\x5d\x1f\x28\xaa\x67\x04\x00\x00\
        \x00\x02\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\x22\x00\x00\x00\x61\x2f\x78\x62\x2e\
        \x74\x78\x74\x50\x4b\x01\x02\x14\x03\x14\x00\x00\x00\x08\x00\x00\x00\x7b\x5d\x04\x6a\x6c\xd1\x0b\x00\x00\x00\x30\
        \x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\x4c\x00\x00\x00\x61\x2f\x62\x2e\x74\x78\x74\
        \x50\x4b\x05\x06\x00\x00\x00\x00\x03\x00\x03\x00\x9c\x00\x00\x00\x7c\x00\x00\x00\x00\x00";

    #[test]
    fn a_file_comes_out_as_gzip_would_have_packed_it() {
        let hello = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcb\x48\xcd\xc9\xc9\xe7\xca\x20\x9a\x04\x00\x04\x6a\x6c\xd1\x30\x00\x00\
        \x00";
        assert_eq!(gzip_of(ARCHIVE, "b.txt").unwrap(), hello);
    }

    #[test]
    fn what_is_not_there_or_not_deflated_is_nothing() {
        assert_eq!(gzip_of(ARCHIVE, "d.txt"), None);
        assert_eq!(gzip_of(ARCHIVE, "c"), None);
        assert_eq!(gzip_of(b"", "c"), None);
        // Cut short anywhere, it may have nothing to say, and says it quietly.
        for length in 0..ARCHIVE.len() {
            let _ = gzip_of(ARCHIVE.get(..length).unwrap(), "b.txt");
        }
    }
}
