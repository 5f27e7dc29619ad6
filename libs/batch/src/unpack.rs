use std::io::{BufRead as _, BufReader, Read as _};

use flate2::read::GzDecoder;

/// Longest message, in bytes: more than any object that an API server stores.
pub const LINE_LIMIT: usize = 2 << 20;
/// Largest batch once unpacked, in bytes.
const RAW_LIMIT: u64 = 128 << 20;

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// It is no gzip, or damaged, or ends in the middle.
    #[error("the body of a batch is not whole gzip")]
    Malformed,
    /// A line is longer than [`LINE_LIMIT`].
    #[error("a message is longer than {LINE_LIMIT} bytes")]
    LineTooLong,
    /// Unpacked, it is larger than is read.
    #[error("a batch unpacks to more than {RAW_LIMIT} bytes")]
    TooLarge,
}

/// Reads the lines of a body one by one; memory holds one line, whatever the body says.
#[derive(Debug)]
pub struct Unpacker<'a> {
    lines: BufReader<std::io::Take<GzDecoder<&'a [u8]>>>,
}

impl<'a> Unpacker<'a> {
    /// A reader of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { lines: BufReader::new(GzDecoder::new(body).take(RAW_LIMIT + 1)) }
    }

    /// Puts the next line into `line`, without its end; false after the last.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, UnpackError> {
        line.clear();
        let longest = LINE_LIMIT as u64 + 1;
        let read = self.lines.by_ref().take(longest).read_until(b'\n', line).map_err(|_| UnpackError::Malformed)?;
        if self.lines.get_ref().limit() == 0 {
            return Err(UnpackError::TooLarge);
        }
        if read == 0 {
            return Ok(false);
        }
        if line.pop() != Some(b'\n') {
            return Err(if read > LINE_LIMIT { UnpackError::LineTooLong } else { UnpackError::Malformed });
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        parts.for_each(|part| encoder.write_all(&part).unwrap());
        encoder.finish().unwrap()
    }

    #[track_caller]
    fn check(body: &[u8], expected: Result<usize, UnpackError>) {
        let (mut unpacker, mut line) = (Unpacker::new(body), Vec::new());
        let mut lines = 0;
        let found = loop {
            match unpacker.next_line(&mut line) {
                Ok(true) => lines += 1,
                Ok(false) => break Ok(lines),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn bodies_are_read_within_bounds() {
        let good = gzip([b"a\nb\n".to_vec()].into_iter());
        check(&good, Ok(2));
        check(&gzip(std::iter::empty()), Ok(0));
        check(&good[..good.len() - 4], Err(UnpackError::Malformed));
        check(b"a\nb\n", Err(UnpackError::Malformed));
        check(&gzip([b"a\nb".to_vec()].into_iter()), Err(UnpackError::Malformed));
        check(&gzip([vec![b'x'; LINE_LIMIT + 2]].into_iter()), Err(UnpackError::LineTooLong));
        let line = [vec![b' '; 1 << 20], vec![b'\n']].concat();
        check(&gzip(std::iter::repeat_n(line, 130)), Err(UnpackError::TooLarge));
    }
}
