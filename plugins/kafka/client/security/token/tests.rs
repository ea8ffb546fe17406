use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// A server that gives each request the next answer, and keeps what it was asked.
fn server(answers: Vec<String>) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = channel();
    thread::spawn(move || {
        for answer in answers {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut text = String::new();
            while !text.ends_with("\r\n\r\n") {
                stream.read_line(&mut text).unwrap();
            }
            let lower = text.to_lowercase();
            let length = lower.split_once("content-length: ").unwrap().1.lines().next().unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            text.push_str(&String::from_utf8(body).unwrap());
            sender.send(text).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, asked)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn jwt(claims: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims))
}

fn login(port: u16) -> Login {
    Login::of(Source::Endpoint(Box::new(Endpoint {
        url: Password::new(format!("http://127.0.0.1:{port}/oauth2/token")),
        client_id: "me".to_owned(),
        client_secret: Password::new("hunter2"),
        scope: Some("kafka read/write".to_owned()),
        scope_claim: "scope".to_owned(),
        http: HttpOptions { response_size_max: ANSWER_SIZE_MAX, ..HttpOptions::default() },
        backoff: Duration::from_millis(1),
        attempts_end: Duration::from_secs(10),
    })))
}

/// What can be printed: a token can't.
fn result(token: Result<OAuthToken, impl ToString>) -> Result<OAuthToken, String> {
    token.map_err(|error| error.to_string())
}

/// Why there is no token.
fn failure(token: Result<OAuthToken, impl ToString>) -> String {
    result(token).err().unwrap()
}

fn of_answers(answers: Vec<String>) -> Result<OAuthToken, String> {
    let (port, _asked) = server(answers);
    result(login(port).token())
}

/// 2100-01-01.
const LATER: i64 = 4_102_444_800;

