//! AWS's signature version 4, as a service checks it. Written on its own, so that it shares no mistake with who signs.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::http::Request;

/// Whose signature is good, and for what.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The id of the key.
    pub key: String,
    /// The key.
    pub secret: String,
    /// What has to come with it, for keys that are given for a while.
    pub token: Option<String>,
    /// `eu-central-1`
    pub region: String,
    /// `es`
    pub service: String,
}

impl Signature {
    /// Whether a request is signed as it came.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(&self, request: &Request) -> Result<(), String> {
        let headers: BTreeMap<&str, &str> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let header = |name: &str| headers.get(name).copied().ok_or_else(|| format!("no {name}"));
        let expected_token = self.token.as_deref();
        if headers.get("x-amz-security-token").copied() != expected_token {
            return Err("another x-amz-security-token".into());
        }
        if header("x-amz-content-sha256")? != hex(&Sha256::digest(&request.raw_body)) {
            return Err("x-amz-content-sha256 is that of another body".into());
        }
        let authorization = header("authorization")?;
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another algorithm")?;
        let fields: BTreeMap<&str, &str> =
            fields.split(", ").filter_map(|field| field.split_once('=')).collect();
        let field = |name: &str| fields.get(name).copied().ok_or_else(|| format!("no {name}"));
        let date = header("x-amz-date")?;
        let scope = format!("{}/{}/{}/aws4_request", &date[..8], self.region, self.service);
        if field("Credential")? != format!("{}/{scope}", self.key) {
            return Err(format!("another credential: {}", field("Credential")?));
        }
        let signed = field("SignedHeaders")?;
        for name in ["host", "x-amz-date", "x-amz-content-sha256"] {
            if !signed.split(';').any(|signed| signed == name) {
                return Err(format!("{name} is not signed"));
            }
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let canonical = Canonical { method: &request.method, path, query, headers: &headers, signed };
        let expected = self.of(&canonical, &hex(&Sha256::digest(&request.raw_body)), date)?;
        if field("Signature")? == expected { Ok(()) } else { Err("another signature".into()) }
    }

    fn of(&self, canonical: &Canonical<'_>, payload: &str, date: &str) -> Result<String, String> {
        let (day, Signature { region, service, .. }) = (&date[..8], self);
        let request = hex(&Sha256::digest(canonical.text(payload)?));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{day}/{region}/{service}/aws4_request\n{request}");
        let key = format!("AWS4{}", self.secret).into_bytes();
        let key = [day, region, service, "aws4_request"].iter().fold(key, |key, part| hmac(&key, part));
        Ok(hex(&hmac(&key, &text)))
    }
}

struct Canonical<'r> {
    method: &'r str,
    path: &'r str,
    query: &'r str,
    headers: &'r BTreeMap<&'r str, &'r str>,
    signed: &'r str,
}

impl Canonical<'_> {
    fn text(&self, payload: &str) -> Result<String, String> {
        // The path as it came is encoded once more.
        let path = encode(self.path.as_bytes(), b"/");
        let mut query: Vec<(String, String)> = self
            .query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (encode(&decode(name), b""), encode(&decode(value), b"")))
            .collect();
        query.sort();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = String::new();
        for name in self.signed.split(';') {
            let value = self.headers.get(name).ok_or_else(|| format!("{name} is signed and not there"))?;
            headers.push_str(&format!("{name}:{}\n", value.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        let (method, signed) = (self.method, self.signed);
        Ok(format!("{method}\n{path}\n{}\n{headers}\n{signed}\n{payload}", query.join("&")))
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = if key.len() > BLOCK { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(BLOCK, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(bytes: &[u8], safe: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-_.~".contains(b) || safe.contains(b) => {
            char::from(*b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    bytes.iter().map(one).collect()
}

fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend(rest[..at].bytes());
        bytes.push(u8::from_str_radix(&rest[at + 1..at + 3], 16).unwrap());
        rest = &rest[at + 3..];
    }
    bytes.extend(rest.bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn signature(secret: &str, service: &str) -> Signature {
        let (key, region) = ("AKIDEXAMPLE".into(), "us-east-1".into());
        Signature { key, secret: secret.into(), token: None, region, service: service.into() }
    }

    /// From AWS's own suite for version 4: get-vanilla, post-vanilla, get-vanilla-query-order-key-case, and
    /// post-x-www-form-urlencoded.
    #[test]
    fn aws_has_published_these() {
        let signature = signature("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "service");
        let date = "20150830T123600Z";
        let mut headers = BTreeMap::from([("host", "example.amazonaws.com"), ("x-amz-date", date)]);
        let vanilla =
            Canonical { method: "GET", path: "/", query: "", headers: &headers, signed: "host;x-amz-date" };
        let of = |canonical: &Canonical<'_>| signature.of(canonical, NOTHING, date).unwrap();
        assert_eq!(of(&vanilla), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        let post = Canonical { method: "POST", ..vanilla };
        assert_eq!(of(&post), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        let query = Canonical { method: "GET", query: "Param2=value2&Param1=value1", ..post };
        assert_eq!(of(&query), "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
        headers.insert("content-type", "application/x-www-form-urlencoded");
        let signed = "content-type;host;x-amz-date";
        let form = Canonical { method: "POST", path: "/", query: "", headers: &headers, signed };
        let body = hex(&Sha256::digest("Param1=value1"));
        assert_eq!(
            signature.of(&form, &body, date).unwrap(),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }

    /// The first example of the documentation of S3, which has the hash of the body in a header.
    #[test]
    fn with_the_hash_of_the_body_in_a_header() {
        let signature = signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "s3");
        let date = "20130524T000000Z";
        let headers = BTreeMap::from([
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", NOTHING),
            ("x-amz-date", date),
        ]);
        let signed = "host;range;x-amz-content-sha256;x-amz-date";
        let get = Canonical { method: "GET", path: "/test.txt", query: "", headers: &headers, signed };
        assert_eq!(
            signature.of(&get, NOTHING, date).unwrap(),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }
}
