//! The suite's signer against two others, on thousands of random requests: oauthlib and the crate `oauth1-request`. A fixed seed, so
//! that a difference found once is found again.

use std::io::Write;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign_conformance::encoding::{Pair, decode, encode_form};
use countersign_conformance::http::Origin;
use countersign_conformance::signer::{Keys, Signable, SignatureMethod, base_string, sign};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rsa::pkcs8::DecodePrivateKey;

struct Sample {
    method: &'static str,
    address: String,
    query: Vec<Pair>,
    form: Vec<Pair>,
    protocol: Vec<Pair>,
    keys: Keys,
}

fn text(random: &mut StdRng, most: usize) -> String {
    const LETTERS: &str = "aAbBzZ019-._~ +%&=/?:@!$'()*,;#[]{}|\\^`\"<>äöß€и漢🎸\u{7f}\u{a0}";
    let letters: Vec<char> = LETTERS.chars().collect();
    (0..random.random_range(0..=most)).map(|_| letters[random.random_range(0..letters.len())]).collect()
}

fn sample(random: &mut StdRng) -> Sample {
    let pairs = |random: &mut StdRng, prefix: &str| -> Vec<Pair> {
        (0..random.random_range(0..5))
            .map(|_| {
                // Few names, so that they repeat.
                let name = if random.random_bool(0.5) {
                    ["a", "b", "a b", "ä"][random.random_range(0..4)].to_owned()
                } else {
                    text(random, 4)
                };
                (format!("{prefix}{name}"), text(random, 8))
            })
            .collect()
    };
    let (query, form) = (pairs(random, "q"), pairs(random, "q"));
    let host =
        ["example.com", "EXAMPLE.com", "localhost:8080", "example.com:80", "127.0.0.1:1"][random.random_range(0..5)];
    let path = ["/", "/a", "/r%20b/~x", "/A;b=c:d@e", "/a/"][random.random_range(0..5)];
    let mut protocol: Vec<Pair> = vec![
        ("oauth_consumer_key".into(), text(random, 10) + "k"),
        ("oauth_nonce".into(), text(random, 20) + "n"),
        ("oauth_timestamp".into(), random.random_range(1..2_000_000_000_u64).to_string()),
    ];
    if random.random_bool(0.7) {
        protocol.push(("oauth_token".into(), text(random, 10) + "t"));
    }
    if random.random_bool(0.5) {
        protocol.push(("oauth_version".into(), "1.0".into()));
    }
    Sample {
        method: ["GET", "POST", "PUT", "DELETE"][random.random_range(0..4)],
        address: format!("http://{host}{path}"),
        query,
        form,
        protocol,
        keys: Keys { client_secret: text(random, 12), token_secret: text(random, 12), rsa: None },
    }
}

impl Sample {
    fn base_string(&self, method: &str) -> String {
        let (origin, path) = Origin::parse(&self.address).unwrap();
        let mut protocol = self.protocol.clone();
        protocol.push(("oauth_signature_method".into(), method.into()));
        let request = Signable {
            method: self.method,
            origin: &origin,
            path: &path,
            raw_query: "",
            query: &self.query,
            form: &self.form,
            protocol: &protocol,
        };
        base_string(&request, &[])
    }

    fn signature(&self, method: &str) -> String {
        sign(&self.base_string(method), SignatureMethod::parse(method).unwrap(), &self.keys, &[]).unwrap()
    }
}

#[test]
fn the_crate_oauth1_request_signs_alike() {
    use oauth1_request::{Builder, Credentials, HmacSha1, ParameterList};

    let mut random = StdRng::seed_from_u64(5849);
    for number in 0..4000 {
        let mut sample = sample(&mut random);
        // The crate leaves names as they are and sorts values unencoded, so names are plain here and each comes once.
        let mut names: Vec<String> = ["a", "a2", "b", "n", "oa", "p", "z", "Z", "~x"].map(str::to_owned).into();
        sample.form.clear();
        for (name, _) in &mut sample.query {
            *name = names.swap_remove(random.random_range(0..names.len()));
        }
        let get = |name: &str| sample.protocol.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let client = Credentials::new(get("oauth_consumer_key").unwrap(), sample.keys.client_secret.clone());
        let mut builder = Builder::<_, String, _>::new(client, HmacSha1::new());
        match get("oauth_token") {
            Some(token) => drop(builder.token(Credentials::new(token, sample.keys.token_secret.clone()))),
            None => sample.keys.token_secret.clear(),
        }
        let nonce = get("oauth_nonce").unwrap();
        builder.nonce(nonce.as_str()).timestamp(get("oauth_timestamp").unwrap().parse::<NonZeroU64>().unwrap());
        builder.version(get("oauth_version").is_some());
        let (origin, path) = Origin::parse(&sample.address).unwrap();
        let address = format!("http://{}{path}", origin.authority().to_lowercase());
        let header = builder.authorize(sample.method, address, &ParameterList::new(sample.query.clone()));
        let theirs = header.split("oauth_signature=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(
            sample.signature("HMAC-SHA1"),
            decode(theirs),
            "number {number}: {}",
            sample.base_string("HMAC-SHA1")
        );
    }
}

/// A Python that has oauthlib: `CONFORMANCE_PYTHON`, or a virtual environment made below the build folder.
fn python() -> PathBuf {
    if let Some(given) = std::env::var_os("CONFORMANCE_PYTHON") {
        return given.into();
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = folder.join("bin").join("python");
    let ready = folder.join("ready");
    if !ready.exists() {
        let run = |command: &mut Command| {
            let output = command.output().expect("python3 is needed, or CONFORMANCE_PYTHON");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/requirements.txt");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
        std::fs::write(ready, "").unwrap();
    }
    python
}

const METHODS: [&str; 7] =
    ["HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "PLAINTEXT", "RSA-SHA1", "RSA-SHA256", "RSA-SHA512"];

#[test]
fn oauthlib_signs_alike() {
    let mut random = StdRng::seed_from_u64(1849);
    let pem =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("targets/test-client-key.pem")).unwrap();
    let rsa = rsa::RsaPrivateKey::from_pkcs8_pem(&pem).unwrap();
    let (mut input, mut ours) = (String::new(), Vec::new());
    for number in 0..4000 {
        let mut sample = sample(&mut random);
        // RSA takes its time; a part of the requests is enough for it.
        let method = METHODS[number % if number % 10 == 0 { METHODS.len() } else { 4 }];
        sample.keys.rsa = Some(rsa.clone());
        let query = encode_form(&sample.query);
        let line = serde_json::json!({
            "method": sample.method,
            "uri": if query.is_empty() { sample.address.clone() } else { format!("{}?{query}", sample.address) },
            "form": sample.form,
            "protocol": sample.protocol,
            "signature_method": method,
            "client_secret": sample.keys.client_secret,
            "token_secret": sample.keys.token_secret,
        });
        input.push_str(&format!("{line}\n"));
        ours.push((sample.signature(method), sample.base_string(method), method));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sign_with_oauthlib.py");
    let mut child = Command::new(python())
        .arg(script)
        .env("RSA_KEY", &pem)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let theirs: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(theirs.len(), ours.len());
    for (number, ((signature, base, method), theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(*signature, theirs, "number {number}, {method}: {base}");
    }
}