#[test]
fn a_token_is_had_for_id_and_secret() {
    let token = jwt(&format!(r#"{{"sub": "alice", "exp": {LATER}, "scope": "kafka"}}"#));
    let body = format!(r#"{{"access_token": "{token}", "expires_in": 5}}"#);
    let (port, asked) = server(vec![answer("200 OK", &body)]);
    let got = login(port).token().unwrap();
    assert_eq!((got.token, got.principal_name, got.lifetime_ms), (token, "alice".to_owned(), LATER * 1000));
    let asked = asked.recv().unwrap();
    assert!(asked.starts_with("POST /oauth2/token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\ngrant_type=client_credentials&scope=kafka+read%2Fwrite"), "{asked}");
    let asked = asked.to_lowercase();
    assert!(asked.contains("\r\nauthorization: basic bwu6ahvudgvymg==\r\n"), "{asked}");
    assert!(asked.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{asked}");
    assert!(asked.contains("\r\naccept: application/json\r\n"), "{asked}");
}

#[test]
fn a_token_that_is_no_jwt_ends_when_the_endpoint_says() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let got =
        of_answers(vec![answer("200 OK", r#"{"access_token": "opaque", "expires_in": "3600"}"#)]).unwrap();
    assert_eq!((got.token.as_str(), got.principal_name.as_str()), ("opaque", "me"));
    assert!((3_600_000..3_700_000).contains(&(got.lifetime_ms - now)), "{}", got.lifetime_ms - now);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let good = answer("200 OK", r#"{"access_token": "t", "expires_in": 3600}"#);
    let answers =
        vec![answer("503 Service Unavailable", ""), answer("429 Too Many Requests", ""), String::new(), good];
    assert_eq!(of_answers(answers).unwrap().token, "t");
}

#[test]
fn attempts_have_an_end() {
    let (port, asked) = server(vec![answer("503 Service Unavailable", "")]);
    let Login(Some(source)) = login(port) else { panic!("no source") };
    let Ok(Source::Endpoint(mut endpoint)) = Arc::try_unwrap(source) else { panic!("no endpoint") };
    endpoint.attempts_end = Duration::ZERO;
    let error = failure(Login::of(Source::Endpoint(endpoint)).token());
    assert!(error.ends_with(" answered 503 Service Unavailable"), "{error}");
    assert_eq!(asked.iter().count(), 1);
}

#[test]
fn what_went_wrong_is_said_without_the_secret() {
    let large = format!(r#"{{"access_token": "{}"}}"#, "x".repeat(ANSWER_SIZE_MAX));
    for (status, body, error) in [
        (
            "401 Unauthorized",
            r#"{"error": "invalid_client", "error_description": "hunter2?"}"#,
            "answered 401 Unauthorized (invalid_client)",
        ),
        ("400 Bad Request", r#"{"error": "Secret hunter2"}"#, "answered 400 Bad Request"),
        ("302 Found", "", "answered 302 Found"),
        ("200 OK", "<html>", "the token endpoint's answer holds no `access_token`"),
        ("200 OK", r#"{"token": "x"}"#, "the token endpoint's answer holds no `access_token`"),
        ("200 OK", r#"{"access_token": "x"}"#, "the token is not a JWT, and nothing says when it ends"),
        (
            "200 OK",
            r#"{"access_token": "x y", "expires_in": 9}"#,
            "the token holds characters that no token has",
        ),
        ("200 OK", large.as_str(), "is larger than 262144 bytes"),
    ] {
        let got = failure(of_answers(vec![answer(status, body)]));
        assert!(got.ends_with(error) && !got.contains("hunter2"), "{got}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Login(Some(source)) = login(closed) else { panic!("no source") };
    assert!(!format!("{source:?}").contains("hunter2"));
    let Ok(Source::Endpoint(mut endpoint)) = Arc::try_unwrap(source) else { panic!("no endpoint") };
    endpoint.attempts_end = Duration::ZERO;
    let error = failure(Login::of(Source::Endpoint(endpoint)).token());
    assert!(error.contains("connection refused"), "{error}");
}

#[test]
fn claims_are_looked_at_as_java_does() {
    let check = |claims: &str| checked(&jwt(claims), None, None, "scp");
    let later = LATER;
    assert!(check(&format!(r#"{{"sub": "a", "exp": {later}}}"#)).is_ok());
    assert!(check(&format!(r#"{{"sub": "a", "exp": {later}, "scp": ["r", "w"]}}"#)).is_ok());
    let error = "the token's claim `scp` is not made of words";
    assert_eq!(failure(check(&format!(r#"{{"sub": "a", "exp": {later}, "scp": ["r", " "]}}"#))), error);
    assert_eq!(failure(check(&format!(r#"{{"sub": "a", "exp": {later}, "scp": 5}}"#))), error);
    let error = failure(check(&format!(r#"{{"exp": {later}}}"#)));
    assert_eq!(error, "the token has no `sub` to name its owner");
    assert!(failure(check(r#"{"sub": "a", "exp": 1000}"#)).starts_with("the token ended "));
}

#[test]
fn a_file_is_read_again_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let login = Login::of(Source::File(TokenFile { path: path.clone(), scope_claim: "scope".to_owned() }));
    for owner in ["alice", "bob"] {
        std::fs::write(&path, format!("{}\n", jwt(&format!(r#"{{"sub": "{owner}", "exp": {LATER}}}"#))))
            .unwrap();
        assert_eq!(login.token().unwrap().principal_name, owner);
    }
    std::fs::write(&path, "x".repeat(ANSWER_SIZE_MAX + 1)).unwrap();
    assert!(failure(login.token()).ends_with("larger than 262144 bytes"));
    std::fs::remove_file(&path).unwrap();
    assert!(failure(login.token()).starts_with("the token file /"));
    assert!(Login::default().token().is_err());
}

#[tokio::test]
async fn a_login_works_on_a_thread_of_a_runtime() {
    let got = of_answers(vec![answer("200 OK", r#"{"access_token": "t", "expires_in": 3600}"#)]);
    assert_eq!(got.unwrap().token, "t");
}
