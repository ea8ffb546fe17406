//! Java's old key store format. No library that reads it bounds what it allocates, and most take passwords for ASCII.

use pkcs8::AlgorithmIdentifierRef;
use pkcs8::ObjectIdentifier;
use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::der::{self, Decode};
use rustls_pki_types::CertificateDer;
use sha1::{Digest, Sha1};

/// First bytes of a file.
pub(super) const MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];

const KEY: u32 = 1;
const TRUSTED: u32 = 2;
/// SHA-1's length: of the digest at the end, and of salt and check around a protected key.
const DIGEST_LEN: usize = 20;
/// What Java mixes into the digest.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// The way in which Java protects keys.
const PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.42.2.17.1.1");

/// One entry of a store.
pub(super) enum Entry {
    /// A private key, protected, with its certificates, its own first.
    Key { alias: String, protected: Vec<u8>, chain: Vec<CertificateDer<'static>> },
    /// A trusted certificate.
    Trusted(CertificateDer<'static>),
}

/// Why a store can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JksError {
    /// The password does not fit; or the file is damaged, which can't be told apart.
    Password,
    /// Not the format.
    Malformed(&'static str),
}

/// The entries of a store. Without a password its integrity is not checked, as in Java.
pub(super) fn parse(content: &[u8], password: Option<&str>) -> Result<Vec<Entry>, JksError> {
    let cut = "it ends too early";
    let (body, digest) = content.split_last_chunk::<DIGEST_LEN>().ok_or(JksError::Malformed(cut))?;
    if let Some(password) = password {
        let computed =
            Sha1::new().chain_update(utf16(password)).chain_update(WHITENER).chain_update(body).finalize();
        if computed.as_slice() != digest {
            return Err(JksError::Password);
        }
    }
    let mut reader = Reader(body);
    reader.take(MAGIC.len())?;
    let version = reader.number()?;
    if !(1..=2).contains(&version) {
        return Err(JksError::Malformed("its version is neither 1 nor 2"));
    }
    let count = reader.number()?;
    let entries = (0..count).map(|_| reader.entry(version)).collect::<Result<Vec<_>, _>>()?;
    if !reader.0.is_empty() {
        return Err(JksError::Malformed("there is more behind its last entry"));
    }
    Ok(entries)
}

/// The key, in PKCS#8.
pub(super) fn recover(protected: &[u8], password: &str) -> Result<Vec<u8>, JksError> {
    let sealed =
        sealed(protected).map_err(|_| JksError::Malformed("a key is not protected as Java does it"))?;
    let short = || JksError::Malformed("a key is too short");
    let (salt, rest) = sealed.split_first_chunk::<DIGEST_LEN>().ok_or_else(short)?;
    let (sealed, check) = rest.split_last_chunk::<DIGEST_LEN>().ok_or_else(short)?;
    let password = utf16(password);
    let mut pad = salt.to_vec();
    let mut key = Vec::with_capacity(sealed.len());
    for block in sealed.chunks(DIGEST_LEN) {
        pad = Sha1::new().chain_update(&password).chain_update(&pad).finalize().to_vec();
        key.extend(block.iter().zip(&pad).map(|(byte, pad)| byte ^ pad));
    }
    let computed = Sha1::new().chain_update(&password).chain_update(&key).finalize();
    if computed.as_slice() == check { Ok(key) } else { Err(JksError::Password) }
}

fn sealed(protected: &[u8]) -> der::Result<&[u8]> {
    let (algorithm, sealed) = AnyRef::from_der(protected)?.sequence(|reader| {
        let algorithm = AlgorithmIdentifierRef::decode(reader)?;
        let sealed = <&OctetStringRef>::decode(reader)?;
        Ok::<_, der::Error>((algorithm, sealed))
    })?;
    algorithm.assert_algorithm_oid(PROTECTION).map_err(|_| der::ErrorKind::Failed)?;
    Ok(sealed.as_bytes())
}

/// Java's characters, high byte first.
fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], JksError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(JksError::Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, JksError> {
        Ok(self.take(4)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn bytes(&mut self) -> Result<&'a [u8], JksError> {
        let len = self.number()?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Result<String, JksError> {
        let len = self.take(2)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, JksError> {
        // Version 1 knew no other type.
        if version > 1 && self.text()? != "X.509" {
            return Err(JksError::Malformed("a certificate is not of type X.509"));
        }
        Ok(CertificateDer::from(self.bytes()?.to_vec()))
    }

    fn entry(&mut self, version: u32) -> Result<Entry, JksError> {
        let tag = self.number()?;
        let alias = self.text()?;
        // When it was written.
        self.take(8)?;
        match tag {
            KEY => {
                let protected = self.bytes()?.to_vec();
                let count = self.number()?;
                let chain = (0..count).map(|_| self.certificate(version)).collect::<Result<_, _>>()?;
                Ok(Entry::Key { alias, protected, chain })
            }
            TRUSTED => Ok(Entry::Trusted(self.certificate(version)?)),
            _ => Err(JksError::Malformed("an entry is neither a key nor a trusted certificate")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &[u8] = include_bytes!("testdata/client.jks");

    #[test]
    fn a_store_that_is_cut_anywhere_is_refused() {
        for len in 0..CLIENT.len() {
            let cut = CLIENT.get(..len).unwrap();
            assert!(parse(cut, Some("changeit")).is_err(), "{len}");
            assert!(parse(cut, None).is_err(), "{len}");
        }
    }

    #[test]
    fn a_changed_byte_is_seen_with_the_password() {
        let mut changed = CLIENT.to_vec();
        *changed.get_mut(300).unwrap() ^= 1;
        assert!(matches!(parse(&changed, Some("changeit")), Err(JksError::Password)));
    }

    #[test]
    fn counts_that_lie_allocate_nothing() {
        let mut lying = CLIENT.to_vec();
        lying.get_mut(8..12).unwrap().fill(0xFF);
        assert!(matches!(parse(&lying, None), Err(JksError::Malformed("it ends too early"))));
    }

    #[test]
    fn a_key_opens_with_its_own_password_only() {
        let entries = parse(include_bytes!("testdata/other-key.jks"), Some("changeit")).unwrap();
        let [Entry::Key { alias, protected, chain }] = entries.as_slice() else { panic!("no key") };
        assert_eq!((alias.as_str(), chain.len()), ("client", 1));
        assert_eq!(recover(protected, "changeit"), Err(JksError::Password));
        assert_eq!(recover(protected, "secret12").unwrap().first(), Some(&0x30));
    }
}
