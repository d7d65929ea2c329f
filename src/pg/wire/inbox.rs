//! What arrived from the server, cut into messages. Rows nobody looks at are passed over by their header.

use std::io::{Error, ErrorKind};

use postgres_protocol::message::backend;

/// 16 KiB: what libpq reads at a time.
const ROOM: usize = 16 * 1024;

/// 1 MiB: a buffer that one large row made larger than this is given back.
const KEEP: usize = 1024 * 1024;

/// A tag and a length.
const HEADER: usize = 5;

/// One reused buffer.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Where what was not looked at yet begins.
    from: usize,
    /// Where it ends.
    to: usize,
    /// So many more bytes belong to a message that is passed over.
    skip: usize,
    /// So many bytes the message at `from` has, once they are known and did not fit.
    need: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; ROOM], from: 0, to: 0, skip: 0, need: 0 }
    }

    /// Returns where the next bytes go; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
            if self.bytes.len() > KEEP {
                self.bytes = vec![0; ROOM];
            }
        }
        if self.from > 0 && (self.to == self.bytes.len() || self.from + self.need > self.bytes.len()) {
            self.bytes.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        if self.to == self.bytes.len() {
            // Never all that is needed at once: a length is only a claim until its bytes have come.
            self.bytes.resize(2 * self.bytes.len(), 0);
        }
        &mut self.bytes[self.to..]
    }

    /// Says how many bytes were put there.
    pub(super) fn filled(&mut self, count: usize) {
        self.to += count;
    }

    /// Returns the next whole message that says something, with its header; `None` when more bytes are needed for one.
    ///
    /// Rows come only with `wants_rows`; notices, parameters, data of a COPY and what merely confirms a step never do.
    ///
    /// # Errors
    /// When the bytes are not the protocol.
    #[inline]
    pub(super) fn next(&mut self, wants_rows: bool) -> Result<Option<&[u8]>, Error> {
        loop {
            let have = self.to - self.from;
            if self.skip > 0 {
                let passed = self.skip.min(have);
                self.from += passed;
                self.skip -= passed;
                if self.skip > 0 {
                    return Ok(None);
                }
                continue;
            }
            if have < HEADER {
                return Ok(None);
            }
            let [tag, a, b, c, d] = self.bytes[self.from..self.from + HEADER] else { unreachable!("five bytes") };
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if !(4..=i32::MAX as usize).contains(&length) {
                return Err(Error::new(ErrorKind::InvalidData, "a message without a length"));
            }
            let whole = length + 1;
            if says_nothing(tag, wants_rows) {
                self.skip = whole;
                continue;
            }
            if have < whole {
                self.need = whole;
                return Ok(None);
            }
            self.need = 0;
            self.from += whole;
            return Ok(Some(&self.bytes[self.from - whole..self.from]));
        }
    }
}

#[inline]
fn says_nothing(tag: u8, wants_rows: bool) -> bool {
    match tag {
        backend::DATA_ROW_TAG | backend::ROW_DESCRIPTION_TAG => !wants_rows,
        backend::PARSE_COMPLETE_TAG
        | backend::BIND_COMPLETE_TAG
        | backend::CLOSE_COMPLETE_TAG
        | backend::NO_DATA_TAG
        | backend::PARAMETER_DESCRIPTION_TAG
        | backend::PARAMETER_STATUS_TAG
        | backend::NOTICE_RESPONSE_TAG
        | backend::NOTIFICATION_RESPONSE_TAG
        | backend::COPY_OUT_RESPONSE_TAG
        | backend::COPY_DATA_TAG
        | backend::COPY_DONE_TAG => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: usize) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(body + 4).unwrap().to_be_bytes());
        bytes.resize(body + 5, b'.');
        bytes
    }

    /// Feeds bytes in pieces of a size and returns the tag and length of each message that came out.
    fn cut(bytes: &[u8], piece: usize, wants_rows: bool) -> (Vec<(u8, usize)>, Inbox) {
        let (mut inbox, mut seen, mut rest) = (Inbox::new(), Vec::new(), bytes);
        while !rest.is_empty() {
            let room = inbox.room();
            let count = piece.min(room.len()).min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            inbox.filled(count);
            rest = &rest[count..];
            while let Some(message) = inbox.next(wants_rows).unwrap() {
                seen.push((message[0], message.len()));
            }
        }
        (seen, inbox)
    }

    #[test]
    fn messages_come_out_whole_however_they_arrive() {
        let sizes = [(b'2', 0), (b'D', 40_000), (b'D', 3), (b'N', 17), (b'C', 9), (b'D', 3 * KEEP), (b'E', 100_000), (b'Z', 1)];
        let bytes: Vec<u8> = sizes.iter().flat_map(|(tag, body)| message(*tag, *body)).collect();
        for piece in [1, 7, 4096, usize::MAX] {
            let (seen, inbox) = cut(&bytes, piece, false);
            assert_eq!(seen, [(b'C', 14), (b'E', 100_005), (b'Z', 6)]);
            assert!(inbox.bytes.len() <= 2 * 100_005 + ROOM, "rows that are passed over need no room: {}", inbox.bytes.len());
            let (seen, mut inbox) = cut(&bytes, piece, true);
            assert_eq!(seen.len(), 6);
            assert_eq!(seen[3], (b'D', 3 * KEEP + 5));
            assert!(inbox.room().len() <= KEEP, "what one large row needed is given back");
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_an_error() {
        let mut inbox = Inbox::new();
        inbox.room()[..5].copy_from_slice(b"Z\0\0\0\x03");
        inbox.filled(5);
        assert!(inbox.next(false).is_err());
    }
}
