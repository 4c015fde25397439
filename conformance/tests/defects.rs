//! The suite is worth what it finds: a provider with one defect has to fail at least one case, the same provider without one none.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign_conformance::catalogue::Catalogue;
use countersign_conformance::run::{Result as CaseResult, Run, Verdict};
use countersign_conformance::target::Target;

const PROVIDER: &str = env!("CARGO_BIN_EXE_faulty-provider");

struct Provider {
    child: Child,
    address: String,
}

impl Provider {
    fn start(defect: Option<&str>) -> Provider {
        let mut command = Command::new(PROVIDER);
        if let Some(defect) = defect {
            command.args(["--defect", defect]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Provider { child, address }
    }

    fn target(&self) -> Target {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
        let text = std::fs::read_to_string(folder.join("faulty.toml")).unwrap();
        Target::parse(&text, &folder, None, &|name| (name == "FAULTY_ADDRESS").then(|| self.address.clone())).unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn defects() -> Vec<String> {
    let output = Command::new(PROVIDER).arg("--list").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(100)
}

#[test]
fn the_provider_without_a_defect_passes_every_case() {
    let provider = Provider::start(None);
    let target = provider.target();
    let run = Run::new(&target, later());
    run.preflight().unwrap();
    let results = run.all(&Catalogue::built_in().unwrap().cases, &|_: &CaseResult| {});
    let not_passed: Vec<_> =
        results.iter().filter(|r| r.verdict != Verdict::Passed).map(|r| (&r.case.id, &r.verdict)).collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
}

/// The first case that a provider with this defect fails.
fn first_failure(defect: &str, catalogue: &Catalogue) -> Option<String> {
    let provider = Provider::start(Some(defect));
    let target = provider.target();
    let run = Run::new(&target, later());
    // A defect may be so bad that not even a token is to be had; the cases say so one by one.
    let _ = run.preflight();
    let found = Mutex::new(None);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = catalogue.cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if matches!(run.one(case).verdict, Verdict::Failed(_)) {
                        stop.store(true, Ordering::Relaxed);
                        *found.lock().unwrap() = Some(case.id.clone());
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn every_defect_fails_at_least_one_case() {
    let (catalogue, defects) = (Catalogue::built_in().unwrap(), defects());
    assert!(defects.len() >= 40, "{}", defects.len());
    let unseen: Vec<_> = defects.iter().filter(|defect| first_failure(defect, &catalogue).is_none()).collect();
    assert!(unseen.is_empty(), "no case sees {unseen:?}");
}
